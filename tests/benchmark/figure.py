"""What the benchmark's figures share: how much is measured, how two sides are timed, and what a figure says."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import median

import torch
from torch import Tensor

from utils.running.options import Settings, settings

CLASSES = 10  # of a task

Widths = tuple[int, int, int, int]
Figure = dict[str, object]


@dataclass(frozen=True)
class Plan:
    """How much is measured, and where. What is not here (batches, augmentation, …) is as `settings` say."""

    settings: Settings = field(default_factory=lambda: settings({}))
    device: torch.device = torch.device("cpu")
    repeats: int = 5  # of both sides of a figure
    steps: int = 4  # of a training, but for the wide network's, a step of which takes seconds on a CPU
    narrow: Widths = (16, 32, 64, 128)
    wide: Widths = (64, 128, 256, 512)
    compressed: Widths = (16, 32, 36, 36)
    classes: int = 100  # in the run whose memory is measured
    per_class: int = 500  # training images


def figure(name: str, meaning: str, above: list[float], below: list[float], at_most: float | None = None) -> Figure:
    """Two things measured in the same run, and how many times the second the first may be.

    Args:
        meaning: what is divided by what.
        above, below: what is divided and by what, one a repeat: milliseconds, or megabytes.
        at_most: the bound that the median of the ratios has to reach, if there is one.
    """
    ratios = [a / b for a, b in zip(above, below, strict=True)]
    return {
        "name": name,
        "ratio": median(ratios),
        "min": min(ratios),
        "max": max(ratios),
        "at_most": at_most,
        "holds": None if at_most is None else median(ratios) <= at_most,
        "above": median(above),
        "below": median(below),
        "meaning": meaning,
    }


def alternate(plan: Plan, *works: tuple[Callable[[], object], int]) -> list[list[float]]:
    """Milliseconds of each work in every repeat, for one of the so many steps or images that it makes.

    The works take turns, so that a machine that gets slower or faster slows or speeds all of them, and every other
    repeat takes them in reverse, so that none always follows the same one. One repeat before is not counted: memory is
    reserved and kernels are chosen in it.
    """
    # The C library hands freed memory back to the system, which is slow to give it again, until it has seen a block of
    # such a size freed. A training frees one in its first step.
    torch.empty(30 * 2**20, dtype=torch.uint8)
    taken = [[] for _ in works]

    def now() -> float:
        if plan.device.type == "cuda":
            torch.cuda.synchronize(plan.device)
        return 1000 * time.perf_counter()

    for repeat in range(plan.repeats + 1):
        turns = list(zip(works, taken, strict=True))
        for (work, count), times in reversed(turns) if repeat % 2 else turns:
            begun = now()
            work()
            times.append((now() - begun) / count)
    return [times[1:] for times in taken]


def noise(count: int, plan: Plan) -> Tensor:
    """Images without content: uint8 [count, 3, 32, 32] on the device."""
    images = torch.randint(0, 256, (count, 3, 32, 32), generator=torch.Generator().manual_seed(count))
    return images.to(torch.uint8).to(plan.device)
