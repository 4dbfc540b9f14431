"""What the benchmark's figures share: how much is measured, how two sides are timed, and what a figure says."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median

import torch
from torch import Tensor

from utils.running.options import Settings, settings

CLASSES = 10  # of a task

Widths = tuple[int, int, int, int]


@dataclass(frozen=True)
class Plan:
    """How much is measured, and where. What is not here (batches, augmentation, …) is as `settings` say.

    Attributes:
        repeats: how often both sides of a figure are timed.
        narrow, wide: the networks of stage one, trained for `steps` and for one step, which takes seconds on a CPU.
        compressed: the network of a task after compression.
        classes, per_class: the data of the run whose memory is measured, training images a class.
    """

    settings: Settings = field(default_factory=lambda: settings({}))
    device: torch.device = torch.device("cpu")
    repeats: int = 5
    narrow: Widths = (16, 32, 64, 128)
    wide: Widths = (64, 128, 256, 512)
    compressed: Widths = (16, 32, 36, 36)
    steps: int = 4
    classes: int = 100
    per_class: int = 500


@dataclass(frozen=True)
class Figure:
    """Two things measured in the same run, repeat by repeat, and how many times the second the first may be.

    Attributes:
        name: which figure, of which network.
        meaning: what is divided by what.
        above, below: what is divided and by what, one a repeat: milliseconds, or megabytes.
        at_most: the bound that the median of the ratios has to reach, if there is one.
    """

    name: str
    meaning: str
    above: Sequence[float]
    below: Sequence[float]
    at_most: float | None = None

    def record(self) -> dict:
        """All of it in plain values."""
        ratios = [a / b for a, b in zip(self.above, self.below, strict=True)]
        return {
            "name": self.name,
            "ratio": median(ratios),
            "min": min(ratios),
            "max": max(ratios),
            "at_most": self.at_most,
            "holds": None if self.at_most is None else median(ratios) <= self.at_most,
            "above": median(self.above),
            "below": median(self.below),
            "meaning": self.meaning,
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
    for repeat in range(plan.repeats + 1):
        turns = list(zip(works, taken, strict=True))
        for (work, count), times in reversed(turns) if repeat % 2 else turns:
            _synchronise(plan.device)
            begun = time.perf_counter()
            work()
            _synchronise(plan.device)
            times.append(1000 * (time.perf_counter() - begun) / count)
    return [times[1:] for times in taken]


def noise(count: int, plan: Plan) -> Tensor:
    """Images without content: uint8 [count, 3, 32, 32] on the device."""
    images = torch.randint(0, 256, (count, 3, 32, 32), generator=torch.Generator().manual_seed(count))
    return images.to(torch.uint8).to(plan.device)


def _synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
