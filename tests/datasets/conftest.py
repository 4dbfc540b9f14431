"""What the tests of data sets share: a few drawn pictures of every set, and how a refusal is looked at."""

import shutil
from pathlib import Path

import pytest
import torch
import torchvision

from datasets import files, stand_ins
from utils.running.errors import UserError, told

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def drawn(tmp_path_factory) -> Path:
    """A data root with two training pictures and one test picture a class, 12 classes of CIFAR-100. Only to be read."""
    folder = tmp_path_factory.mktemp("drawn")
    stand_ins.write(folder, train_per_class=2, test_per_class=1, classes=12)
    return folder


@pytest.fixture
def root(drawn, tmp_path) -> Path:
    """A copy of it, to be damaged."""
    return shutil.copytree(drawn, tmp_path / "data")


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    def offline(*_args, **_kwargs):
        raise OSError("no network")

    for source in (torchvision.datasets.CIFAR10, torchvision.datasets.MNIST, torchvision.datasets.SVHN):
        monkeypatch.setattr(source, "download", offline)
    files._warn.cache_clear()


@pytest.fixture
def refusal():
    """Calls what has to end in an error that a user can mend, and returns what is told of it."""

    def message_of(function, *arguments, **options) -> str:
        with pytest.raises((UserError, OSError)) as caught:
            function(*arguments, **options)
        assert len(told(caught.value)) <= 500
        return told(caught.value)

    return message_of
