"""A model of which everything can be said by hand, and batches for it."""

import math

import torch
from torch import nn

from datasets.batches import Rows


class Linear(nn.Module):
    """Logits that depend on a row alone, not on the batch around it; remembers every batch it saw."""

    def __init__(self, seed=0, classes=4, size=4):
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.weight = nn.Parameter(torch.randn(3 * size * size, classes, generator=generator))
        self.seen = []

    def forward(self, x):
        self.seen.append(x.detach().clone())
        return x.flatten(1) @ self.weight


def images(count, seed=0, size=4):
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(seed))


def rows(count, seed=0, views=1, classes=4):
    """Rows of the classes 0, 1, 2, …, or with several views unlabelled ones."""
    pictures = [images(count, seed + view) for view in range(views)]
    return Rows(pictures, torch.arange(count) % classes if views == 1 else None)


def slow_softmax(logits):
    powers = [math.exp(value - max(logits)) for value in logits]
    return [power / sum(powers) for power in powers]
