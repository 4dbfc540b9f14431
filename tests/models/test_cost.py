"""Size and cost, counted by hand."""

import pytest
import torch

from models import ResNet18
from models.cost import flops, parameters
from tests.models.networks import joined, same_state, state_of


def by_hand(widths, classes, size=32):
    """(FLOPs, parameters), of which two FLOPs for every weight and output pixel of a convolution or of the head."""
    stem, channels = 9 * 3 * widths[0], widths[0]
    operations, weights = 2 * stem * size**2, stem + 2 * channels
    for stage, width in enumerate(widths):
        kernels = [9 * inputs * width for inputs in (channels, width, width, width)]
        if stage > 0:
            kernels.append(channels * width)  # the 1×1 shortcut
        operations += 2 * sum(kernels) * (size // 2**stage) ** 2
        weights += sum(kernels) + 2 * width * len(kernels)  # each with a batch-norm
        channels = width
    return operations + 2 * channels * classes, weights + (channels + 1) * classes


@pytest.mark.parametrize(
    ("widths", "classes", "size"), [((64, 128, 256, 512), 10, 32), ((5, 7, 11, 13), 3, 64), ((13, 11, 7, 5), 3, 32)]
)
def test_flops_and_parameters_are_those_of_all_convolutions_batch_norms_and_the_head(widths, classes, size):
    model = ResNet18(classes, widths)
    assert (flops(model, size), parameters(model)) == by_hand(widths, classes, size)
    assert classes < 10 or parameters(model) == 11_173_962, "the full network"


def test_an_ede_net_costs_what_its_sub_models_cost_and_measuring_leaves_it_as_it_was():
    model, modes = joined(3, 2), []
    model.submodels[1].requires_grad_(False)
    before, random = state_of(model), torch.get_rng_state()
    hook = model.register_forward_hook(
        lambda *_: modes.append((torch.is_inference_mode_enabled(), torch.is_grad_enabled()))
    )
    costs = zip(by_hand((2, 3, 4, 5), 3), by_hand((2, 3, 4, 6), 2), strict=True)
    assert (flops(model), parameters(model)) == tuple(map(sum, costs)), "frozen ones too"
    assert modes == [(False, False)], "under inference_mode torch 2.4 and 2.5 count nothing"
    hook.remove()
    assert same_state(before, model)
    assert torch.equal(random, torch.get_rng_state())
    assert not any(each._forward_hooks or each._forward_pre_hooks for each in model.modules())
