"""Several processes, as `torchrun` starts them, share out whole trainings and give the same bits as one."""

import os
import signal
import subprocess
import sys

import processes
from processes import ROOT, contents, differences, team
from tiny import STAGE_ONE, sequence_commands, split_commands


def ended(scripts) -> list[int]:
    return [script.wait() for script in scripts]


def without_own_files(found: dict) -> dict:
    return {name: each for name, each in found.items() if not name.endswith(("log_1.txt", ".lock_1"))}


def stage_one_of(split) -> dict:
    return {name: content for name, content in split.contents.items() if name.startswith(STAGE_ONE)}


def test_stage_one_on_two_processes_gives_the_same_bits(split, data, tmp_path):
    scripts = team(tmp_path, *split_commands(data, tmp_path / "run")[0])
    assert ended(scripts) == [0, 0], [script.err for script in scripts]
    assert ["task 0to2, training: epoch" in script.out for script in scripts] == [True, False]
    assert ["task 2to4, training: epoch" in script.out for script in scripts] == [False, True]
    assert "# Stage one" in scripts[0].out + scripts[1].out
    assert differences(without_own_files(contents(tmp_path / "run")), stage_one_of(split)) == []


def test_when_a_process_dies_the_same_command_goes_on(split, data, tmp_path):
    command = split_commands(data, tmp_path / "run")[0]
    first, second = team(tmp_path / "first", *command)
    assert second.after(1)
    second.signal(signal.SIGKILL)
    assert ended([first, second]) == [0, -signal.SIGKILL], first.err
    assert "still at work" in first.out
    processes.run(tmp_path / "again", *command)
    assert differences(without_own_files(contents(tmp_path / "run")), stage_one_of(split)) == []


def test_the_sequences_classifiers_are_shared_out(sequence, data, tmp_path):
    scripts = team(tmp_path, *sequence_commands(data, tmp_path / "run")[0])
    assert ended(scripts) == [0, 0], [script.err for script in scripts]
    found = contents(tmp_path / "run")
    for name in ("mnist", "svhn"):
        path = f"MTIL/classifier_resnet18/model_{name}.pt"
        assert found[path] == sequence.contents[path]


def test_what_is_one_training_is_refused(data, tmp_path):
    for command in (split_commands(data, tmp_path)[1], split_commands(data, tmp_path, restart=True)[0]):
        scripts = team(tmp_path / "output", *command)
        assert ended(scripts) == [2, 2]
        assert all("in one process: start the script without torchrun" in script.err for script in scripts)


def test_torchrun_itself_runs_stage_one(split, data, tmp_path):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    line = [*command, *split_commands(data, tmp_path)[0]]
    done = subprocess.run(line, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    weights = {name for name in stage_one_of(split) if name.endswith((".pt", ".json"))}
    found = contents(tmp_path)
    assert all(found[name] == split.contents[name] for name in weights)
