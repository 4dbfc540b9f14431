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
def undisturbed(stand_in, tmp_path_factory):
    """What runs of both kinds leave that nothing disturbs."""
    found = {}
    for kind in ("split", "sequence"):
        root, scratch = tmp_path_factory.mktemp(kind), tmp_path_factory.mktemp("output")
        for command in commands(kind, stand_in, root):
            processes.run(scratch, command)
        found[kind] = contents(root)
    return found


@pytest.mark.parametrize(
    ("kind", "numbers"),
    [("split", [signal.SIGKILL] * 3), ("sequence", [signal.SIGTERM, signal.SIGINT, signal.SIGTERM])],
)
def test_a_disturbed_run_ends_with_the_same_bits(undisturbed, stand_in, tmp_path, kind, numbers):
    drawn, ended = random.Random(0), []
    for command in commands(kind, stand_in, tmp_path / "root"):
        for number in numbers:
            started = Script(tmp_path / "output", command)
            if not started.after(drawn.randint(1, 3), drawn.uniform(0, 0.03)):
                break
            started.signal(number)
            ended.append(started.wait())
            assert ended[-1] == (-number if number == signal.SIGKILL else 128 + number)
            asked = started.err.count("; the same command, without restart=True, goes on from there\n")
            assert asked == started.err.count("\n") == (number != signal.SIGKILL)
        processes.run(tmp_path / "output", command)
    assert len(ended) >= 3
    assert contents(tmp_path / "root") == undisturbed[kind]
    log = "".join(path.read_text() for path in (tmp_path / "root").rglob("log.txt"))
    assert ": goes on from epoch" in log


def test_a_full_disk_is_one_line_here_and_in_the_log_and_leaves_no_half_a_file(stand_in, tmp_path):
    full = Script(tmp_path / "full", commands("split", stand_in, tmp_path / "root")[0], largest_file=20_000)
    assert full.wait() == 2
    assert os.strerror(errno.EFBIG) in full.err
    assert full.err.count("\n") == 1
    assert os.strerror(errno.EFBIG) in (tmp_path / "root" / STAGE_ONE / "log.txt").read_text()
    assert not [path for path in (tmp_path / "root").rglob("*") if path.suffix in (".pt", ".part")]


def test_the_sequences_classifiers_are_shared_out_and_give_the_same_bits(undisturbed, stand_in, tmp_path):
    first, second = team(tmp_path, commands("sequence", stand_in, tmp_path / "root")[0])
    assert (first.wait(), second.wait()) == (0, 0), first.err + second.err
    assert ("mnist, training" in first.out, "svhn, training" in first.out) == (True, False)
    assert ("mnist, training" in second.out, "svhn, training" in second.out) == (False, True)
    folder = tmp_path / "root" / "MTIL" / "classifier_resnet18"
    assert ("mnist" in (folder / "log.txt").read_text(), "svhn" in (folder / "log_1.txt").read_text()) == (True, True)
    found = contents(folder)
    assert {"model_mnist.pt", "model_svhn.json"} < found.keys()
    for name in found.keys() - {"results.json"}:  # which the last one writes
        assert found[name] == undisturbed["sequence"][f"MTIL/classifier_resnet18/{name}"]


def test_when_a_process_dies_the_same_command_goes_on(undisturbed, stand_in, tmp_path):
    command = commands("split", stand_in, tmp_path / "root")[0]
    first, second = team(tmp_path / "first", command)
    assert second.after(1)
    second.signal(signal.SIGKILL)
    assert (first.wait(), second.wait()) == (0, -signal.SIGKILL), first.err
    assert "still at work" in first.out
    processes.run(tmp_path / "again", command)
    expected = {name: each for name, each in undisturbed["split"].items() if name.startswith(STAGE_ONE)}
    assert contents(tmp_path / "root") == expected


@pytest.fixture
def again(finished, tmp_path, monkeypatch, without_figures):
    """Calls both stages, or one, on a copy of the finished run with these options beside; whatever trains fails."""
    monkeypatch.setattr(training, "fit", None)
    root = shutil.copytree(finished.root, tmp_path / "root")
    options = {**finished.options, "checkpoint_root": str(root), "rehearsal_size": finished.rehearsal}

    def both(*scripts, **more) -> None:
        for script in scripts or (train_classifier, train_EDE_Net):
            script.train_model(**{**options, **more})

    return both


def test_a_finished_run_trains_nothing_and_what_cannot_begin_loses_nothing(finished, again, tmp_path, refusal):
    """Issue 13.1."""
    again()
    for option in ({"epochs": 4}, {"distill_lr": 1e-3}, {"finetune_lr": 1e-2}):
        assert next(iter(option)) in refusal(again, **option)
    refusal(again, train_classifier, validation_fraction=0.99, restart=True)
    refusal(again, train_EDE_Net, classifier_root=str(tmp_path / "typo"), restart=True)
    for path in finished.root.rglob("*.pt"):
        assert (tmp_path / "root" / path.relative_to(finished.root)).read_bytes() == path.read_bytes()


def test_another_split_that_begins_alike_takes_over_what_is_there(finished, again, tmp_path):
    again(split_list=[0, 3, 6], split_type=None)
    root = tmp_path / "root"
    for folder in (finished.classifier, finished.ede_net):
        taken = {path.name: path.read_bytes() for path in (root / folder.name.replace("t3", "t2")).glob("*.pt")}
        assert len(taken) == (4 if folder == finished.classifier else 2)
        assert all((folder / name).read_bytes() == content for name, content in taken.items())


def test_a_dry_run_writes_nothing_and_tells_all_trainings(finished, tmp_path):
    options = {**finished.options, "checkpoint_root": str(tmp_path / "root"), "dry_run": True, "max_rounds": 1}
    assert len(train_classifier.train_model(**options)["trainings"]) == 2 * 3
    assert len(train_EDE_Net.train_model(**options, rehearsal_size=31)["trainings"]) == 2
    assert not (tmp_path / "root").exists()
