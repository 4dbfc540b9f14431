"""What the tests of data sets share: a few drawn pictures of every set."""

import shutil
from pathlib import Path

import pytest
import torchvision

from datasets import files, stand_ins


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
