"""Tasks: what is learned one after the other, and which training images are in reach meanwhile.

A split's tasks are ranges of classes of one data set, a sequence's tasks are whole data sets; whoever trains sees tasks
only. Labels are *global*: task i's classes are the numbers `first` … `last`−1, in the order of learning. *Task-local*
labels count from 0 inside a task.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import torch

from datasets.images import Channels, Images, ImageSet, measured
from utils.running.errors import UserError
from utils.running.randomness import generator


@dataclass(eq=False)
class Task:
    """One task. Its training images are in reach inside `with task:` only, and gone afterwards."""

    index: int  # from 0
    name: str  # in file names: "0to10", "mnist"
    first: int  # the global label of its first class
    class_names: tuple[str, ...]  # of its classes, in the order of their labels
    class_keys: list[tuple]  # what tells each class from all others in the keys of random numbers
    test: Images  # its test images, global labels
    mean: Channels  # channel means by which its images are normalised, of pixels in [0, 1]
    std: Channels  # channel standard deviations, likewise
    mirror: bool  # whether a mirrored image keeps its class
    stand_in: bool  # whether the images are drawn stand-ins for the data set's
    _kept: Images | None  # its training images, global labels, until it has ended
    _open: bool = False  # whether they are in reach

    def __post_init__(self) -> None:
        # Of its training and its test images, wherever in the order it stands.
        self.fingerprint, self.test_fingerprint = (
            replace(images, labels=images.labels - self.first).fingerprint() for images in (self._kept, self.test)
        )

    @property
    def num_classes(self) -> int:
        return len(self.class_names)

    @property
    def last(self) -> int:
        """One more than the global label of its last class."""
        return self.first + self.num_classes

    @property
    def train(self) -> Images:
        """Its training images, global labels. Raises `RuntimeError` unless the task has begun and not ended."""
        if not self._open:
            raise RuntimeError(f"training images of task {self.name} asked for while it is not trained")
        return self._kept

    @property
    def described(self) -> dict[str, Any]:
        """What a record says of it."""
        images = {"images": self.fingerprint, "test images": self.test_fingerprint}
        return {"task": self.name, "classes": list(self.class_names), **images}

    def __enter__(self) -> "Task":
        if self._kept is None:
            raise RuntimeError(f"task {self.name} has ended: its training images are gone")
        self._open = True
        return self

    def __exit__(self, *error: object) -> None:
        self._open, self._kept = False, None


@dataclass(frozen=True)
class Split:
    """A data set cut into tasks."""

    bounds: list[int]  # the tasks' borders in the class order
    type: str  # "sA-tB"
    dataset: str  # the data set's short name
    tasks: list[Task]
    configuration: dict[str, Any]  # the same, as results say it


def class_ranges(train: ImageSet, test: ImageSet, order: Sequence[int], bounds: Sequence[int]) -> list[Task]:
    """Cuts a data set into tasks.

    Args:
        train, test: the data set's two parts, with its own label numbers.
        order: all class numbers, in the order of learning.
        bounds: rising from 0; task i has the classes order[bounds[i]:bounds[i+1]]. Later classes are left out.

    A set without means and deviations of its own is normalised by those of the first task's training images, as later
    ones are not known before.

    Raises: `UserError` if a class of the split has no training or no test image.
    """
    order = list(order)[: bounds[-1]]
    names = [train.class_names[number] for number in order]
    parts = [relabelled(part, order, title) for part, title in ((train, "training"), (test, "test"))]
    tasks: list[Task] = []
    for index, (first, last) in enumerate(pairwise(bounds)):
        images, tested = (part.select((part.labels >= first) & (part.labels < last)) for part in parts)
        mean, std = (tasks[0].mean, tasks[0].std) if tasks else (train.mean, train.std)
        if mean is None:
            mean, std = measured(images.images)
        keys = [(label,) for label in range(first, last)]
        shown = (mean, std, train.mirror, train.stand_in)
        tasks.append(Task(index, f"{first}to{last}", first, tuple(names[first:last]), keys, tested, *shown, images))
    return tasks


def relabelled(part: ImageSet, order: list[int], title: str) -> Images:
    """The images of the classes in `order`, each labelled by its class's place there."""
    place = torch.full((len(part.class_names),), -1)
    place[torch.tensor(order)] = torch.arange(len(order))
    labels = place[part.labels]
    missing = [part.class_names[number] for number in order if number not in part.labels]
    if missing:
        raise UserError(
            f"{part.name} has no {title} image of {len(missing)} classes of the split, {missing[0]} the "
            f"first: give a split_list or class_order within the classes that are there"
        )
    kept = (labels >= 0).nonzero().flatten()
    images = part.images if len(kept) == len(labels) else part.images[kept]  # no second copy of the whole set
    return Images(images, labels[kept], kept)


def data_sets(parts: Sequence[tuple[ImageSet, ImageSet]]) -> list[Task]:
    """Makes a task of every data set, given by its training and test part."""
    tasks, first = [], 0
    for index, (train, test) in enumerate(parts):
        images, tested = (
            Images(part.images, part.labels + first, torch.arange(len(part.labels))) for part in (train, test)
        )
        keys = [(train.name, label) for label in range(len(train.class_names))]
        shown = (train.mean, train.std, train.mirror, train.stand_in)
        tasks.append(Task(index, train.name, first, train.class_names, keys, tested, *shown, images))
        first = tasks[-1].last
    return tasks


def hold_out(images: Images, fraction: float, seed: int) -> tuple[Images, Images]:
    """Splits off a share of each class, at least one image: (to train on, held out).

    Which images are held out depends on the seed and the class only.

    Raises: `UserError` if a class would keep no image to train on.
    """
    held = torch.zeros(len(images), dtype=torch.bool)
    for label in images.labels.unique().tolist():
        rows = (images.labels == label).nonzero().flatten()
        count = max(1, round(fraction * len(rows)))
        if count >= len(rows):
            raise UserError(
                f"a class has {len(rows)} training images, too few to hold out {count} of them: "
                f"expected at least {count + 1}"
            )
        held[rows[torch.randperm(len(rows), generator=generator("cpu", seed, "held out", label))[:count]]] = True
    return images.select(~held), images.select(held)
