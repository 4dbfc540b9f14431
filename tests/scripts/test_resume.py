"""Runs that are killed, stopped, or find the disk full, and go on to the very bits of an undisturbed run.

The processes are real and disturbed from outside, at moments drawn from a fixed seed.
"""

import errno
import os
import random
import shutil
import signal

import processes
import pytest
from processes import STAGE_ONE, Script, commands, contents, team

import train_classifier
import train_EDE_Net
from utils.method import training


@pytest.fixture(scope="module")
def undisturbed(data, tmp_path_factory):
    """What runs of both kinds leave that nothing disturbs."""
    found = {}
    for kind in ("split", "sequence"):
        root, scratch = tmp_path_factory.mktemp(kind), tmp_path_factory.mktemp("output")
        for command in commands(kind, data, root):
            processes.run(scratch, command)
        found[kind] = contents(root)
    return found


def disturbed(folder, command, seed: int, numbers: list[int]) -> list[int]:
    """The command again and again, ended by each of these signals; at last left alone. Returns the exit codes."""
    drawn, codes = random.Random(seed), []
    for number in numbers:
        started = Script(folder, command)
        if not started.after(drawn.randint(1, 3), drawn.random()):
            break
        started.signal(number)
        codes.append(started.wait())
        if number != signal.SIGKILL and codes[-1] != 0:
            assert "the same command, without restart=True, goes on from there" in started.err
            assert started.err.count("\n") == 1
    processes.run(folder, command)
    return codes


@pytest.mark.parametrize(("kind", "killed"), [("split", True), ("sequence", False)])
def test_a_disturbed_run_ends_with_the_same_bits(undisturbed, data, tmp_path, kind, killed):
    numbers = [signal.SIGKILL] * 4 if killed else [signal.SIGTERM, signal.SIGINT] * 2
    codes = []
    for seed, command in enumerate(commands(kind, data, tmp_path / "root")):
        codes += disturbed(tmp_path / "output", command, seed, numbers[: 4 - 2 * seed])
    assert len(codes) >= 3
    assert set(codes) <= ({-signal.SIGKILL} if killed else {130, 143})
    assert contents(tmp_path / "root") == undisturbed[kind]
    log = "".join(path.read_text() for path in (tmp_path / "root").rglob("log.txt"))
    assert ": goes on from epoch" in log


def test_a_full_disk_is_one_line_and_leaves_no_half_a_file(data, tmp_path):
    full = Script(tmp_path / "full", commands("split", data, tmp_path / "root")[0], largest_file=20_000)
    assert full.wait() == 2
    assert os.strerror(errno.EFBIG) in full.err
    assert full.err.count("\n") == 1
    assert not [path for path in (tmp_path / "root").rglob("*") if path.suffix in (".pt", ".part")]


# --- several processes, as `torchrun` starts them


def test_the_sequences_classifiers_are_shared_out_and_give_the_same_bits(undisturbed, data, tmp_path):
    first, second = team(tmp_path, commands("sequence", data, tmp_path / "root")[0])
    assert (first.wait(), second.wait()) == (0, 0), first.err + second.err
    assert ("mnist, training" in first.out, "svhn, training" in first.out) == (True, False)
    assert ("mnist, training" in second.out, "svhn, training" in second.out) == (False, True)
    found = contents(tmp_path / "root" / "MTIL" / "classifier_resnet18")
    assert {"model_mnist.pt", "model_svhn.json"} < found.keys()
    for name in found.keys() - {"results.json"}:  # which the last one writes
        assert found[name] == undisturbed["sequence"][f"MTIL/classifier_resnet18/{name}"]


def test_when_a_process_dies_the_same_command_goes_on(undisturbed, data, tmp_path):
    command = commands("split", data, tmp_path / "root")[0]
    first, second = team(tmp_path / "first", command)
    assert second.after(1)
    second.signal(signal.SIGKILL)
    assert (first.wait(), second.wait()) == (0, -signal.SIGKILL), first.err
    assert "still at work" in first.out
    processes.run(tmp_path / "again", command)
    expected = {name: each for name, each in undisturbed["split"].items() if name.startswith(STAGE_ONE)}
    assert contents(tmp_path / "root") == expected


# --- going on from what exists, in this process


@pytest.fixture
def trained(monkeypatch) -> list[str]:
    """The titles of all trainings from now on, none of which takes place."""
    titles = []

    def noted(*arguments, **options) -> None:
        titles.append(next(each for each in arguments if isinstance(each, str)))
        raise AssertionError("trained")

    monkeypatch.setattr(training, "fit", noted)
    return titles


def networks(root) -> dict:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*.pt")}


def test_a_finished_run_trains_nothing_and_what_cannot_begin_loses_nothing(
    finished, tmp_path, trained, refusal, without_figures
):
    """Issue 13.1."""
    root = shutil.copytree(finished.root, tmp_path / "root")
    before = networks(root)
    options = {**finished.options, "checkpoint_root": str(root)}
    train_classifier.train_model(**options)
    train_EDE_Net.train_model(**options, rehearsal_size=finished.rehearsal)
    for more in ({"epochs": 4}, {"distill_lr": 1e-3}, {"validation_fraction": 0.99, "restart": True}):
        assert next(iter(more)) in refusal(train_classifier.train_model, **{**options, **more}) or "restart" in more
    for more in ({"finetune_lr": 1e-2}, {"classifier_root": str(tmp_path / "typo"), "restart": True}, {"seed": 1}):
        stage_two = {**options, **more, "rehearsal_size": finished.rehearsal}
        assert next(iter(more)) in refusal(train_EDE_Net.train_model, **stage_two) or "restart" in more
    assert networks(root) == before
    assert trained == []


def test_another_split_that_begins_alike_takes_over_what_is_there(finished, tmp_path, trained, without_figures):
    root = shutil.copytree(finished.root, tmp_path / "root")
    options = {**finished.options, "split_list": [0, 3, 6], "split_type": None, "checkpoint_root": str(root)}
    train_classifier.train_model(**options)
    train_EDE_Net.train_model(**options, rehearsal_size=finished.rehearsal)
    assert trained == []
    for folder in (finished.classifier, finished.ede_net):
        taken = {path.name: path.read_bytes() for path in (root / folder.name.replace("t3", "t2")).glob("*.pt")}
        assert len(taken) == (4 if folder == finished.classifier else 2)
        assert all((folder / name).read_bytes() == content for name, content in taken.items())


def test_a_dry_run_writes_nothing_and_tells_all_trainings(finished, tmp_path):
    options = {**finished.options, "checkpoint_root": str(tmp_path / "root"), "dry_run": True, "max_rounds": 1}
    assert len(train_classifier.train_model(**options)["trainings"]) == 2 * 3
    assert len(train_EDE_Net.train_model(**options, rehearsal_size=31)["trainings"]) == 2
    assert not (tmp_path / "root").exists()
