"""The exemplar memory: chosen once, later only shortened from the end of each list."""

from collections.abc import Sequence

import torch
from torch import Tensor

from datasets.stream import Images
from utils.errors import UserError
from utils.randomness import generator


def random_order(count: int, key: tuple) -> list[int]:
    """Positions 0..count−1 in a random order that is a function of the key: any beginning is a uniform sample."""
    return torch.randperm(count, generator=generator("cpu", *key)).tolist()


def herding_order(features: Tensor, count: int) -> list[int]:
    """Positions in the order of herding (Rebuffi et al. 2017, iCaRL, arXiv 1611.07725, algorithm 4).

    Greedily takes the row that brings the mean of those taken nearest to the mean of all; rows are scaled to unit
    length first, and no row is taken twice.

    Args:
        features: [N, D] of one class's training images.
        count: how many to take, at most N.
    """
    features = torch.nn.functional.normalize(features.double(), dim=1)
    mean = features.mean(dim=0)
    total = torch.zeros_like(mean)
    left = torch.ones(len(features), dtype=torch.bool, device=features.device)
    order = []
    for taken in range(min(count, len(features))):
        distance = ((total + features) / (taken + 1) - mean).norm(dim=1)
        nearest = int(distance.masked_fill(~left, float("inf")).argmin())
        left[nearest] = False
        total += features[nearest]
        order.append(nearest)
    return order


class RehearsalMemory:
    """Indices of exemplars, one list per class seen, most wanted first.

    Args:
        size: exemplars in all.
        lists: for each global label the chosen images' indices into the training set's file.
    """

    def __init__(self, size: int, lists: Sequence[Sequence[int]] = ()):
        self.size = size
        self.lists = [list(indices) for indices in lists]

    def add_task(self, images: Images, orders: Sequence[Sequence[int]]) -> None:
        """Remembers the classes of a task that ends, and shortens every list to the new share of the memory.

        Args:
            images: the task's training images, the next global labels after those remembered.
            orders: for each of its classes, in order of label, positions among that class's images, most wanted first.
        """
        for position, order in enumerate(orders):
            of_class = images.indices[images.labels == len(self.lists)].tolist()
            if len(set(order)) != len(order):
                raise ValueError(f"an exemplar of the task's class {position} was drawn twice")
            self.lists.append([of_class[row] for row in order])
        self.shorten(self.per_class(len(self.lists)))

    def per_class(self, classes: int) -> int:
        """Exemplars a class when so many classes share the memory."""
        return self.size // classes

    def shorten(self, count: int) -> None:
        """Keeps at most the first `count` exemplars of every class."""
        self.lists = [indices[:count] for indices in self.lists]


def require_room(size: int, classes: int) -> None:
    """Raises `UserError` if `size` is no count of images, or leaves none for each of `classes` old classes."""
    if not isinstance(size, int) or isinstance(size, bool) or size < 1:
        raise UserError(f"rehearsal_size={size!r} is not accepted: expected a whole number from 1 up")
    if size < classes:
        raise UserError(
            f"rehearsal_size={size} is less than one exemplar for each of {classes} old classes: "
            f"expected at least {classes}"
        )
