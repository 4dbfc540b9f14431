"""MixMatch (Berthelot et al. 2019, arXiv 1905.02249): one step on labelled and unlabelled images.

The symbols of the paper's algorithm 1: X labelled rows, U unlabelled rows with K augmentations each, q̂ the guessed
labels, W all of them shuffled; X', U' the mixed rows; T the sharpening temperature; λ_u the weight of Lu.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from datasets.batches import Rows
from utils.method.mixup import Objective, Outcome, mix, soft_cross_entropy
from utils.running.randomness import StepRandom


def sharpen(probabilities: Tensor, temperature: float) -> Tensor:
    """p_c^(1/T) / Σ p^(1/T), row by row (eq. 7). probabilities: [N, C]."""
    powered = probabilities ** (1 / temperature)
    return powered / powered.sum(dim=1, keepdim=True)


@torch.no_grad()
def guess_labels(model: nn.Module, views: list[Tensor], temperature: float) -> Tensor:
    """The sharpened mean prediction over the K augmentations of the same images (eq. 6–7).

    Args:
        views: K tensors [B, 3, H, W]; row i of each is an augmentation of image i.

    Returns: [B, C], float32, no gradient.
    """
    momenta = {norm: norm.momentum for norm in model.modules() if isinstance(norm, nn.BatchNorm2d)}
    for norm in momenta:  # they go on normalising by the batch, but leave their running statistics as they are
        norm.momentum = 0.0
    logits = model(torch.cat(views)).float()
    for norm, momentum in momenta.items():
        norm.momentum = momentum
    # Weights that were cast here know no gradient, and some versions of autocast would hand them to the training pass.
    torch.clear_autocast_cache()
    probabilities = torch.stack(logits.softmax(dim=1).chunk(len(views))).mean(dim=0)
    return sharpen(probabilities, temperature)


def forward_interleaved(model: nn.Module, inputs: Tensor, size: int) -> Tensor:
    """Logits for all rows, computed in sub-batches of about `size` that each hold a fair share of every kind of row.

    Row i goes to sub-batch i mod m, so that labelled and unlabelled rows share the batch-norm statistics of every
    sub-batch; the logits come back in the order of the rows.

    Args:
        inputs: [N, 3, H, W], the kinds of rows one after the other.

    Returns: [N, C].
    """
    parts = round(len(inputs) / size)
    dealt = [model(inputs[part::parts]) for part in range(parts)]
    logits = dealt[0].new_empty(len(inputs), dealt[0].shape[1])
    for part, rows in enumerate(dealt):
        logits[part::parts] = rows
    return logits


def mixmatch_loss(logits: Tensor, targets: Tensor, labelled: int, lambda_u: float) -> Tensor:
    """Lx + λ_u·Lu (eq. 2–5): cross-entropy of the first `labelled` rows, squared error of the others' probabilities.

    Args:
        logits, targets: [N, C], the labelled rows first, row for row.
    """
    logits = logits.float()
    loss_x = soft_cross_entropy(logits[:labelled], targets[:labelled])
    loss_u = F.mse_loss(logits[labelled:].softmax(dim=1), targets[labelled:])
    return loss_x + lambda_u * loss_u


def mixmatch(num_classes: int, alpha: float, sharpening: float, lambda_u: float) -> Objective:
    """The objective of a batch of two parts: labelled rows with one view, unlabelled rows with K views."""

    def objective(model: nn.Module, batch: list[Rows], random: StepRandom) -> Outcome:
        x, u = batch
        guessed = guess_labels(model, u.views, sharpening)
        inputs = torch.cat([x.views[0], *u.views])
        targets = torch.cat([F.one_hot(x.labels, num_classes).to(guessed.dtype), *[guessed] * len(u.views)])
        inputs, targets = mix(inputs, targets, random.permutation(len(inputs)), random.mixing(alpha, len(inputs)))
        logits = forward_interleaved(model, inputs, size=len(x.labels))
        return Outcome(mixmatch_loss(logits, targets, len(x.labels), lambda_u), inputs, logits)

    return objective
