"""Runs that are killed, stopped, or find the disk full, and go on to the very bits of an undisturbed run.

The processes are real and disturbed from outside, at moments drawn from a fixed seed.
"""

import errno
import os
import random
import shutil
import signal
from pathlib import Path
from types import SimpleNamespace

import processes
import pytest
import torch
from processes import Script, call_of, contents, differences

from datasets import synthetic

SPLIT = {"split_list": [0, 2, 4, 6], "split_type": "s0-t3"}
OPTIONS = {"recipe": "demo", "device": "cpu", "amp": "off", "widths": [4, 6, 8, 10], "save_every": 1, "epochs": 3}
CIL = {
    **OPTIONS,
    **SPLIT,
    "batch_size": 4,
    "unlabeled_batch_size": 2,
    "min_width": 2,
    "max_accuracy_loss": 100.0,
    "max_rounds": 2,
    "distill_epochs": 2,
    "finetune_batch_size": 6,
    "finetune_epochs": 3,
}
REHEARSAL = 24
MTIL = {**OPTIONS, "batch_size": 8, "finetune_epochs": 4, "min_updates": 1}
MTIL_SETS = ["MNIST", "SVNH", "cifar10"]


def cil_commands(data: Path, root: Path, **more) -> list[tuple[str, str]]:
    """Both stages of the CIFAR-100 job."""
    options = {**CIL, "data_root": str(data), "checkpoint_root": str(root), **more}
    return [
        ("train_classifier.py", call_of("train_model", **options)),
        ("train_EDE_Net.py", call_of("train_model", rehearsal_size=REHEARSAL, **options)),
    ]


def mtil_commands(data: Path, root: Path, **more) -> list[tuple[str, str]]:
    """The sequence: three classifiers, then the networks that join two and three of them."""
    options = {**MTIL, "data_root": str(data), "checkpoint_root": str(root), **more}
    classifiers = [("trainMTIL.py", call_of("train_MTIL_classifier", data_type=name, **options)) for name in MTIL_SETS]
    return [
        *classifiers,
        ("trainMTIL.py", call_of("train_EDE_Net", data_list=MTIL_SETS, num_per_class=1, **options)),
    ]


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """Six classes of CIFAR-100 with 8 + 3 images each, and the unlabelled ones."""
    folder = tmp_path_factory.mktemp("data")
    synthetic.write(folder, train_per_class=8, test_per_class=3, classes=6, sets=("cifar100", "cifar10"))
    return folder


@pytest.fixture(scope="module")
def mtil_data(tmp_path_factory) -> Path:
    """The three sets of the sequence, with 3 + 2 images a class."""
    folder = tmp_path_factory.mktemp("mtil_data")
    synthetic.write(folder, train_per_class=3, test_per_class=2, sets=("mnist", "svhn", "cifar10"))
    return folder


def undisturbed(tmp_path_factory, commands, data) -> SimpleNamespace:
    root, scratch = (tmp_path_factory.mktemp(name) for name in ("undisturbed", "output"))
    out = [processes.run(scratch, *command).out for command in commands(data, root)]
    return SimpleNamespace(root=root, contents=contents(root), out=out)


@pytest.fixture(scope="module")
def cil(tmp_path_factory, data) -> SimpleNamespace:
    return undisturbed(tmp_path_factory, cil_commands, data)


@pytest.fixture(scope="module")
def mtil(tmp_path_factory, mtil_data) -> SimpleNamespace:
    return undisturbed(tmp_path_factory, mtil_commands, mtil_data)


def moments(seed: int, epochs: list[tuple[int, int]]) -> list[tuple[int, float]]:
    """For each (least, most) how many epochs to wait, and which share of another."""
    drawn = random.Random(seed)
    return [(drawn.randint(least, most), drawn.random()) for least, most in epochs]


def disturbed(folder: Path, commands, signals: list[list[tuple[int, int, float]]]) -> list[Script]:
    """Each command again and again: ended by the next of its (signal, epochs, share), at last left alone."""
    ended = []
    for command, its_signals in zip(commands, signals, strict=True):
        for number, epochs, share in its_signals:
            started = Script(folder / f"{len(ended)}", *command)
            assert started.after(epochs, share), f"it was to be disturbed, but ended: {started.out}{started.err}"
            started.signal(number)
            started.code = started.wait()
            ended.append(started)
        processes.run(folder / "last", *command)
    return ended


