"""What several test files share: tiny stand-in data, and one tiny run of both stages and of the sequence."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

import train_classifier
import train_EDE_Net
import trainMTIL
from datasets import stand_ins
from utils.results import figures
from utils.running.errors import UserError, told

torch.set_num_threads(1)

SPLIT = {"split_list": [0, 3, 6, 9], "split_type": "s0-t3"}
SHARED = {"recipe": "demo", "device": "cpu", "amp": "off", "widths": [4, 6, 8, 10], "epochs": 2, "finetune_epochs": 2}
TINY = {
    **SHARED,
    "batch_size": 16,
    "unlabeled_batch_size": 8,
    "finetune_batch_size": 16,
    "lambda_u": 10.0,
    "min_width": 2,
    "max_accuracy_loss": 100.0,
    "distill_epochs": 1,
}
REHEARSAL = 31  # 10 exemplars a class after the first task, 5 after the second, 3 after the third
SEQUENCE = ["mnist", "svhn", "cifar10"]


@pytest.fixture(scope="session")
def stand_in(tmp_path_factory) -> Path:
    """A data root, drawn: 9 classes of CIFAR-100, and the sequence's data sets, with 12 + 5 images a class."""
    folder = tmp_path_factory.mktemp("data")
    stand_ins.write(folder, train_per_class=12, test_per_class=5, classes=9, sets=("cifar100", *SEQUENCE))
    return folder


@pytest.fixture(scope="session")
def tiny_options(stand_in) -> dict:
    """Options of the smallest sensible run on the stand-in."""
    return {**TINY, "data_root": str(stand_in)}


@contextmanager
def _nothing_drawn() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name in ("stage_one", "stage_two", "exemplars"):
            patch.setattr(figures, name, lambda *arguments: None)
        yield


@pytest.fixture(scope="session")
def finished(tiny_options, tmp_path_factory) -> SimpleNamespace:
    """A finished run of both stages, three tasks of three classes. Read it, or copy it; never write to it."""
    root = tmp_path_factory.mktemp("finished")
    made = SimpleNamespace(root=root, options={**SPLIT, **tiny_options}, rehearsal=REHEARSAL)
    made.classifier = root / "classifier_cifar100_s0-t3_resnet18_mixmatch"
    made.ede_net = root / f"EDE_Net_cifar100_s0-t3_resnet18_rehearsal_{REHEARSAL}"
    options = {**made.options, "checkpoint_root": str(root)}
    with _nothing_drawn():
        made.stage_one = train_classifier.train_model(**options)
        made.stage_one_files = {path.name: path.read_bytes() for path in made.classifier.glob("*.pt")}
        made.stage_two = train_EDE_Net.train_model(**options, rehearsal_size=REHEARSAL)
    return made


@pytest.fixture(scope="session")
def finished_sequence(stand_in, tmp_path_factory) -> SimpleNamespace:
    """A finished sequence of three data sets, two exemplars a class. Read it, or copy it; never write to it."""
    root = tmp_path_factory.mktemp("sequence")
    options = {**SHARED, "batch_size": 32, "min_updates": 3, "data_root": str(stand_in), "checkpoint_root": str(root)}
    with _nothing_drawn():
        trainMTIL.train_MTIL_classifier(SEQUENCE, **options)
        results = trainMTIL.train_EDE_Net(SEQUENCE, num_per_class=2, **options)
    folders = {"classifier": root / "MTIL" / "classifier_resnet18", "ede_net": root / "MTIL" / "EDE_Net_resnet18"}
    return SimpleNamespace(root=root, options=options, **folders, stage_two=results)


@pytest.fixture(scope="module")
def without_figures() -> Iterator[None]:
    """Runs draw nothing, as those in the fixtures above: a figure takes longer than a tiny training."""
    with _nothing_drawn():
        yield


@pytest.fixture
def refusal():
    """Calls what has to end in an error that a user can mend, and returns what is told of it, a line."""

    def message_of(function, *arguments, **options) -> str:
        with pytest.raises((UserError, OSError)) as caught:
            function(*arguments, **options)
        message = told(caught.value)
        assert message.isprintable()
        return message

    return message_of
