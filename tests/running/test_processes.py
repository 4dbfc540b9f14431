"""The processes of a job share out whole trainings by their number, and refuse what cannot be shared."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from utils.running import device, processes


@pytest.fixture
def started(monkeypatch):
    """Sets what `torchrun` sets for process `rank` of `size`."""

    def start(rank, size):
        for name, value in {"TORCHELASTIC_RUN_ID": "1", "RANK": rank, "WORLD_SIZE": size, "LOCAL_RANK": rank}.items():
            monkeypatch.setenv(name, str(value))

    return start


def test_every_training_is_one_processes(started):
    assert processes.share("abcd") == "abcd"
    shares = []
    for rank in range(3):
        started(rank, 3)
        shares.append(list(processes.share("abcd")))
    assert shares == [["a", "d"], ["b"], ["c"]]


def test_torchrun_itself_starts_them_so(tmp_path):
    (tmp_path / "job.py").write_text("from utils.running import processes\nprint(processes.share('abcd'))\n")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "job.py"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert sorted(done.stdout.split()) == ["ac", "bd"]


def test_one_training_or_one_gpu_is_for_one_process_unless_it_is_its_share(started, refusal):
    processes.require_one()
    started(1, 2)
    assert "without torchrun" in refusal(processes.require_one)
    assert "one GPU for 2 processes" in refusal(device.choose, "cuda:0", 0, 2)
    with processes.own_share():
        processes.require_one()
        assert processes.share("abcd") == "abcd"
    assert processes.share("abcd") == "bd"


def test_each_process_has_its_own_lock_and_log(started, a_run, tmp_path):
    started(0, 2)
    with a_run() as one:
        started(1, 2)
        with a_run() as other:
            one.console.say("from one")
            other.console.say("from the other")
    assert "from one" in (tmp_path / "run" / "log.txt").read_text()
    assert "from the other" in (tmp_path / "run" / "log_1.txt").read_text()
