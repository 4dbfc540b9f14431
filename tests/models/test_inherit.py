"""Students that begin with their teacher's strongest channels."""

import torch
from torch import nn

from models.inherit import inherit, residual_norms, strongest
from models.resnet import ResNet18
from tests.models.networks import same_state, state_of

IMAGES = torch.rand(3, 3, 16, 16, generator=torch.Generator().manual_seed(0))


def teacher(widths=(6, 8, 10, 12)) -> ResNet18:
    """A network whose batch-norms hold values that tell channels apart."""
    model = ResNet18(4, widths, mean=(0.1, 0.2, 0.3), std=(0.4, 0.5, 0.6), seed=0)
    random = torch.Generator().manual_seed(1)
    for norm in (module for module in model.modules() if isinstance(module, nn.BatchNorm2d)):
        for values in (norm.weight.data, norm.bias.data, norm.running_mean):
            values.copy_(torch.randn(values.shape, generator=random))
        norm.running_var.copy_(torch.rand(norm.running_var.shape, generator=random) + 0.5)
    return model.eval()


def test_channels_without_effect_are_left_behind_without_a_trace():
    """Silenced channels (γ, β = 0) are the weakest, and without them the network computes what it did."""
    model, keep = teacher(), (4, 5, 6, 7)
    silent = torch.Generator().manual_seed(2)
    for stage, norms, width in zip(model.stages, residual_norms(model), keep, strict=True):
        for together in [norms, *[[block.bn1] for block in stage]]:
            gone = torch.randperm(len(together[0].weight), generator=silent)[width:]
            for norm in together:
                norm.weight.data[gone], norm.bias.data[gone] = 0, 0
    torch.testing.assert_close(inherit(model, keep).eval()(IMAGES), model(IMAGES))


def test_the_strongest_by_summed_scale():
    norms = [nn.BatchNorm2d(4), nn.BatchNorm2d(4)]
    norms[0].weight.data = torch.tensor([1.0, -3.0, 0.5, 0.0])
    norms[1].weight.data = torch.tensor([1.0, 0.0, -4.0, 1.5])
    assert strongest(norms, 2).tolist() == [1, 2]


def test_same_widths_give_the_same_network_and_the_teacher_stays_as_it_is():
    model = teacher()
    before, student = state_of(model), inherit(model, model.widths).eval()
    assert torch.equal(student(IMAGES), model(IMAGES))
    assert all(parameter.requires_grad for parameter in student.parameters())
    for parameter in student.parameters():
        parameter.data.fill_(7)
    assert same_state(before, model)
    assert inherit(model, (3, 3, 3, 3)).widths == (3, 3, 3, 3)
