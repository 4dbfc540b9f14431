"""ResNet-18 with free widths: its shape, its initial weights, and the layout of what it computes."""

import math

import pytest
import torch
import torch.nn.functional as F
import torchvision.transforms.functional as TF
from torch import nn

from models import ResNet18
from models.resnet import Shortcut
from tests.models.networks import WIDTHS, network, same_state, state_of


def obvious_block(block, x):
    """relu(bn(conv(relu(bn(conv(x))))) + shortcut(x)), the shortcut strided as the first convolution."""

    def norm(bn, y):
        y = (y - bn.running_mean.view(-1, 1, 1)) / (bn.running_var.view(-1, 1, 1) + bn.eps).sqrt()
        return y * bn.weight.view(-1, 1, 1) + bn.bias.view(-1, 1, 1)

    def conv(each, y, padding, stride):
        return F.conv2d(y, each.weight, padding=padding, stride=stride)

    stride = block.conv1.stride[0]
    out = norm(block.bn1, conv(block.conv1, x, 1, stride)).relu()
    out = norm(block.bn2, conv(block.conv2, out, 1, 1))
    if not isinstance(block.shortcut, nn.Identity):
        x = norm(block.shortcut[1], conv(block.shortcut[0], x, 0, stride))
    return (out + x).relu()


def test_a_network_equals_an_obvious_one():
    mean, std, images = (0.5, 0.4, 0.3), (0.2, 0.3, 0.4), torch.rand(4, 3, 32, 32)
    model = network()
    assert model.widths == WIDTHS
    x = torch.stack([TF.normalize(image, mean, std) for image in images])
    x = F.relu(model.stem_bn(F.conv2d(x, model.stem.weight, padding=1)))
    for stage in model.stages:
        assert len(stage) == 2
        for block in stage:
            x = obvious_block(block, x)
    features = torch.stack([x[:, :, i, j] for i in range(4) for j in range(4)]).sum(0) / 16
    torch.testing.assert_close(model.features(images), features, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(model(images), features @ model.head.weight.T + model.head.bias, atol=1e-4, rtol=1e-4)


def test_convolutions_begin_with_the_deviation_that_relu_keeps():
    model = ResNet18(10, (64, 64, 128, 128), seed=0)
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            deviation = math.sqrt(2 / (module.out_channels * module.kernel_size[0] ** 2))
            assert float(module.weight.detach().std()) == pytest.approx(deviation, rel=0.07)


def test_a_seed_decides_the_weights_and_leaves_the_global_random_state_alone():
    torch.manual_seed(1)
    before = torch.get_rng_state()
    one = ResNet18(3, WIDTHS, seed=7)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    assert same_state(one, ResNet18(3, WIDTHS, seed=7))
    assert not same_state(one, ResNet18(3, WIDTHS, seed=8))


@pytest.mark.parametrize("size", [16, 33])
def test_a_shortcut_is_a_strided_convolution_whose_gradient_stays_channels_last(size):
    shortcut = Shortcut(5, 7, stride=2).double().to(memory_format=torch.channels_last)
    x = torch.randn(3, 5, size, size, dtype=torch.double).to(memory_format=torch.channels_last).requires_grad_()
    slow = F.conv2d(x, shortcut.weight, stride=2)
    direction = torch.randn_like(slow)
    torch.testing.assert_close(shortcut(x), slow)
    found = torch.autograd.grad(shortcut(x), (x, shortcut.weight), direction)
    torch.testing.assert_close(found, torch.autograd.grad(slow, (x, shortcut.weight), direction))
    assert found[0].is_contiguous(memory_format=torch.channels_last)


def test_a_head_that_grows_keeps_its_old_rows_and_the_new_ones_are_a_function_of_the_seed():
    model, again, other = network(), network(), network()
    before, random = state_of(model), torch.get_rng_state()
    for net, seed in ((model, 1), (again, 1), (other, 2)):
        net.grow_head(2, seed)
    assert torch.equal(torch.get_rng_state(), random)
    for name, value in model.state_dict().items():
        assert torch.equal(value[:3] if name.startswith("head.") else value, before[name])
    assert (model.num_classes, model(torch.rand(7, 3, 32, 32)).shape) == (5, (7, 5))
    assert same_state(again, model)
    assert not same_state(other, model)
