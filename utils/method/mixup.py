"""Supervised training, plain or with mixup (Zhang et al. 2018, arXiv 1710.09412, section 2)."""

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from datasets.batches import Rows
from utils.running.randomness import StepRandom


class Outcome(NamedTuple):
    """What a training step computed: `loss` scalar; `inputs` [N, 3, H, W] and the model's `logits` [N, C] for them, row
    for row."""

    loss: Tensor
    inputs: Tensor
    logits: Tensor


# What a kind of training is: (model in training mode, batch, random values of the step) -> outcome.
Objective = Callable[[nn.Module, list[Rows], StepRandom], Outcome]


def soft_cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Mean over rows of −Σ_c targets·log softmax(logits): logits [N, C], targets [N, C] rows summing to 1 -> scalar."""
    return -(targets * F.log_softmax(logits.float(), dim=1)).sum(dim=1).mean()


def mix(inputs: Tensor, targets: Tensor, order: Tensor, share: Tensor) -> tuple[Tensor, Tensor]:
    """share·row + (1−share)·row of `order`, for inputs [N, C, H, W] and targets [N, C] alike; share and order [N]."""
    mixed = torch.lerp(inputs[order], inputs, share.view(-1, 1, 1, 1))
    return mixed, torch.lerp(targets[order], targets, share.view(-1, 1))


def supervised(model: nn.Module, batch: list[Rows], random: StepRandom) -> Outcome:
    """Plain cross-entropy on the batch's first part."""
    (rows,) = batch
    logits = model(rows.views[0])
    return Outcome(F.cross_entropy(logits.float(), rows.labels), rows.views[0], logits)


def mixup(num_classes: int, alpha: float) -> Objective:
    """Cross-entropy on pairs mixed over the joined rows of all parts of the batch, see `StepRandom.mixing`.

    With `alpha` 0 nothing is mixed.
    """

    def objective(model: nn.Module, batch: list[Rows], random: StepRandom) -> Outcome:
        inputs = torch.cat([rows.views[0] for rows in batch])
        labels = torch.cat([rows.labels for rows in batch])
        targets = F.one_hot(labels, num_classes).to(inputs.dtype)
        if alpha > 0:
            order, share = random.permutation(len(inputs)), random.mixing(alpha, len(inputs))
            inputs, targets = mix(inputs, targets, order, share)
        logits = model(inputs)
        return Outcome(soft_cross_entropy(logits, targets), inputs, logits)

    return objective
