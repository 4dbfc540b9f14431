"""What the tests of a run share: a run of a folder, networks that take no training, and what a folder then holds."""

from pathlib import Path

import pytest

from tests.models.networks import network
from utils.running.options import settings
from utils.running.run import Run


@pytest.fixture
def a_run(tmp_path):
    """Makes a run of a folder, on the CPU: `a_run("name", epochs=3)`."""

    def make(name: str = "run", own=("model_*", "stage_*", "results"), siblings=None, **options) -> Run:
        chosen = settings({"device": "cpu", **options})
        return Run(tmp_path / name, chosen, {"seed": chosen.seed}, own, siblings)

    return make


def save(run: Run, name: str, results: dict | None = None, seed: int = 0, **made_from):
    """What a training would leave under this name, if it is not done."""
    artefact = run.artefact(name, made_from)
    if not artefact.done:
        artefact.save(network(seed=seed), results or {"test_accuracy": 50.0})
    return artefact


def files(folder: Path) -> dict[str, bytes]:
    """All files of a run but its log, its lock and its curves."""
    found = {str(path.relative_to(folder)): path for path in sorted(folder.rglob("*")) if path.is_file()}
    return {name: path.read_bytes() for name, path in found.items() if not name.startswith((".lock", "log", "events"))}
