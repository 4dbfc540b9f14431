"""What a run says: on the screen, whatever that is; in its log, which only grows; and in curves for TensorBoard."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from utils.running.console import Console, Scalars, duration

ROOT = Path(__file__).parents[2]


def test_the_log_goes_on_where_an_earlier_process_left_it(a_run, tmp_path):
    for number in range(3):
        with a_run() as run:
            run.console.say(f"line {number}")
    lines = (tmp_path / "run" / "log.txt").read_text().splitlines()
    assert [line.split()[-1] for line in lines] == ["0", "1", "2"]


def test_times_are_told_by_their_two_largest_units():
    assert [duration(each) for each in (4.2, 45, 185, 220_800)] == ["4.2 s", "45 s", "3 min 05 s", "61 h 20 min"]


SAYING = """
import sys
sys.path.insert(0, {root!r})
from utils.running import command
def train():
    from pathlib import Path
    from utils.running.console import Console, show
    console = Console()
    for _ in range(3):
        console.say("task 0–5 日本")
    with console.epochs("training", 1, 0, "held-out") as bar:
        bar.advance({{"epoch": 1, "loss": 0.5}})
    Path(sys.argv[0] + ".done").touch()
with command.line(train, example="train()"):
    pass
"""


@pytest.mark.parametrize(
    ("redirected", "call"),
    [(">&-", "train()"), ("2>&-", "train()"), (">&- 2>&-", "train()"), (">/dev/full", "train()"), ("| true", "train()"),
     (">/dev/full 2>&1", "train()"), (">out", "train()"), ("2>/dev/full", "trian()"), ("2>&-", "trian()"),
     ("2>&1 | true", "trian()"), (">/dev/full", "--help"), ("| true", "--help"), (">&-", "--help")],
)  # fmt: skip
@pytest.mark.parametrize("encoding", ["latin-1", "utf-8"])
def test_13_a_screen_that_is_closed_full_or_of_few_letters_does_not_end_a_run(tmp_path, redirected, call, encoding):
    """Issue 13.13."""
    if encoding == "latin-1" and redirected not in (">out", "| true"):
        pytest.skip("one odd encoding is enough")
    script = tmp_path / "script.py"
    script.write_text(SAYING.format(root=str(ROOT)), encoding="utf-8")
    line = f"set -o pipefail; {sys.executable} -S {script} '{call}' {redirected}"
    environment = {"PYTHONIOENCODING": encoding, "PYTHONPATH": str(Path(pytest.__file__).parents[1])}
    done = subprocess.run(["bash", "-c", line], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == (2 if "trian" in call else 0), done.stderr
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr
    assert Path(f"{script}.done").exists() == (call == "train()")


@pytest.fixture
def written(monkeypatch):
    """What is handed to TensorBoard's writer: [(folder, tag, value, step)]."""
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


def test_every_epoch_is_a_point_of_each_curve_in_the_runs_folder(a_run, tmp_path, written):
    with a_run() as run, run.console.epochs("task 0to5, training", 2, 0, "held-out") as bar:
        bar.advance({"epoch": 1, "loss": 2.0, "lr": 0.5})
        bar.advance({"epoch": 2, "loss": 1.0, "lr": 0.1, "accuracy": 50.0})
    assert {point[1] for point in written[:-1]} == {f"task 0to5/training/{name}" for name in ("loss", "lr", "accuracy")}
    assert (str(tmp_path / "run"), "task 0to5/training/accuracy", 50.0, 2) in written
    assert written[-1] == "closed"


def test_without_the_package_or_a_folder_there_are_no_curves(tmp_path, monkeypatch, written, capfd):
    Console().scalars.add("task", 1, {"loss": 1.0})
    assert written == []
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)  # what makes an import fail
    scalars = Scalars(tmp_path)
    scalars.add("task", 1, {"loss": 1.0})
    scalars.close()
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "")
