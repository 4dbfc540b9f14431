"""What the tests of a run share: how a refusal is looked at, and a run with networks that take no training."""

from pathlib import Path

import pytest
import torch

from models import resnet18
from utils.running.errors import UserError
from utils.running.interrupt import Interruption
from utils.running.options import settings
from utils.running.run import Run

torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _no_interruption(monkeypatch):
    monkeypatch.setattr(Interruption, "requested", None)


@pytest.fixture
def refusal():
    """Calls what has to end in a `UserError`, and returns its message, which is one line."""

    def message_of(function, *arguments, **options) -> str:
        with pytest.raises(UserError) as caught:
            function(*arguments, **options)
        message = str(caught.value)
        assert message.isprintable()
        return message

    return message_of


@pytest.fixture
def a_run(tmp_path):
    """Makes a run of a folder, on the CPU: `a_run("name", epochs=3)`."""

    def make(name: str = "run", own=None, siblings=None, **options) -> Run:
        chosen = settings({"device": "cpu", **options})
        own = {} if own is None else {"own": own}
        return Run(tmp_path / name, chosen, {"seed": chosen.seed}, siblings=siblings, **own)

    return make


def network(seed: int = 0):
    """A network of a task of three classes."""
    return resnet18(3, (2, 3, 4, 5), (0.5, 0.4, 0.3), (0.2, 0.3, 0.4), seed)


def save(run: Run, name: str, results: dict | None = None, seed: int = 0, **made_from):
    """What a training would leave under this name, if it is not done."""
    artefact = run.artefact(name, made_from)
    if not artefact.done:
        artefact.save(network(seed), results or {"test_accuracy": 50.0})
    return artefact


def files(folder: Path) -> dict[str, bytes]:
    """All files of a run but its log, its lock and its curves."""
    found = {str(path.relative_to(folder)): path for path in sorted(folder.rglob("*")) if path.is_file()}
    return {name: path.read_bytes() for name, path in found.items() if not name.startswith((".lock", "log", "events"))}
