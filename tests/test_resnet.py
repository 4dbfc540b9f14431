"""ResNet-18 with free widths, and what is measured of it."""

import pytest
import torch
import torch.nn.functional as F
import torchvision.transforms.functional as TF
from torch import nn

from models import EDENet, ResNet18, measure, resnet18
from models.resnet import Shortcut


def state_of(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


def same_state(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def flops_by_hand(widths, classes, size=32):
    """Two operations for every weight and output pixel of a convolution, two for every weight of the linear head."""
    total, channels, pixels = 2 * 3 * 9 * widths[0] * size**2, widths[0], size**2
    for stage, width in enumerate(widths):
        pixels = (size // 2**stage) ** 2
        if stage > 0:
            total += 2 * channels * width * pixels  # the 1×1 shortcut
        for inputs in (channels, width, width, width):
            total += 2 * 9 * inputs * width * pixels
        channels = width
    return total + 2 * channels * classes


def parameters_by_hand(widths, classes):
    total, channels = 3 * 9 * widths[0] + 2 * widths[0], widths[0]
    for stage, width in enumerate(widths):
        if stage > 0:
            total += channels * width + 2 * width
        for inputs in (channels, width, width, width):
            total += 9 * inputs * width + 2 * width
        channels = width
    return total + channels * classes + classes


def test_the_full_network_has_11_173_962_parameters_for_ten_classes():
    assert measure.parameters(resnet18(10)) == 11_173_962 == parameters_by_hand((64, 128, 256, 512), 10)


def test_nothing_pools_before_the_last_stage():
    model, sizes = resnet18(3, (2, 3, 4, 5)).eval(), []
    for stage in model.stages:
        stage.register_forward_hook(lambda module, inputs, output: sizes.append(tuple(output.shape[1:])))
    model(torch.zeros(1, 3, 32, 32))
    assert sizes == [(2, 32, 32), (3, 16, 16), (4, 8, 8), (5, 4, 4)]
    assert not [module for module in model.modules() if isinstance(module, nn.MaxPool2d | nn.AvgPool2d)]


@pytest.mark.parametrize("widths", [(5, 7, 11, 13), (13, 11, 7, 5), (4, 4, 4, 4)])
def test_every_stage_has_its_own_width(widths):
    model = resnet18(3, widths)
    assert model.widths == widths
    assert model.stem.out_channels == model.stem_bn.num_features == widths[0]
    for stage, width in zip(model.stages, widths, strict=True):
        convolutions = [module for module in stage.modules() if isinstance(module, nn.Conv2d)]
        norms = [module for module in stage.modules() if isinstance(module, nn.BatchNorm2d)]
        assert {module.out_channels for module in convolutions} == {width}
        assert {module.num_features for module in norms} == {width}
    assert measure.parameters(model) == parameters_by_hand(widths, 3)
    assert model.features(torch.zeros(2, 3, 32, 32)).shape == (2, widths[3])
    assert model(torch.zeros(2, 3, 32, 32)).shape == (2, 3)


def test_features_are_the_mean_over_the_last_feature_map_and_the_head_is_linear_on_them():
    model, maps = resnet18(3, (2, 3, 4, 5), seed=0).eval(), []
    model.stages[-1].register_forward_hook(lambda module, inputs, output: maps.append(output))
    x = torch.randn(2, 3, 32, 32)
    logits = model(x)
    slow = torch.stack([maps[0][:, :, i, j] for i in range(4) for j in range(4)]).sum(0) / 16
    torch.testing.assert_close(logits, slow @ model.head.weight.T + model.head.bias)


@pytest.mark.parametrize("wrong", [((1, 2, 3), 3), ((1, 2, 3, 4, 5), 3), ((0, 2, 3, 4), 3), ((1, 2, 3, 4), 0)])
def test_a_network_without_four_positive_widths_and_a_class_is_refused(wrong):
    widths, classes = wrong
    with pytest.raises(ValueError, match="4 positive widths"):
        ResNet18(classes, widths)


def test_a_seed_decides_the_weights_and_leaves_the_global_random_state_alone():
    torch.manual_seed(1)
    one = resnet18(3, (2, 3, 4, 5), seed=7)
    drawn_after = torch.rand(3)
    torch.manual_seed(1)
    assert torch.equal(torch.rand(3), drawn_after)
    torch.manual_seed(2)
    assert same_state(one.state_dict(), resnet18(3, (2, 3, 4, 5), seed=7).state_dict())
    assert not same_state(one.state_dict(), resnet18(3, (2, 3, 4, 5), seed=8).state_dict())


def test_the_network_normalises_its_input_as_torchvision_does():
    mean, std = (0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762)
    plain, normalising = resnet18(3, (2, 3, 4, 5), seed=0).eval(), resnet18(3, (2, 3, 4, 5), mean, std, seed=0).eval()
    images = torch.rand(4, 3, 32, 32)
    slow = torch.stack([TF.normalize(image, mean, std) for image in images])
    torch.testing.assert_close(normalising(images), plain(slow))
    torch.testing.assert_close(normalising.features(images), plain.features(slow))


def test_every_sub_model_of_an_ede_net_normalises_by_its_own_statistics_also_from_a_state_dict():
    one = resnet18(3, (2, 3, 4, 5), (0.5, 0.4, 0.3), (0.2, 0.3, 0.4), seed=0).eval()
    two = resnet18(2, (3, 3, 4, 5), (0.1, 0.2, 0.3), (0.4, 0.3, 0.2), seed=1).eval()
    images = torch.rand(4, 3, 32, 32)
    net = EDENet([one, two])
    assert torch.equal(net(images), torch.cat([one(images), two(images)], dim=1))
    fresh = EDENet.from_widths(net.widths, net.classes_per_task)
    fresh.load_state_dict(net.state_dict())
    assert torch.equal(fresh.eval()(images), net(images))


def test_weights_are_channels_last():
    for model in (resnet18(3, (4, 6, 8, 10)), resnet18(3, (4, 6, 8, 10), seed=1)):
        assert all(p.is_contiguous(memory_format=torch.channels_last) for p in model.parameters() if p.ndim == 4)


@pytest.mark.parametrize("cast", [False, True])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_activations_are_channels_last_whatever_the_layout_of_the_images(layout, cast):
    model, outputs = resnet18(3, (4, 6, 8, 10), seed=0), []
    images = torch.rand(4, 3, 32, 32)
    with torch.autocast("cpu", torch.bfloat16, enabled=cast):
        wanted = model(images)
        for module in model.modules():
            if isinstance(module, nn.Conv2d | nn.BatchNorm2d):
                module.register_forward_hook(lambda module, inputs, output: outputs.append(output))
        assert torch.equal(model(images.to(memory_format=layout)), wanted)
    assert len(outputs) == 2 * (1 + 4 * 4 + 3)
    assert all(output.is_contiguous(memory_format=torch.channels_last) for output in outputs)


@pytest.mark.parametrize("size", [16, 32, 33])
def test_a_shortcut_is_a_strided_convolution_whose_gradient_stays_channels_last(size):
    shortcut = Shortcut(5, 7, stride=2).double().to(memory_format=torch.channels_last)
    x = torch.randn(3, 5, size, size, dtype=torch.double).to(memory_format=torch.channels_last).requires_grad_()
    slow = F.conv2d(x, shortcut.weight, stride=2)
    direction = torch.randn_like(slow)
    torch.testing.assert_close(shortcut(x), slow)
    found = torch.autograd.grad(shortcut(x), (x, shortcut.weight), direction)
    torch.testing.assert_close(found, torch.autograd.grad(slow, (x, shortcut.weight), direction))
    assert found[0].is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(("widths", "classes"), [((64, 128, 256, 512), 10), ((5, 7, 11, 13), 3)])
def test_flops_are_those_of_all_convolutions_and_the_head(widths, classes):
    assert measure.flops(resnet18(classes, widths)) == flops_by_hand(widths, classes)


def test_flops_of_an_ede_net_are_the_sum_of_its_sub_models():
    net = EDENet([resnet18(3, (2, 3, 4, 5)), resnet18(2, (3, 4, 5, 6))])
    assert measure.flops(net) == flops_by_hand((2, 3, 4, 5), 3) + flops_by_hand((3, 4, 5, 6), 2)
    assert measure.parameters(net) == parameters_by_hand((2, 3, 4, 5), 3) + parameters_by_hand((3, 4, 5, 6), 2)


@pytest.mark.parametrize("training", [True, False])
def test_measuring_leaves_the_network_as_it_was(training):
    model = resnet18(3, (2, 3, 4, 5), seed=0).train(training)
    model(torch.randn(4, 3, 32, 32))
    before, random_state = state_of(model), torch.get_rng_state()
    measure.flops(model)
    measure.parameters(model)
    assert same_state(before, model.state_dict())
    assert torch.equal(random_state, torch.get_rng_state())
    for module in model.modules():
        hooks = (module._forward_hooks, module._forward_pre_hooks, module._backward_hooks, module._backward_pre_hooks)
        assert not any(hooks)
        assert module.training is training
    assert model(torch.randn(4, 3, 32, 32)).requires_grad


def test_frozen_parameters_still_count():
    model = resnet18(3, (2, 3, 4, 5))
    assert measure.parameters(model.requires_grad_(False)) == parameters_by_hand((2, 3, 4, 5), 3)
