"""What a run says: on the screen, whatever that is; in its log, which only grows; and in curves for TensorBoard."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock, call

import pytest

ROOT = Path(__file__).parents[2]


def test_the_log_goes_on_where_an_earlier_process_left_it(a_run, tmp_path):
    for number in range(3):
        with a_run() as run:
            run.console.say(f"line {number}")
    lines = (tmp_path / "run" / "log.txt").read_text().splitlines()
    assert [line.split()[-1] for line in lines] == ["0", "1", "2"]


SAYING = f"""
import os, subprocess, sys
sys.path.insert(0, {str(ROOT)!r})
from utils.running import command
from utils.running.console import Console
def train():
    console = Console()
    for _ in range(3):
        console.say("task 0–5 日本")
    with console.epochs("training", 1, 0, "held-out") as advance:
        advance({{"epoch": 1, "loss": 0.5}})
    open("done", "w").close()
os.chdir(sys.argv.pop(1))
with command.line(train, example="train()"):
    pass
"""


@pytest.mark.parametrize(
    ("redirected", "call"),
    [(">&- 2>&-", "train()"), (">/dev/full 2>&1", "train()"), ("| true", "train()"), (">out", "train()"),
     ("2>/dev/full", "trian()"), ("2>&-", "trian()"), ("| true", "--help")],
)  # fmt: skip
def test_13_a_screen_that_is_closed_full_or_of_few_letters_does_not_end_a_run(tmp_path, redirected, call):
    """Issue 13.13."""
    line = ["set -o pipefail; " + f'"$1" -S -c "$2" . "$3" {redirected}', "", sys.executable, SAYING, call]
    environment = {"PYTHONIOENCODING": "latin-1", "PYTHONPATH": str(Path(pytest.__file__).parents[1])}
    done = subprocess.run(["bash", "-c", *line], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == (2 if call == "trian()" else 0), done.stderr
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr
    assert (tmp_path / "done").exists() == (call == "train()")


def test_every_epoch_is_a_point_of_each_curve_where_tensorboard_is(a_run, tmp_path, monkeypatch):
    writer = Mock()

    def train(**options) -> None:
        with a_run(**options) as run, run.console.epochs("task 0to5, training", 2, 0, "held-out") as advance:
            advance({"epoch": 2, "loss": 1.0, "accuracy": 50.0})

    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)  # what makes an import fail
    train()
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", SimpleNamespace(SummaryWriter=writer))
    train(dry_run=True)
    writer.assert_not_called()
    train()
    points = [call("task 0to5/training/loss", 1.0, 2), call("task 0to5/training/accuracy", 50.0, 2)]
    writer.assert_called_once_with(str(tmp_path / "run"))
    assert writer.return_value.add_scalar.call_args_list == points
    writer.return_value.close.assert_called_once_with()
