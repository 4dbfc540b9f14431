"""The processes of a job share out whole trainings by their number, and refuse what cannot be shared."""

import os
import subprocess
import sys
from pathlib import Path

from utils.running import device, processes


def test_every_training_is_one_processes_as_torchrun_itself_starts_them(tmp_path):
    job = "import os\nfrom utils.running.processes import share\nopen(os.environ['RANK'], 'w').write(share('abcd'))\n"
    (tmp_path / "job.py").write_text(job)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "job.py"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert [(tmp_path / rank).read_text() for rank in "01"] == ["ac", "bd"]


def test_one_training_or_one_gpu_is_for_one_process_unless_it_is_its_share(monkeypatch, refusal):
    processes.require_one()
    for name, value in {"TORCHELASTIC_RUN_ID": "1", "RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1"}.items():
        monkeypatch.setenv(name, value)
    assert "without torchrun" in refusal(processes.require_one)
    assert "one GPU for 2 processes" in refusal(device.choose, "cuda:0")
    with processes.own_share():
        processes.require_one()
        assert processes.share("abcd") == "abcd"
    assert processes.share("abcd") == "bd"
