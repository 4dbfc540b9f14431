"""How narrow a network can be: batch-norm scales decide, averaged inside each residual stage.

The scale γ of a batch-norm channel tells how much the channel matters (Liu et al. 2017, "Network Slimming",
arXiv 1708.06519, section 3). No weight is removed here: the counts give four widths, and a new ResNet-18 of these
widths is trained by distillation. Measuring changes nothing in the network measured.
"""

from collections.abc import Sequence

import torch
from torch import nn

from models.resnet import ResNet18


def norms_by_stage(model: ResNet18) -> list[list[nn.BatchNorm2d]]:
    """The batch-norms of each residual stage, the stem's with the first, a shortcut's with its own: 4 lists of 5."""
    groups = [[module for module in stage.modules() if isinstance(module, nn.BatchNorm2d)] for stage in model.stages]
    groups[0].insert(0, model.stem_bn)
    return groups


@torch.no_grad()
def kept_channels(model: ResNet18, percent: float) -> list[list[int]]:
    """Channels whose |γ| reaches the threshold, for every convolution, grouped by stage.

    All |γ| of the network are sorted together; the threshold is the value below which a share `percent` (0..1) of
    them lies.

    Returns: 4 lists (stages) of 5 counts (convolutions).
    """
    groups = norms_by_stage(model)
    scales = torch.cat([norm.weight.detach().abs().flatten() for group in groups for norm in group]).sort().values
    threshold = scales[min(int(percent * len(scales)), len(scales) - 1)]
    return [[int((norm.weight.detach().abs() >= threshold).sum()) for norm in group] for group in groups]


def stage_widths(
    counts: Sequence[Sequence[int]], current: Sequence[int], min_width: int, multiple: int
) -> tuple[int, ...]:
    """One width per stage: the mean of the stage's counts, to the nearest `multiple`, within min_width..current."""
    means = [sum(group) / len(group) for group in counts]
    nearest = [int(mean / multiple + 0.5) * multiple for mean in means]
    return tuple(min(now, max(width, min_width)) for width, now in zip(nearest, current, strict=True))


def halfway(good: Sequence[int], failed: Sequence[int], multiple: int) -> tuple[int, ...]:
    """The widths half way between the last good ones and those that failed, to the nearest `multiple` between them."""
    return tuple(
        min(a, max(b, int((a + b) / 2 / multiple + 0.5) * multiple)) for a, b in zip(good, failed, strict=True)
    )
