"""Stage two's training: the joined network on a balanced mixture of exemplars and the current task."""

import torch

from datasets.augment import Transform
from datasets.batches import Batches, Part
from datasets.stream import Images


def exemplar_rows(batch_size: int, old: int, new: int) -> int:
    """How many rows of a batch are exemplars: batch_size·old/(old+new), to the nearest, leaving one for either kind."""
    return min(batch_size - 1, max(1, round(batch_size * old / (old + new))))


def balanced_batches(
    exemplars: Images,
    old: int,
    current: Images,
    new: int,
    batch_size: int,
    transform: Transform,
    key: tuple,
    device: torch.device | str | None = None,
) -> Batches:
    """Batches in which every class is seen equally often; an epoch is one pass over the exemplars.

    Args:
        exemplars, current: images with global labels of the `old` and of the `new` classes.
        key, device: see `Batches`.
    """
    rows = exemplar_rows(batch_size, old, new)
    parts = [
        Part(exemplars.images, exemplars.labels, rows, transform),
        Part(current.images, current.labels, batch_size - rows, transform),
    ]
    return Batches(parts, -(-len(exemplars) // rows), key, device)
