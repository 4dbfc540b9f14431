"""Size and cost of a network."""

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode


def parameters(model: nn.Module) -> int:
    """Number of trainable values, whether or not they are frozen now; batch-norm statistics are none of them."""
    return sum(parameter.numel() for parameter in model.parameters())


@torch.no_grad()  # under inference_mode the counter of torch 2.4 and 2.5 counts nothing
def flops(model: nn.Module, size: int = 32) -> int:
    """Floating-point operations for one image of size×size pixels, a multiplication and an addition being two.

    Counts convolutions and matrix products, by `torch.utils.flop_counter`; leaves the model in evaluation mode.
    """
    image = torch.zeros(1, 3, size, size, device=next(model.parameters()).device)
    with FlopCounterMode(display=False) as counter:
        model.eval()(image)
    return int(counter.get_total_flops())