def stage_one_folder(root: Path) -> Path:
    return root / "classifier_cifar100_s0-t3_resnet18_mixmatch"


def one_line(text: str) -> str:
    """A message that is one line, without a traceback."""
    assert text.count("\n") == 1, text
    assert text.strip().isprintable()
    return text


# --- kill -9


def test_a_two_stage_run_killed_ten_times_ends_with_the_same_bits(cil, data, tmp_path):
    commands = cil_commands(data, tmp_path / "root")
    kills = [(signal.SIGKILL, *moment) for moment in moments(4, [(0, 1), *[(1, 4)] * 6, (0, 1), (1, 2), (1, 2)])]
    ended = disturbed(tmp_path / "output", commands, [kills[:7], kills[7:]])
    assert [each.code for each in ended] == [-signal.SIGKILL] * 10
    assert differences(contents(tmp_path / "root"), cil.contents) == []
    stage_one, stage_two = ((folder / "log.txt").read_text() for folder in sorted((tmp_path / "root").iterdir())[::-1])
    for words in (", training: goes on from", "compression 1 to", "compression 2 to", "done before"):
        assert words in stage_one
    assert ": goes on from" in stage_two


def test_the_sequence_killed_anywhere_ends_with_the_same_bits(mtil, mtil_data, tmp_path):
    commands = mtil_commands(mtil_data, tmp_path / "root")
    drawn = iter([(signal.SIGKILL, *moment) for moment in moments(5, [(1, 2), (0, 2), (2, 3), (1, 3)])])
    ended = disturbed(tmp_path / "output", commands, [[next(drawn)], [next(drawn)], [], [next(drawn), next(drawn)]])
    assert [each.code for each in ended] == [-signal.SIGKILL] * 4
    assert differences(contents(tmp_path / "root"), mtil.contents) == []


# --- SIGTERM and SIGINT


def test_a_run_asked_to_stop_saves_amidst_an_epoch_says_how_to_go_on_and_ends_with_the_same_bits(cil, data, tmp_path):
    commands, steps = cil_commands(data, tmp_path / "root"), []
    for command, seed, count in zip(commands, (6, 7), (6, 3), strict=True):
        for number, (epochs, share) in enumerate(moments(seed, [(1, 2)] * count)):
            asked = signal.SIGTERM if number % 2 else signal.SIGINT
            started = Script(tmp_path / "output", *command)
            if not started.after(epochs, share):
                break
            started.signal(asked)
            assert started.wait() == 128 + asked
            assert "the same command goes on from there" in one_line(started.err)
            for path in (tmp_path / "root").rglob("unfinished/*.pt"):
                steps.append(torch.load(path, weights_only=True).get("progress", {}).get("step", 0))
        processes.run(tmp_path / "output", *command)
    assert any(steps), "saved amidst an epoch"
    assert differences(contents(tmp_path / "root"), cil.contents) == []


def test_the_sequence_asked_to_stop_ends_with_the_same_bits(mtil, mtil_data, tmp_path):
    commands = mtil_commands(mtil_data, tmp_path / "root")
    drawn = [
        (asked, *moment)
        for asked, moment in zip((signal.SIGTERM, signal.SIGINT), moments(8, [(1, 2), (2, 4)]), strict=True)
    ]
    ended = disturbed(tmp_path / "output", commands, [[], drawn[:1], [], drawn[1:]])
    assert [each.code for each in ended] == [143, 130]
    assert differences(contents(tmp_path / "root"), mtil.contents) == []


def test_after_restart_the_message_says_to_leave_it_out(data, tmp_path):
    command = cil_commands(data, tmp_path / "root", restart=True)[0]
    started = Script(tmp_path / "output", *command)
    assert started.after(1)
    started.signal(signal.SIGTERM)
    assert started.wait() == 143
    assert one_line(started.err).endswith("the same command goes on from there if restart=True is left out\n")


# --- files and folders that fail


@pytest.fixture
def begun(data, tmp_path) -> SimpleNamespace:
    """Stage one, stopped in its first task."""
    command = cil_commands(data, tmp_path / "root")[0]
    started = Script(tmp_path / "output", *command)
    assert started.after(2)
    started.signal(signal.SIGTERM)
    assert started.wait() == 143
    folder = stage_one_folder(tmp_path / "root")
    assert list(folder.rglob("unfinished/*.pt"))
    return SimpleNamespace(command=command, folder=folder, root=tmp_path / "root", output=tmp_path / "output")


