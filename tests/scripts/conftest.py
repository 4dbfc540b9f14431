"""What the tests of whole runs share: small stand-in data."""

import pytest

from datasets import stand_ins


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    """Six classes of CIFAR-100 with 8 + 3 images each, CIFAR-10, and the sequence's sets. Only to be read."""
    folder = tmp_path_factory.mktemp("data")
    sets = ("cifar100", "cifar10", "mnist", "svhn")
    stand_ins.write(folder, train_per_class=8, test_per_class=3, classes=6, sets=sets)
    return folder
