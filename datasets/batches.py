"""Batches of augmented images, made on the device that trains."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from datasets import augment
from datasets.augment import Transform
from utils.running.randomness import generator


@dataclass(frozen=True)
class Part:
    """What one part of every batch is drawn from."""

    images: Tensor  # uint8 [N, 3, H, W]
    labels: Tensor | None  # int64 [N], or None for unlabelled images
    size: int  # rows a batch
    transform: Transform
    views: int = 1  # how many augmentations of the same images a batch holds


@dataclass(frozen=True)
class Rows:
    """One part of a batch."""

    views: list[Tensor]  # each float32 [size, 3, H, W] in [0, 1], of the same images in the same order
    labels: Tensor | None  # int64 [size]


def moved(rows: Tensor, device: torch.device) -> Tensor:
    """The rows on `device`; to a GPU through pinned memory, so that neither side waits for the copy."""
    if rows.device.type == "cpu" and device.type == "cuda":
        rows = rows.pin_memory()
    return rows.to(device, non_blocking=True)


class Batches:
    """An endless sequence of batches, of which number `n` is a function of (key, n) alone.

    Each part is walked through in a fresh random order, pass after pass; a batch that reaches the end of a pass takes
    its remaining rows from the next one. So no batch is ragged, no image is left out, a part may be smaller than its
    share of the batch, and every image is drawn equally often.

    Args:
        parts: what a batch is made of, in this order.
        steps_per_epoch: how many batches are called an epoch.
        key: names the training (seed, task, phase) for `utils.running.randomness`.
        device: where batches are made; by default where the images are. From images elsewhere, which do not fit there,
            each batch's are copied as uint8 and augmented on the device.
    """

    def __init__(self, parts: list[Part], steps_per_epoch: int, key: tuple, device: torch.device | str | None = None):
        self.parts = parts
        self.steps_per_epoch = steps_per_epoch
        self.key = key
        self.device = parts[0].images.device if device is None else torch.device(device)
        self._orders: dict[int, tuple[int, Tensor]] = {}  # of each part its newest pass, by number

    def draw(self, number: int) -> list[Rows]:
        """Batch `number`, counted from 0 over all epochs."""
        return [self._rows(index, part, number) for index, part in enumerate(self.parts)]

    def _rows(self, index: int, part: Part, number: int) -> Rows:
        chosen = self.indices(index, number)
        images = moved(part.images.index_select(0, chosen), self.device)
        random = generator(self.device, *self.key, "augment", index, number)
        views = [augment.apply(images, *augment.draw(part.size, part.transform, random)) for _ in range(part.views)]
        labels = None if part.labels is None else moved(part.labels.index_select(0, chosen), self.device)
        return Rows(views, labels)

    def indices(self, index: int, number: int) -> Tensor:
        """Which images of part `index` batch `number` holds: int64 [size]."""
        size, count = self.parts[index].size, len(self.parts[index].images)
        turn, start = divmod(number * size, count)
        orders = [self._order(index, turn + more) for more in range(math.ceil((start + size) / count))]
        # One pass is sliced as it is: of 50,000 images, a copy of the order takes 3 % of the augmentation's time.
        return (orders[0] if len(orders) == 1 else torch.cat(orders))[start : start + size]

    def _order(self, index: int, turn: int) -> Tensor:
        if index not in self._orders or self._orders[index][0] != turn:
            images = self.parts[index].images
            # Drawn on the CPU, so that the batches hold the same images on every device.
            order = torch.randperm(len(images), generator=generator("cpu", *self.key, "order", index, turn))
            self._orders[index] = turn, moved(order, images.device)
        return self._orders[index][1]
