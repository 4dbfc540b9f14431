"""The "other" output: its loss against a slow, obvious version, and its subtraction."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from models import ResNet18
from tests.method.linear import Linear, rows
from utils.method.others import with_others
from utils.running.randomness import StepRandom

CLASSES, ALPHA, WEIGHT = 3, 0.75, 0.5


def slow_loss(model, batch) -> float:
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


def test_loss_is_the_slow_one_whatever_class_an_exemplar_was():
    model = Linear(classes=CLASSES + 1)
    batch = [rows(6, 1, classes=CLASSES), rows(2, 2), replace(rows(4, 3), labels=None)]
    batch[1].labels[:] = torch.tensor([7, 0])
    outcome = with_others(CLASSES, ALPHA, WEIGHT)(model, batch, StepRandom("cpu", "step"))
    assert outcome.loss.item() == pytest.approx(slow_loss(model, batch), rel=1e-5)
    torch.testing.assert_close(outcome.logits, model(outcome.inputs))
    with torch.autocast("cpu", torch.bfloat16):
        assert with_others(CLASSES, ALPHA, WEIGHT)(model, batch, StepRandom("cpu", "step")).loss.dtype == torch.float32


def test_logits_without_other_are_log_ratios():
    model, images = ResNet18(CLASSES + 1, (4, 6, 8, 10), seed=0).eval(), torch.rand(5, 3, 16, 16)
    before, alone = model(images), model.without_other(CLASSES)
    torch.testing.assert_close(alone(images), before[:, :-1] - before[:, -1:])
    assert (alone.num_classes, model.num_classes) == (CLASSES, CLASSES + 1)
    assert alone.without_other(CLASSES) is alone, "it has none"
