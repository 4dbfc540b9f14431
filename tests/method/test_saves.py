"""How often an unfinished training is saved: an epoch may take less time than saving."""

from types import SimpleNamespace

import pytest
import torch

from datasets.augment import Transform
from datasets.batches import Batches, Part
from models import resnet18
from utils.method import training
from utils.method.mixup import supervised
from utils.running.console import Console


@pytest.mark.parametrize(("apart", "saves"), [(60, 0), (0, 4)])
def test_fault_6_saves_are_due_by_epochs_and_a_minute_apart(monkeypatch, apart, saves):
    assert training.SECONDS_BETWEEN_SAVES == 60
    monkeypatch.setattr(training, "SECONDS_BETWEEN_SAVES", apart)
    saved = []
    run = SimpleNamespace(dry=False)
    artefact = SimpleNamespace(run=run, saved_training=lambda: None, save_training=saved.append)
    part = Part(torch.zeros(4, 3, 16, 16, dtype=torch.uint8), torch.zeros(4, dtype=torch.int64), 4, Transform())
    schedule = training.Schedule(10, 1e-3, 0.0, 5.0, evaluate_every=10, evaluate_last=1, save_every=2, amp="off")
    model = resnet18(2, (2, 2, 2, 2), seed=0)
    training.fit(model, Batches([part], 1, ("key",)), supervised, schedule, Console(), "title", artefact=artefact)
    assert len(saved) == saves  # after epochs 2, 4, 6 and 8; the tenth ends it
