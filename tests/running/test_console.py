"""Curves for TensorBoard, with a stand-in for its package and without one."""

import sys
from types import SimpleNamespace

import pytest

from utils.console import Console
from utils.recipes import Settings
from utils.run import Run
from utils.scalars import Scalars


@pytest.fixture
def written(monkeypatch):
    """What is handed to the package's writer: [(folder, tag, value, step)]."""
    points = []

    class Writer:
        def __init__(self, folder):
            self.folder = folder

        def add_scalar(self, tag, value, step):
            points.append((self.folder, tag, value, step))

        def flush(self):
            pass

        def close(self):
            points.append("closed")

    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", SimpleNamespace(SummaryWriter=Writer))
    return points


def test_every_epoch_is_a_point_of_each_curve_in_the_runs_folder(tmp_path, written):
    run = Run(tmp_path, Settings(device="cpu"), 1, {})
    run.console.quiet = True
    with run, run.console.epochs("task 0to5, training", 2, 0, "held-out") as bar:
        bar.advance({"epoch": 1, "loss": 2.0, "lr": 0.5})
        bar.advance({"epoch": 2, "loss": 1.0, "lr": 0.1, "accuracy": 50.0})
    tags = {f"task 0to5/training/{name}" for name in ("loss", "lr", "accuracy")}
    assert {point[1] for point in written[:-1]} == tags
    assert (str(tmp_path), "task 0to5/training/accuracy", 50.0, 2) in written
    assert written[-1] == "closed"


def test_without_the_package_nothing_is_written_or_said(tmp_path, monkeypatch, capfd):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)  # what makes an import fail
    scalars = Scalars(tmp_path)
    scalars.add("task", 1, {"loss": 1.0})
    scalars.add("task", 2, {"loss": 1.0})
    scalars.close()
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "")


def test_a_console_without_a_folder_has_no_curves(written):
    Console(quiet=True).scalars.add("task", 1, {"loss": 1.0})
    assert written == []


def test_restart_removes_the_curves_of_before(tmp_path):
    (tmp_path / "events.out.tfevents.1.host").touch()
    with Run(tmp_path, Settings(device="cpu", restart=True), 1, {}):
        pass
    assert not (tmp_path / "events.out.tfevents.1.host").exists()
