"""The "other" output: its loss against a slow, obvious version, its subtraction, the exemplars it is taught with."""

import math

import numpy as np
import pytest
import torch

from datasets.batches import Rows
from models.resnet import resnet18
from utils.method.others import log_priors, with_others
from utils.running.randomness import StepRandom

CLASSES, ALPHA, WEIGHT = 3, 0.75, 0.5


def rows(count: int, labels: torch.Tensor | None, seed: int) -> Rows:
    return Rows([torch.rand(count, 3, 8, 8, generator=torch.Generator().manual_seed(seed))], labels)


def slow_loss(model, batch: list[Rows]) -> float:
    """One row after the other, in NumPy's double precision."""
    own, exemplars, foreign = (len(part.views[0]) for part in batch)
    images = torch.cat([part.views[0] for part in batch])
    kinds = [*batch[0].labels.tolist(), *[CLASSES] * (exemplars + foreign)]
    random = StepRandom("cpu", "step")
    order, share = random.permutation(len(images)), random.mixing(ALPHA, len(images))
    pairs = enumerate(zip(order, share, strict=True))
    mixed = torch.stack([s * images[i] + (1 - s) * images[j] for i, (j, s) in pairs])
    logits = model(mixed).detach().double().numpy()
    prior = [own / (own + exemplars) / CLASSES] * CLASSES + [exemplars / (own + exemplars) + WEIGHT]
    known = unknown = 0.0
    for i, row in enumerate(logits):
        adjusted = row + np.log(prior)
        log_p = adjusted - np.log(np.exp(adjusted).sum())
        s = float(share[i])
        loss = -s * log_p[kinds[i]] - (1 - s) * log_p[kinds[order[i]]]
        if i < own + exemplars:
            known += loss / (own + exemplars)
        else:
            unknown += loss / foreign
    return known + WEIGHT * unknown


def test_loss_is_the_slow_one():
    model = resnet18(CLASSES + 1, (4, 4, 4, 4), seed=0).eval()
    batch = [rows(6, torch.tensor([0, 1, 2, 0, 1, 2]), 1), rows(2, torch.tensor([7, 0]), 2), rows(4, None, 3)]
    outcome = with_others(CLASSES, ALPHA, WEIGHT)(model, batch, StepRandom("cpu", "step"))
    assert outcome.loss.item() == pytest.approx(slow_loss(model, batch), rel=1e-5)
    assert outcome.logits.shape == (12, CLASSES + 1)
    assert len(outcome.inputs) == 12


def test_what_an_exemplar_was_makes_no_difference():
    model = resnet18(CLASSES + 1, (4, 4, 4, 4), seed=0).eval()
    losses = []
    for old in ([0, 0], [2, 9]):
        batch = [rows(3, torch.tensor([0, 1, 2]), 1), rows(2, torch.tensor(old), 2)]
        losses.append(with_others(CLASSES, ALPHA, WEIGHT)(model, batch, StepRandom("cpu", "step")).loss.item())
    assert losses[0] == losses[1]


def test_priors_are_the_shares_of_the_loss():
    prior = log_priors(2, labelled=6, exemplars=2, unlabelled=4, weight=0.5).exp().tolist()
    assert prior == pytest.approx([6 / 8 / 2, 6 / 8 / 2, 2 / 8 + 0.5])
    assert math.isclose(sum(prior), 1.5)


def test_logits_without_other_are_log_ratios():
    model = resnet18(CLASSES + 1, (4, 6, 8, 10), seed=0).eval()
    images = torch.rand(5, 3, 16, 16)
    before = model(images)
    alone = model.without_other()
    torch.testing.assert_close(alone(images), before[:, :-1] - before[:, -1:])
    assert (alone.num_classes, model.num_classes) == (CLASSES, CLASSES + 1)
