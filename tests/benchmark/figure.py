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
        narrow, wide: the networks of stage one; `wide_steps` are fewer, as one takes seconds on a CPU.
        compressed: the network of a task after compression.
        odd: widths that no multiple divides.
        joined: sub-models in stage two's training.
        submodels: how many sub-models are compared with one; the one makes `single_steps`.
        pictures: images that go through PIL, and `batches` batches that do not.
        split, train_per_class, test_per_class, unlabelled_per_class: the data of the run whose memory is measured.
    """

    settings: Settings = field(default_factory=lambda: settings({}))
    device: torch.device = torch.device("cpu")
    repeats: int = 5
    narrow: Widths = (16, 32, 64, 128)
    wide: Widths = (64, 128, 256, 512)
    narrow_steps: int = 4
    wide_steps: int = 1
    compressed: Widths = (16, 32, 36, 36)
    odd: Sequence[Widths] = ((16, 32, 36, 36), (16, 32, 38, 34), (15, 29, 37, 35))
    joined: int = 3
    submodels: Sequence[int] = (1, 2, 5, 10)
    single_steps: int = 10
    pictures: int = 512
    batches: int = 40
    split: Sequence[int] = tuple(range(0, 101, 10))
    train_per_class: int = 500
    test_per_class: int = 100
    unlabelled_per_class: int = 5000


@dataclass(frozen=True)
class Figure:
    """A ratio of two things measured in the same run.

    Attributes:
        name: which figure, of which network.
        meaning: what is divided by what.
        ratios: one a repeat.
        at_most, at_least: the bound to reach, if there is one.
        details: what else is worth knowing, plain values.
    """

    name: str
    meaning: str
    ratios: Sequence[float]
    at_most: float | None = None
    at_least: float | None = None
    details: dict = field(default_factory=dict)

    @property
    def ratio(self) -> float:
        return median(self.ratios)

    @property
    def bound(self) -> str | None:
        """The bound as it is written: "<= 1.05"."""
        if self.at_most is not None:
            return f"<= {self.at_most:.2f}"
        return None if self.at_least is None else f">= {self.at_least:.2f}"

    @property
    def holds(self) -> bool | None:
        """Whether the median reaches the bound; None where there is none."""
        if self.at_most is not None:
            return self.ratio <= self.at_most
        return None if self.at_least is None else self.ratio >= self.at_least

    def record(self) -> dict:
        """All of it in plain values, for JSON."""
        return {
            "name": self.name,
            "meaning": self.meaning,
            "ratio": self.ratio,
            "min": min(self.ratios),
            "max": max(self.ratios),
            "repeats": len(self.ratios),
            "bound": self.bound,
            "holds": self.holds,
            **self.details,
        }


def seconds(work: Callable[[], object], device: torch.device) -> float:
    """How long `work` takes, with what it left to do on the GPU."""
    _synchronise(device)
    begun = time.perf_counter()
    work()
    _synchronise(device)
    return time.perf_counter() - begun


def alternate(works: Sequence[Callable[[], object]], plan: Plan) -> list[list[float]]:
    """Seconds of each work in every repeat.

    The works take turns, so that a machine that gets slower or faster slows or speeds all of them, and every other
    repeat takes them in reverse, so that none always follows the same one. One repeat before is not counted: memory is
    reserved and kernels are chosen in it.
    """
    # The C library hands freed memory back to the system, which is slow to give it again, until it has seen a block of
    # such a size freed. A training frees one in its first step.
    torch.empty(30 * 2**20, dtype=torch.uint8)
    taken = [[] for _ in works]
    for repeat in range(plan.repeats + 1):
        turns = list(enumerate(works))
        for index, work in reversed(turns) if repeat % 2 else turns:
            taken[index].append(seconds(work, plan.device))
    return [times[1:] for times in taken]


def with_amp(chosen: Settings, amp: str) -> Settings:
    """The same settings in another precision. Raises `UserError` for an unknown one."""
    return settings({**{name: each for name, each in vars(chosen).items() if name != "sequence"}, "amp": amp})


def quotients(above: Sequence[float], below: Sequence[float]) -> list[float]:
    """One divided by the other, repeat by repeat."""
    return [a / b for a, b in zip(above, below, strict=True)]


def noise(count: int, plan: Plan) -> Tensor:
    """Images without content: uint8 [count, 3, 32, 32] on the device."""
    images = torch.randint(0, 256, (count, 3, 32, 32), generator=torch.Generator().manual_seed(count))
    return images.to(torch.uint8).to(plan.device)


def labels(count: int, plan: Plan, classes: int = CLASSES) -> Tensor:
    """Labels without meaning, all classes equally often: int64 [count] on the device."""
    return (torch.arange(count) % classes).to(plan.device)


def milliseconds(times: Sequence[float], parts: int = 1) -> float:
    """The median of these seconds for one of so many parts, in milliseconds."""
    return 1000 * median(times) / parts


def _synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
