"""What the tests of data sets share: a few drawn pictures of every set, and how a refusal is looked at."""

import os
import shutil
from pathlib import Path

import pytest
import torch
import torchvision

from datasets import files, stand_ins
from utils.running.errors import UserError

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
    files._warn_of_checksums.cache_clear()


@pytest.fixture
def refusal():
    """Calls what has to end in a `UserError`, and returns its message: one line of at most 500 characters."""

    def message_of(function, *arguments, **options) -> str:
        with pytest.raises(UserError) as caught:
            function(*arguments, **options)
        message = str(caught.value)
        assert message.isprintable()
        assert len(message) <= 500
        return message

    return message_of


@pytest.fixture
def closed():
    """Closes a file or folder, also to a test that runs as root, and opens it again afterwards."""
    opened = []

    def close(path: Path) -> Path:
        opened.append((path, path.stat().st_mode))
        path.chmod(0)
        if os.geteuid() == 0:
            for parent in path.parents[: len(path.parts) - 3]:  # that another user comes as far as the path
                opened.append((parent, parent.stat().st_mode))
                parent.chmod(0o777)
            os.seteuid(65534)
        return path

    yield close
    if os.getuid() == 0:
        os.seteuid(0)
    for path, mode in reversed(opened):
        path.chmod(mode)
