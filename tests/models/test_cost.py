"""Size and cost, counted by hand."""

import pytest
import torch

from models import EDENet, resnet18
from models.cost import flops, parameters
from tests.models.networks import WIDTHS, joined, network, same_state, state_of


def flops_by_hand(widths, classes, size=32):
    """Two operations for every weight and output pixel of a convolution, two for every weight of the linear head."""
    total, channels = 2 * 3 * 9 * widths[0] * size**2, widths[0]
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
    assert parameters(resnet18(10)) == 11_173_962 == parameters_by_hand((64, 128, 256, 512), 10)


@pytest.mark.parametrize(("widths", "classes", "size"), [((64, 128, 256, 512), 10, 32), ((5, 7, 11, 13), 3, 64)])
def test_flops_are_those_of_all_convolutions_and_the_head(widths, classes, size):
    assert flops(resnet18(classes, widths), size) == flops_by_hand(widths, classes, size)


def test_an_ede_net_costs_what_its_sub_models_cost():
    net = EDENet([resnet18(3, WIDTHS), resnet18(2, (3, 4, 5, 6))])
    assert flops(net) == flops_by_hand(WIDTHS, 3) + flops_by_hand((3, 4, 5, 6), 2)
    assert parameters(net) == parameters_by_hand(WIDTHS, 3) + parameters_by_hand((3, 4, 5, 6), 2)


def test_the_counter_runs_where_old_versions_of_torch_count_too():
    """Under `inference_mode` those of 2.4 and 2.5 count nothing."""
    model, modes = network(), []
    model.register_forward_hook(lambda *_: modes.append((torch.is_inference_mode_enabled(), torch.is_grad_enabled())))
    flops(model)
    assert modes == [(False, False)]


def test_measuring_leaves_the_network_as_it_was():
    model = joined(3, 2)
    model.submodels[0].train()
    model.submodels[1].requires_grad_(False)
    before, random = state_of(model), torch.get_rng_state()
    modes = [module.training for module in model.modules()]
    assert flops(model) > 0
    assert parameters(model) == sum(map(parameters, model.submodels)) > parameters_by_hand(WIDTHS, 3), "frozen ones too"
    assert same_state(before, model)
    assert torch.equal(random, torch.get_rng_state())
    assert [module.training for module in model.modules()] == modes
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
