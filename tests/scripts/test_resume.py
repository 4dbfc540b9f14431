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
import torch
from processes import Script, contents, differences
from tiny import STAGE_ONE, STAGE_TWO, sequence_commands, split_commands

from datasets import stand_ins


def one_line(text: str) -> str:
    assert text.count("\n") == 1, text
    assert text.strip().isprintable()
    return text


def disturbed(folder, command, seed: int, numbers: list[int]) -> list[int]:
    """The command again and again, ended by each of these signals; at last left alone. Returns the exit codes."""
    drawn, codes = random.Random(seed), []
    for number in numbers:
        started = Script(folder, *command)
        if not started.after(drawn.randint(1, 3), drawn.random()):
            break
        started.signal(number)
        codes.append(started.wait())
        if number != signal.SIGKILL and codes[-1] != 0:
            assert "the same command, without restart=True, goes on from there" in one_line(started.err)
    processes.run(folder, *command)
    return codes


@pytest.mark.parametrize("kind", ["split", "sequence"])
@pytest.mark.parametrize("killed", [True, False], ids=["kill -9", "SIGTERM and SIGINT"])
def test_a_disturbed_run_ends_with_the_same_bits(request, data, tmp_path, kind, killed):
    expected = request.getfixturevalue(kind)
    numbers = [signal.SIGKILL] * 4 if killed else [signal.SIGTERM, signal.SIGINT] * 2
    codes = []
    for seed, command in enumerate(expected.commands(data, tmp_path / "root")):
        codes += disturbed(tmp_path / "output", command, seed, numbers[: 4 - 2 * seed])
    assert len(codes) >= 3
    assert set(codes) <= ({-signal.SIGKILL} if killed else {130, 143})
    assert differences(contents(tmp_path / "root"), expected.contents) == []
    log = "".join(path.read_text() for path in (tmp_path / "root").rglob("log.txt"))
    assert ": goes on from epoch" in log


def test_a_stop_saves_amidst_an_epoch(data, tmp_path):
    command = split_commands(data, tmp_path / "root", batch_size=1, epochs=2)[0]
    started = Script(tmp_path / "output", *command)
    assert started.after(1, share=0.4)
    started.signal(signal.SIGTERM)
    assert started.wait() == 143
    [path] = (tmp_path / "root").rglob("unfinished/*.training.pt")
    assert torch.load(path, weights_only=True)["progress"]["step"] > 0


def test_after_a_restart_the_message_says_to_leave_it_out(data, tmp_path):
    started = Script(tmp_path / "output", *split_commands(data, tmp_path / "root", restart=True)[0])
    assert started.after(1)
    started.signal(signal.SIGTERM)
    assert started.wait() == 143
    assert one_line(started.err).endswith("if restart=True is left out\n")


def test_a_full_disk_a_second_process_and_a_folder_moved_away_are_one_line_each(split, data, tmp_path):
    command, folder = split_commands(data, tmp_path / "root")[0], tmp_path / "root" / STAGE_ONE
    full = Script(tmp_path / "full", *command, largest_file=20_000)
    assert full.wait() == 2
    assert os.strerror(errno.EFBIG) in one_line(full.err)
    assert not list((tmp_path / "root").rglob("*.pt"))
    assert not list((tmp_path / "root").rglob("*.part"))

    first = Script(tmp_path / "first", *command)
    assert first.after(1)
    first.signal(signal.SIGSTOP)
    second = Script(tmp_path / "second", *command)
    assert second.wait() == 2
    assert f"{folder} is in use by another process" in one_line(second.err)
    folder.rename(tmp_path / "away")
    first.signal(signal.SIGCONT)
    assert first.wait() == 2
    assert str(folder) in one_line(first.err)
    assert not folder.exists()

    (tmp_path / "away").rename(folder)
    processes.run(tmp_path / "last", *command)
    expected = {name: content for name, content in split.contents.items() if name.startswith(STAGE_ONE)}
    assert differences(contents(tmp_path / "root"), expected) == []


# --- going on from what exists


@pytest.fixture
def copied(split, tmp_path):
    return shutil.copytree(split.root, tmp_path / "root")


def networks(root) -> dict:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*.pt")}


