"""What the tests of whole runs share: small stand-in data, and undisturbed runs to compare others with."""

from types import SimpleNamespace

import processes
import pytest
from tiny import sequence_commands, split_commands

from datasets import stand_ins


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    """Six classes of CIFAR-100 with 8 + 3 images each, CIFAR-10, and the sequence's sets. Only to be read."""
    folder = tmp_path_factory.mktemp("data")
    sets = ("cifar100", "cifar10", "mnist", "svhn")
    stand_ins.write(folder, train_per_class=8, test_per_class=3, classes=6, sets=sets)
    return folder


def undisturbed(tmp_path_factory, commands, data) -> SimpleNamespace:
    root, scratch = (tmp_path_factory.mktemp(name) for name in ("undisturbed", "output"))
    out = [processes.run(scratch, *command).out for command in commands(data, root)]
    return SimpleNamespace(root=root, contents=processes.contents(root), out=out, commands=commands)


@pytest.fixture(scope="session")
def split(tmp_path_factory, data) -> SimpleNamespace:
    """Both stages of a split. Only to be read, or copied."""
    return undisturbed(tmp_path_factory, split_commands, data)


@pytest.fixture(scope="session")
def sequence(tmp_path_factory, data) -> SimpleNamespace:
    """Both stages of a sequence. Only to be read, or copied."""
    return undisturbed(tmp_path_factory, sequence_commands, data)
