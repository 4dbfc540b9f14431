"""Small networks, and what tells whether two of them are the same."""

import torch
from torch import nn

from models import EDENet, ResNet18

WIDTHS, SCALED = (2, 3, 4, 5), (8, 12, 16, 20)


def network(classes=3, widths=WIDTHS, seed=0) -> ResNet18:
    """A network in evaluation mode with batch-norm statistics that differ from fresh ones."""
    model = ResNet18(classes, widths, (0.5, 0.4, 0.3), (0.2, 0.3, 0.4), seed).train()
    with torch.no_grad():
        model(torch.rand(8, 3, 32, 32, generator=torch.Generator().manual_seed(seed)))
    return model.eval()


def joined(*classes) -> EDENet:
    """An EDE-Net of tasks with so many classes, their sub-models of different widths."""
    return EDENet(network(count, (2, 3, 4, 5 + i), seed=i) for i, count in enumerate(classes)).eval()


def state_of(model: nn.Module) -> dict:
    """A copy of the weights and statistics."""
    return {name: value.clone() for name, value in model.state_dict().items()}


def same_state(one, other) -> bool:
    """Whether two states, or networks, are the same bit for bit."""
    one, other = (each.state_dict() if isinstance(each, nn.Module) else each for each in (one, other))
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def changed(model: nn.Module, before: dict) -> set[str]:
    """The names of the weights and statistics that are no longer what they were."""
    return {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}


def norms_of(model):
    """The batch-norms, stage by stage: the stem's with the first, a shortcut's with its own."""
    stages = []
    for number, (one, two) in enumerate(model.stages):
        extra = model.stem_bn if number == 0 else one.shortcut[1]
        stages.append([extra, one.bn1, one.bn2, two.bn1, two.bn2])
    return stages


def with_scales(widths=SCALED, seed=0):
    """A network whose batch-norm scales are all different in size, of either sign, and larger stage by stage."""
    model = ResNet18(3, widths, seed=seed)
    generator = torch.Generator().manual_seed(seed)
    for number, stage in enumerate(norms_of(model)):
        for norm in stage:
            norm.weight.data = torch.randn(norm.num_features, generator=generator) * 1.7**number
    return model


def slow_counts(model, percent):
    """Every scale in one Python list; the share `percent` of them lies below the threshold. Counts in order of size."""
    everything = sorted(abs(scale) for stage in norms_of(model) for norm in stage for scale in norm.weight.tolist())
    threshold = everything[int(percent * len(everything))]
    return [
        sorted(sum(abs(scale) >= threshold for scale in norm.weight.tolist()) for norm in stage)
        for stage in norms_of(model)
    ]