def test_a_finished_run_trains_nothing_and_other_options_are_refused(copied, data, tmp_path):
    before = networks(copied)
    for command in split_commands(data, copied):
        assert ": epoch " not in processes.run(tmp_path / "output", *command).out
    for number, more in ((0, {"epochs": 4}), (0, {"distill_lr": 1e-3}), (1, {"finetune_lr": 1e-3}), (1, {"seed": 1})):
        started = Script(tmp_path / "output", *split_commands(data, copied, **more)[number])
        assert started.wait() == 2
        assert next(iter(more)) in one_line(started.err)
    assert networks(copied) == before


def test_1_a_restart_that_cannot_begin_loses_nothing(copied, data, tmp_path):
    """Issue 13.1."""
    before = networks(copied)
    wrongs = [(1, {"classifier_root": str(tmp_path / "typo")}), (1, {"seed": 1}), (0, {"validation_fraction": 0.99})]
    for number, more in wrongs:
        started = Script(tmp_path / "output", *split_commands(data, copied, restart=True, **more)[number])
        assert started.wait() == 2
        one_line(started.err)
    assert networks(copied) == before


def test_a_restart_gives_what_a_first_run_gives(split, copied, data, tmp_path):
    for command in split_commands(data, copied, restart=True):
        assert ": epoch " in processes.run(tmp_path / "output", *command).out
    assert differences(contents(copied), split.contents) == []


def test_compression_goes_on_from_networks_made_without_it(split, data, tmp_path):
    root = tmp_path / "root"
    processes.run(tmp_path / "output", *split_commands(data, root, prune=False)[0])
    first = networks(root)
    out = processes.run(tmp_path / "output", *split_commands(data, root)[0]).out
    assert ", training: epoch" not in out
    found = networks(root)
    assert all(found[name] == content for name, content in first.items())
    assert len(found) == 2 * len(first)


def test_more_tasks_on_the_same_beginning_go_on_from_it(copied, data, tmp_path):
    more = {"split_list": [0, 2, 4, 6], "split_type": "s0-t3"}
    stage_one, stage_two = (
        processes.run(tmp_path / "output", *each).out for each in split_commands(data, copied, **more)
    )
    for line in stage_one.splitlines():
        assert ": epoch " not in line or "4to6" in line
    assert "stage_2: epoch" not in stage_two
    assert "stage_3: epoch" in stage_two
    longer = copied / STAGE_TWO.replace("t2", "t3")
    assert (longer / "stage_2.pt").read_bytes() == (copied / STAGE_TWO / "stage_2.pt").read_bytes()


def test_fault_3_a_sequence_does_not_go_on_from_a_shorter_one_made_anew(sequence, data, tmp_path):
    root = shutil.copytree(sequence.root, tmp_path / "root")
    for path in (root / "MTIL" / "EDE_Net_resnet18").glob("model_mnist_1.*"):
        path.unlink()
    for path in (root / "MTIL" / "classifier_resnet18").glob("model_mnist.*"):
        path.unlink()
    one, _ = sequence_commands(data, root, rotation=7.0)
    processes.run(tmp_path / "output", one[0], one[1].replace("['MNIST', 'SVNH']", "'MNIST'"))
    started = Script(tmp_path / "output", *sequence_commands(data, root)[1])
    assert started.wait() == 2
    assert "stage before" in one_line(started.err)


def test_7_training_files_whose_rows_were_reordered_are_told_by_name(split, copied, data, tmp_path):
    """Issue 13.7."""
    other = tmp_path / "data"
    sets = ("cifar100", "cifar10")
    stand_ins.write(other, train_per_class=8, test_per_class=3, classes=6, sets=sets, seed=1)
    (copied / STAGE_TWO / "stage_2.json").unlink()
    for command in split_commands(other, copied):
        started = Script(tmp_path / "output", *command)
        assert started.wait() == 2
        assert "images" in one_line(started.err)


def test_a_dry_run_writes_nothing_and_tells_all_trainings(data, tmp_path):
    for (script, call), count in zip(split_commands(data, tmp_path / "root", dry_run=True), (4, 1), strict=True):
        out = processes.run(tmp_path / "output", script, call).out
        assert "nothing was written" in out
        assert out.count(" updates in ") == count
    assert not (tmp_path / "root").exists()