def saved(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*.pt"))}


@pytest.mark.parametrize(("limit", "file"), [(20_000, "model_0to2.pt"), (600, "configuration.json")])
def test_a_full_disk_is_one_line_and_what_was_saved_stays(cil, begun, limit, file):
    before = saved(begun.folder)
    full = Script(begun.output, *begun.command, largest_file=limit)
    assert full.wait() == 2
    message = one_line(full.err)
    assert f"{begun.folder}/{file}" in message
    assert os.strerror(errno.EFBIG) in message
    assert saved(begun.folder) == before
    assert not list(begun.root.rglob("*.part"))
    if file.endswith(".pt"):
        processes.run(begun.output, *begun.command)
        assert differences(contents(begun.root), only_stage_one(cil)) == []


def only_stage_one(cil) -> dict:
    return {name: content for name, content in cil.contents.items() if name.startswith("classifier")}


def test_a_folder_that_vanishes_is_one_line_and_the_run_goes_on_where_it_is_put_back(cil, begun):
    running, away = Script(begun.output, *begun.command), begun.root / "away"
    assert running.after(1)
    begun.folder.rename(away)
    assert running.wait() == 2
    assert str(begun.folder) in one_line(running.err)
    assert not begun.folder.exists()
    away.rename(begun.folder)
    processes.run(begun.output, *begun.command)
    assert differences(contents(begun.root), only_stage_one(cil)) == []


# --- two processes, one folder


def test_a_second_process_on_the_folder_is_told_and_the_lock_does_not_outlive_a_killed_one(begun):
    first = Script(begun.output / "first", *begun.command)
    assert first.after(1)
    first.signal(signal.SIGSTOP)
    before = {path: path.read_bytes() for path in begun.folder.rglob("*") if path.is_file()}
    second = Script(begun.output / "second", *begun.command)
    assert second.wait() == 2
    assert f"{begun.folder} is in use by another process" in one_line(second.err)
    assert before == {path: path.read_bytes() for path in begun.folder.rglob("*") if path.is_file()}
    first.signal(signal.SIGKILL)
    assert first.wait() == -signal.SIGKILL
    third = Script(begun.output / "third", *begun.command)
    assert third.after(1), third.err
    third.signal(signal.SIGKILL)
    third.wait()


# --- going on from what exists


def test_a_finished_run_is_skipped_with_a_line_for_each_part(cil, data, tmp_path):
    shutil.copytree(cil.root, tmp_path / "root")
    before = saved(tmp_path / "root")
    out = [processes.run(tmp_path / "output", *command).out for command in cil_commands(data, tmp_path / "root")]
    assert ": epoch " not in "".join(out)
    for name in ("0to2", "2to4", "4to6"):
        assert f"task {name}, training: done before, model_{name}.pt is there" in out[0]
        assert f"task {name}, compression: done before, model_{name}_prune.pt is there" in out[0]
    for number in (1, 2, 3):
        assert f"stage {number}: done before, stage_{number}.pt is there" in out[1]
    assert saved(tmp_path / "root") == before
    assert differences(contents(tmp_path / "root"), cil.contents) == []


def test_more_tasks_on_the_same_beginning_go_on_from_it(cil, data, tmp_path):
    shorter = {"split_list": [0, 2, 4], "split_type": "s0-t2"}
    for command in cil_commands(data, tmp_path / "root", **shorter):
        processes.run(tmp_path / "output", *command)
    out = [processes.run(tmp_path / "output", *command).out for command in cil_commands(data, tmp_path / "root")]
    assert ": epoch " not in "".join(line for line in out[0].splitlines() if "4to6" not in line)
    assert "model_2to4_prune.pt: taken over from" in out[0]
    assert "stage_2.pt: taken over from" in out[1]
    assert out[1].count("done before") == 2
    found = {name: content for name, content in contents(tmp_path / "root").items() if "s0-t3" in name}
    for files in (found, expected := dict(cil.contents)):
        for name in [name for name in files if name.endswith(".pt")]:
            # Files taken over tell the split they were made for.
            files[name] = {key: value for key, value in files[name].items() if key != "configuration"}
    assert differences(found, expected) == []
