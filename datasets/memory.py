"""The exemplar memory: images chosen once, later only shortened from the end of each class's list."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from datasets.images import Images, joined
from datasets.tasks import Task
from utils.running.randomness import generator


def herding_order(features: Tensor, count: int) -> list[int]:
    """The first `count` positions, or all N, in the order of herding of a class's features [N, D].

    Greedily takes the row that brings the mean of those taken nearest to the mean of all; rows are scaled to unit
    length first, and no row is taken twice (Rebuffi et al. 2017, iCaRL, arXiv 1611.07725, algorithm 4).
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


class Memory:
    """The exemplars' pixels, one list a class seen, most wanted first: what stage two has of old tasks, and all it has.

    Args:
        size: exemplars in all, shared evenly by the classes seen.
        per_class: exemplars of each class, in place of a size.
    """

    def __init__(self, size: int = 0, per_class: int | None = None):
        self.size, self.per_class = size, per_class
        self.classes: list[Images] = []  # for each global label its exemplars

    def share(self, classes: int) -> int:
        """Exemplars a class when so many classes have been seen."""
        return self.size // classes if self.per_class is None else self.per_class

    def add(self, task: Task, seed: int, features: Callable[[Tensor], Tensor] | None = None) -> None:
        """Remembers the classes of the next task, each chosen once, and shortens every list to its new share.

        Args:
            seed: of the choice at random, of which any beginning is a uniform sample; a function of seed and class.
            features: of images [N, 3, H, W], [N, D]: the choice is by herding on these instead.
        """
        share = self.share(task.last)
        for label, key in enumerate(task.class_keys, start=task.first):
            of_class = task.train.select(task.train.labels == label)
            if features is None:
                order = torch.randperm(len(of_class), generator=generator("cpu", seed, "exemplars", *key))[:share]
            else:
                order = torch.tensor(herding_order(features(of_class.images), share), dtype=torch.int64)
            self.classes.append(of_class.select(order))
        self.classes = [images.select(torch.arange(min(share, len(images)))) for images in self.classes]

    def images(self, first: int = 0, last: int | None = None) -> Images:
        """The exemplars of the classes `first` … `last`−1, by default of all, in the order of their labels."""
        nothing = torch.empty(0, dtype=torch.int64)
        return joined(
            self.classes[first:last] or [Images(torch.empty(0, 3, 1, 1, dtype=torch.uint8), nothing, nothing)]
        )

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint holds of it: all exemplars as one `Images`."""
        return vars(self.images()) if self.classes else {}

    def load_state_dict(self, state: dict[str, Any], classes: int) -> None:
        """Takes up what `state_dict` gave, of so many classes seen."""
        kept = Images(**state).to("cpu") if state else None
        self.classes = [kept.select(kept.labels == label) for label in range(classes)] if state else []
