"""What the tests of a run share: a run of a folder."""

import pytest
import torch

from utils.running.interrupt import Interruption
from utils.running.options import settings
from utils.running.run import Run

torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _no_interruption(monkeypatch):
    monkeypatch.setattr(Interruption, "requested", None)


@pytest.fixture
def a_run(tmp_path):
    """Makes a run of a folder, on the CPU: `a_run("name", epochs=3)`."""

    def make(name: str = "run", own=("model_*", "stage_*", "results"), siblings=None, **options) -> Run:
        chosen = settings({"device": "cpu", **options})
        return Run(tmp_path / name, chosen, {"seed": chosen.seed}, own, siblings)

    return make
