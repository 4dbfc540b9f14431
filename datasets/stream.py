"""The training images in reach of one task, and the test images of all classes seen.

Labels inside the stream are *global*: a class's place in the class order, so that task i's classes are the numbers
split[i] … split[i+1]−1. *Task-local* labels count from 0 inside a task.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from datasets import normalisation
from datasets.image_set import ImageSet
from utils.errors import UserError
from utils.randomness import generator


class OutOfReach(RuntimeError):  # noqa: N818 - the word of the protocol
    """Code asked for training images that the incremental protocol puts out of reach: an error in the code."""


@dataclass(frozen=True)
class Task:
    """Task number `index` (0-based) with the global labels `first` … `last`−1."""

    index: int
    first: int
    last: int

    @property
    def num_classes(self) -> int:
        return self.last - self.first

    @property
    def name(self) -> str:
        return f"{self.first}to{self.last}"


@dataclass(frozen=True)
class Images:
    """`images` uint8 [N, 3, H, W], `labels` int64 [N], `indices` int64 [N]: their rows in the data set's file."""

    images: Tensor
    labels: Tensor
    indices: Tensor

    def select(self, chosen: Tensor) -> "Images":
        """The rows at `chosen` (int64 or bool)."""
        return Images(self.images[chosen], self.labels[chosen], self.indices[chosen])

    def to(self, device: torch.device | str) -> "Images":
        """The same on another device."""
        return Images(self.images.to(device), self.labels.to(device), self.indices.to(device))

    def __len__(self) -> int:
        return len(self.labels)


class TaskStream:
    """A data set cut into tasks.

    Args:
        train, test: the data set's two parts, with its own label numbers.
        order: all class numbers, in the order of learning.
        split: rising list from 0; task i has the classes order[split[i]:split[i+1]]. Later classes are left out.
        device: where the images live.
        joint: lets `images_seen` break the protocol, for joint training, the upper bound; of nothing else.

    Attributes:
        mean, std: the data set's own; where it has none, those of the first task's training images, so that nothing is
            learned of later tasks before they come.

    Raises: `UserError` if a class of the split has no training or no test image.
    """

    def __init__(
        self,
        train: ImageSet,
        test: ImageSet,
        order: Sequence[int],
        split: Sequence[int],
        device: torch.device | str = "cpu",
        joint: bool = False,
    ):
        self.name, self.mean, self.std, self.mirror = train.name, train.mean, train.std, train.mirror
        self.order = list(order)[: split[-1]]
        self.class_names = [train.class_names[number] for number in self.order]
        self.tasks = [Task(i, a, b) for i, (a, b) in enumerate(pairwise(split))]
        self._train = self._relabelled(train, "training", device)
        self._test = self._relabelled(test, "test", device)
        self._current: int | None = None
        self._joint = joint
        if self.mean is None:
            first = torch.isin(train.labels, torch.tensor(self.order[: self.tasks[0].last]))
            self.mean, self.std = normalisation.measured(train.images[first])

    def _relabelled(self, part: ImageSet, title: str, device: torch.device | str) -> Images:
        place = torch.full((len(part.class_names),), -1)
        place[torch.tensor(self.order)] = torch.arange(len(self.order))
        labels = place[part.labels]
        missing = [
            name
            for name, count in zip(
                self.class_names, torch.bincount(labels[labels >= 0], minlength=len(self.order)).tolist(), strict=True
            )
            if count == 0
        ]
        if missing:
            raise UserError(
                f"{part.name} has no {title} image of {len(missing)} classes of the split, {missing[0]} the "
                f"first: give a split_list or class_order within the classes that are there"
            )
        kept = (labels >= 0).nonzero().flatten()
        images = part.images if len(kept) == len(part) else part.images[kept]  # no second copy of the whole set
        return Images(images, labels[kept], kept).to(device)

    def begin(self, task: Task) -> None:
        """Puts the training images of `task`, and of no other, in reach."""
        self._current = task.index

    def training_images(self, task: Task) -> Images:
        """The task's training images with global labels. Raises `OutOfReach` unless it is the task begun last."""
        self._require_begun(task)
        return self._train.select((self._train.labels >= task.first) & (self._train.labels < task.last))

    def images_seen(self, task: Task) -> Images:
        """All training images of the classes seen up to the task, with global labels: what the protocol forbids.

        Raises: `OutOfReach` unless the stream was made for `joint` training and it is the task begun last.
        """
        if not self._joint:
            raise OutOfReach("all training images of old classes asked for by a training that is not joint")
        self._require_begun(task)
        return self._train.select(self._train.labels < task.last)

    def _require_begun(self, task: Task) -> None:
        if task.index != self._current:
            raise OutOfReach(
                f"training images of task {task.index + 1} asked for while "
                f"{'no task' if self._current is None else f'task {self._current + 1}'} is trained"
            )

    def exemplars(self, memory: "Sequence[Sequence[int]]", size: int) -> Images:
        """The images of an exemplar memory: for each class seen, its indices into the training set's file.

        Raises: `OutOfReach` if it holds more than `size` images, one of a class not yet begun, or of another class.
        """
        if self._current is None or len(memory) > self.tasks[self._current].last:
            raise OutOfReach("exemplars of classes that no task has brought yet")
        if sum(map(len, memory)) > size:
            raise OutOfReach(f"{sum(map(len, memory))} exemplars asked for from a memory of {size}")
        wanted = torch.tensor([index for indices in memory for index in indices], dtype=torch.int64)
        labels = torch.tensor([label for label, indices in enumerate(memory) for _ in indices], dtype=torch.int64)
        rows = torch.searchsorted(self._train.indices, wanted.to(self._train.indices.device))
        rows = rows.clamp(max=len(self._train) - 1)
        found = self._train.select(rows)
        if not (torch.equal(found.indices.cpu(), wanted) and torch.equal(found.labels.cpu(), labels)):
            raise OutOfReach("an exemplar index points to an image of another class")
        return found

    def test_images(self, task: Task) -> Images:
        """The task's test images with global labels."""
        return self._test.select((self._test.labels >= task.first) & (self._test.labels < task.last))


def hold_out(images: Images, fraction: float, seed: int) -> tuple[Images, Images]:
    """Splits off a share of each class, at least one image, by seed: (to train on, held out).

    Which images are held out depends on the seed and the class only.

    Raises: `UserError` if a class would keep no image to train on.
    """
    held = torch.zeros(len(images), dtype=torch.bool, device=images.labels.device)
    for label in images.labels.unique().tolist():
        rows = (images.labels == label).nonzero().flatten()
        count = max(1, round(fraction * len(rows)))
        if count >= len(rows):
            raise UserError(
                f"a class has {len(rows)} training images, too few to hold out {count} of them: "
                f"expected at least {count + 1}"
            )
        chosen = torch.randperm(len(rows), generator=generator("cpu", seed, "held out", label))[:count]
        held[rows[chosen.to(rows.device)]] = True
    return images.select(~held), images.select(held)
