"""What the tests of whole runs share: small stand-in data, and how a refusal is looked at."""

import pytest

from datasets import stand_ins
from utils.running.errors import UserError, told


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    """Six classes of CIFAR-100 with 8 + 3 images each, CIFAR-10, and the sequence's sets. Only to be read."""
    folder = tmp_path_factory.mktemp("data")
    sets = ("cifar100", "cifar10", "mnist", "svhn")
    stand_ins.write(folder, train_per_class=8, test_per_class=3, classes=6, sets=sets)
    return folder


@pytest.fixture
def refused():
    """Calls what has to end in an error that a user can mend, and returns what is told of it, which is one line."""

    def message_of(function, *arguments, **options) -> str:
        with pytest.raises((UserError, OSError)) as caught:
            function(*arguments, **options)
        message = told(caught.value)
        assert message.isprintable(), "one line"
        assert len(message) < 2000
        return message

    return message_of
