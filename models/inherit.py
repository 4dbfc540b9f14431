"""A compressed network that begins with its teacher's strongest channels instead of fresh weights.

As in `models.widths`, a channel matters as much as its batch-norm's scale |γ| (Liu et al. 2017, "Network Slimming",
arXiv 1708.06519, section 3). There the scales decide the widths alone; here they decide as well which channels'
weights the narrower network begins with, as in pruning with fine-tuning (Li et al. 2017, arXiv 1608.08710, section
3.3). It then needs a fraction of the epochs of distillation.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from models.resnet import ResNet18


def residual_norms(model: ResNet18) -> list[list[nn.BatchNorm2d]]:
    """For each residual stage the batch-norms that write into its residual stream: of the stem (first stage) or of the
    shortcut (the others), and the second one of every block."""
    groups = []
    for index, stage in enumerate(model.stages):
        first = model.stem_bn if index == 0 else stage[0].shortcut[1]
        groups.append([first, *[block.bn2 for block in stage]])
    return groups


def strongest(norms: Sequence[nn.BatchNorm2d], count: int) -> Tensor:
    """The `count` channels with the largest |γ|, summed over the batch-norms, in rising order: int64 [count]."""
    scale = sum(norm.weight.detach().abs() for norm in norms)
    return scale.argsort(descending=True, stable=True)[:count].sort().values


def _take(new: Sequence[nn.Module], old: Sequence[nn.Module], outputs: Tensor, inputs: Tensor) -> None:
    """Copies what belongs to these channels of a convolution and of the batch-norm after it."""
    new[0].weight.copy_(old[0].weight[outputs][:, inputs])
    for name in ("weight", "bias", "running_mean", "running_var"):
        getattr(new[1], name).copy_(getattr(old[1], name)[outputs])


@torch.no_grad()
def inherit(teacher: ResNet18, widths: Sequence[int]) -> ResNet18:
    """A network of these widths, none above the teacher's, with the weights of the teacher's strongest channels.

    The channels of a residual stage are chosen together, as they are added to each other: those whose |γ|, summed over
    all batch-norms that write into the stage's residual stream, is largest. Between a block's two convolutions they are
    chosen by the |γ| there. Kept channels keep their order, weights, and batch-norm values. The teacher stays as it is.
    """
    mean, std = teacher.mean.flatten().tolist(), teacher.std.flatten().tolist()
    student = ResNet18(teacher.num_classes, widths, mean, std).to(teacher.head.weight.device)
    streams = [strongest(norms, width) for norms, width in zip(residual_norms(teacher), widths, strict=True)]
    colours = torch.arange(teacher.stem.in_channels, device=streams[0].device)
    _take((student.stem, student.stem_bn), (teacher.stem, teacher.stem_bn), streams[0], colours)
    inputs = streams[0]
    for new, old, stream in zip(student.stages, teacher.stages, streams, strict=True):
        for block, source in zip(new, old, strict=True):
            inner = strongest([source.bn1], len(stream))
            _take((block.conv1, block.bn1), (source.conv1, source.bn1), inner, inputs)
            _take((block.conv2, block.bn2), (source.conv2, source.bn2), stream, inner)
            if isinstance(block.shortcut, nn.Sequential):
                _take(block.shortcut, source.shortcut, stream, inputs)
            inputs = stream
    student.head.weight.copy_(teacher.head.weight[:, inputs])
    student.head.bias.copy_(teacher.head.bias)
    return student
