"""What several test files share: tiny stand-in data, and one tiny run of both stages."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

import train_classifier
import train_EDE_Net
from datasets import synthetic
from utils import figures

torch.set_num_threads(1)

SPLIT = {"split_list": [0, 3, 6, 9], "split_type": "s0-t3"}
TINY = {
    "recipe": "demo",
    "device": "cpu",
    "amp": "off",
    "widths": [4, 6, 8, 10],
    "min_width": 2,
    "epochs": 2,
    "distill_epochs": 1,
    "finetune_epochs": 2,
    "batch_size": 16,
    "unlabeled_batch_size": 8,
    "finetune_batch_size": 16,
    "max_accuracy_loss": 100.0,
    "lambda_u": 10.0,
}
REHEARSAL = 31  # 10 exemplars a class after the first task, 5 after the second, 3 after the third


@pytest.fixture(scope="session")
def stand_in(tmp_path_factory) -> Path:
    """A data root: 9 classes of CIFAR-100 with 12 + 5 images each, and CIFAR-10, drawn."""
    folder = tmp_path_factory.mktemp("data")
    synthetic.write(folder, train_per_class=12, test_per_class=5, classes=9, sets=("cifar100", "cifar10"))
    return folder


@pytest.fixture(scope="session")
def tiny_options(stand_in) -> dict:
    """Options of the smallest sensible run on the stand-in."""
    return {**TINY, "data_root": str(stand_in)}


@pytest.fixture(scope="session")
def finished(tiny_options, tmp_path_factory) -> SimpleNamespace:
    """A finished run of both stages, three tasks of three classes. Read it, or copy it; never write to it."""
    root = tmp_path_factory.mktemp("finished")
    options = {**SPLIT, **tiny_options}
    first = train_classifier.train_model(**options, checkpoint_root=str(root))
    classifier = root / "classifier_cifar100_s0-t3_resnet18_mixmatch"
    before = {path.name: path.read_bytes() for path in sorted(classifier.glob("*.pt"))}
    second = train_EDE_Net.train_model(**options, rehearsal_size=REHEARSAL, checkpoint_root=str(root))
    return SimpleNamespace(
        root=root,
        options=options,
        rehearsal=REHEARSAL,
        classifier=classifier,
        ede_net=root / f"EDE_Net_cifar100_s0-t3_resnet18_rehearsal_{REHEARSAL}",
        stage_one=first,
        stage_two=second,
        stage_one_files=before,
    )


@pytest.fixture
def without_figures(monkeypatch) -> None:
    """Runs draw nothing: a figure takes longer than a tiny training. The run in `finished` has drawn its own."""
    for name in ("classifiers", "ede_net"):
        monkeypatch.setattr(figures, name, lambda *arguments: None)
