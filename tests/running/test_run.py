"""What a run does to its folder, and what is left when something fails."""

import json
import os
import signal
import threading
from unittest.mock import Mock

import pytest

from tests.models.networks import network
from tests.running.conftest import files, save
from utils.running.errors import Interrupted, UserError
from utils.running.interrupt import Interruption
from utils.running.run import Run
from utils.running.storage import locked


def enter(run: Run) -> None:
    with run:
        pass


def finish(run: Run) -> None:
    run.finish({"a": 1}, "table", lambda *arguments: None)


def test_a_folder_is_one_runs_at_a_time_and_what_a_killed_one_was_writing_goes_with_the_next(a_run, tmp_path, refusal):
    with a_run() as first:
        save(first, "model_a")
        for name in (".model_a.pt.1.part", "unfinished/.b.training.pt.1.part"):
            (tmp_path / "run" / name).write_bytes(b"being written")
        before = files(tmp_path / "run")
        assert f"{tmp_path / 'run'} is in use by another process" in refusal(enter, a_run())
        assert "in use" in refusal(enter, a_run(restart=True))
        assert files(tmp_path / "run") == before
        enter(a_run("another"))
    with pytest.raises(ValueError, match="a bug"), a_run():
        raise ValueError("a bug")
    with locked(tmp_path / "run", ".lock_1"):  # a process that outlives the first of its job
        assert "in use by another process" in refusal(enter, a_run())
    enter(a_run())
    assert set(files(tmp_path / "run")) == {"model_a.pt", "model_a.json"}


def test_6_a_lock_that_is_a_link_or_another_file_is_not_emptied(a_run, tmp_path, refusal):
    """Issue 13.6."""
    mine = tmp_path / "mine.txt"
    mine.write_text("precious")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / ".lock").symlink_to(mine)
    assert str(tmp_path / "run") in refusal(enter, a_run())
    (tmp_path / "run" / ".lock").unlink()
    os.link(mine, tmp_path / "run" / ".lock")
    enter(a_run())
    assert mine.read_text() == "precious"


def test_1_a_restart_keeps_what_was_there_until_the_first_new_file_is_whole(a_run, tmp_path, monkeypatch):
    """Issue 13.1: an error, a full disk or a stop before that loses nothing."""
    with a_run() as run:
        save(run, "model_a")
        save(run, "stage_1")
        run.artefact("model_x", {}).save_training({"model": network().state_dict()})
        finish(run)
    before = files(tmp_path / "run")
    with pytest.raises(UserError, match="a typo"), a_run(restart=True) as run:  # noqa: PT012
        assert not run.artefact("model_a", {}).done
        raise UserError("a typo")
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", Mock(side_effect=OSError(28, "No space left on device")))
        with pytest.raises(OSError, match="No space left"), a_run(restart=True) as run:
            save(run, "model_a", seed=1)
    assert files(tmp_path / "run") == before
    mine = {"notes.txt", "my.json", "model_mine.onnx"}
    for name in mine:
        (tmp_path / "run" / name).write_bytes(b"mine")
    with a_run(restart=True) as run:
        run.artefact("model_a", {}).save_training({"model": network().state_dict()})
        assert set(files(tmp_path / "run")) == {*mine, "unfinished/model_a.training.pt"}
        save(run, "model_a", seed=1)
    assert set(files(tmp_path / "run")) == {*mine, "model_a.pt", "model_a.json"}


def test_a_restart_of_one_of_several_runs_in_a_folder_leaves_the_others_alone(a_run, tmp_path):
    names = ["model_mnist", "model_fashionmnist", "model_mnist_svhn_5", "model_mnist_svhn_50"]
    for name in names:
        with a_run(own=[name]) as run:
            save(run, name)
    before = files(tmp_path / "run")
    with a_run(own=["model_mnist"], restart=True) as run:
        assert set(run.recorded("model_*")) == set(names) - {"model_mnist"}
        save(run, "model_mnist", seed=1)
    after = files(tmp_path / "run")
    assert {name for name in before if before[name] != after[name]} == {"model_mnist.pt", "model_mnist.json"}


def test_what_others_have_not_finished_outlives_a_finished_run(a_run, tmp_path):
    with a_run() as run:
        (tmp_path / "run" / "unfinished").rmdir()  # as another process of the job does that ends
        for name in ("model_a", "model_ab"):
            run.artefact(name, {}).save_training({"model": network().state_dict()})
        run.artefact("model_a.round1", {"round": 1}, run.unfinished).save(network(), {})
        save(run, "model_a")
        finish(run)
    assert os.listdir(tmp_path / "run" / "unfinished") == ["model_ab.training.pt"]
    assert json.loads((tmp_path / "run" / "results.json").read_text()) == {"a": 1}
    with a_run() as run:
        save(run, "model_ab")
    assert not (tmp_path / "run" / "unfinished").exists()


def test_a_dry_run_writes_nothing_and_a_restart_in_it_begins_anew(a_run, tmp_path):
    with a_run() as run:
        save(run, "model_a")
    before = files(tmp_path / "run")
    for restart in (False, True):
        with a_run(restart=restart, dry_run=True) as run:
            assert run.artefact("model_a", {}).done is not restart
            save(run, "model_a", seed=1)
            save(run, "model_b")
            finish(run)
    enter(a_run("nowhere", dry_run=True))
    assert files(tmp_path / "run") == before
    assert not (tmp_path / "nowhere").exists()


def test_a_signal_after_the_last_step_ends_the_process_all_the_same(a_run, tmp_path):
    with pytest.raises(Interrupted) as caught, a_run() as run:  # noqa: PT012
        finish(run)
        os.kill(os.getpid(), signal.SIGTERM)
    assert caught.value.exit_code == 143
    assert (tmp_path / "run" / "results.json").exists()
    assert Interruption.requested is None


def test_the_second_signal_stops_at_once_and_afterwards_all_is_as_before(a_run):
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where the tests run in the background
    with pytest.raises(KeyboardInterrupt), a_run():  # noqa: PT012
        os.kill(os.getpid(), signal.SIGINT)
        assert Interruption.requested == signal.SIGINT
        os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    signal.signal(signal.SIGINT, before)


def test_a_run_in_a_thread_works_without_signals(a_run):
    ran = []
    thread = threading.Thread(target=lambda: (enter(a_run()), ran.append(1)))
    thread.start()
    thread.join()
    assert ran == [1]
