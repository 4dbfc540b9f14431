"""What a run does to its folder, and what is left when something fails."""

import io
import json
import os
import signal
import sys
import threading
from dataclasses import replace
from itertools import chain, pairwise
from pathlib import Path

import processes
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from datasets.augment import Transform
from datasets.batches import Batches, Part
from datasets.rehearsal import RehearsalMemory, require_room
from datasets.stream import Images
from models import resnet18
from utils import checkpoint, recipes, training
from utils.console import Console
from utils.errors import Interrupted, UserError
from utils.interrupt import Interruption
from utils.lock import FolderLock
from utils.mixup import supervised
from utils.run import Run, configuration_file

DETERMINISTIC = settings(derandomize=True, deadline=None, max_examples=60)
SETTINGS = recipes.settings(device="cpu")


@pytest.fixture(autouse=True)
def _no_interruption(monkeypatch):
    monkeypatch.setattr(Interruption, "requested", None)


def a_run(folder, only="", free=(), arguments=None, **options):
    run = Run(folder, replace(SETTINGS, **options), 1, {"split_list": [0, 5], **(arguments or {})}, only, free)
    run.console.quiet = True
    return run


def refused(function, *arguments, **options):
    with pytest.raises(UserError) as caught:
        function(*arguments, **options)
    message = str(caught.value)
    assert message.isprintable(), "one line"
    return message


def enter(run):
    with run:
        pass


def begin(run):
    """A run that has left something to go on from, which binds the folder to its configuration."""
    with run:
        (run.folder / "model_0to5.pt").write_bytes(b"content")


# --- one process a folder


def test_a_folder_is_one_runs_at_a_time(tmp_path):
    with a_run(tmp_path / "run"):
        assert f"{tmp_path / 'run'} is in use by another process" in refused(enter, a_run(tmp_path / "run"))
        enter(a_run(tmp_path / "another"))
    enter(a_run(tmp_path / "run"))


def test_a_second_run_on_the_folder_touches_nothing(tmp_path):
    with a_run(tmp_path) as first:
        first.console.note("first")
        (tmp_path / ".model.pt.1.part").write_bytes(b"being written")
        before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
        refused(enter, a_run(tmp_path, restart=True))
        refused(enter, a_run(tmp_path, lr=1.0))
        assert before == {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    "error", [ValueError("a bug"), OSError(28, "No space left on device", "file"), KeyboardInterrupt]
)
def test_the_lock_ends_with_the_run_however_that_ends(tmp_path, error):
    with pytest.raises((ValueError, UserError, KeyboardInterrupt)), a_run(tmp_path):
        raise error
    enter(a_run(tmp_path))


def test_a_run_that_is_refused_does_not_keep_the_lock(tmp_path):
    begin(a_run(tmp_path))
    refused(enter, a_run(tmp_path, lr=1.0))
    enter(a_run(tmp_path))


def test_a_process_that_outlives_the_first_of_its_job_keeps_the_folder(tmp_path):
    begin(a_run(tmp_path))
    (tmp_path / ".lock_2").touch()  # of a process that has ended
    enter(a_run(tmp_path))
    left = FolderLock(tmp_path, ".lock_1")
    left.take()
    assert "in use by another process" in refused(enter, a_run(tmp_path))
    left.release()
    enter(a_run(tmp_path))


@pytest.mark.parametrize("made_anew", [False, True])
def test_a_folder_taken_away_is_noticed_and_what_stands_in_its_place_is_left_alone(tmp_path, made_anew):
    run = a_run(tmp_path / "run")
    message = ""
    with pytest.raises(UserError) as caught, run:  # noqa: PT012
        (tmp_path / "run").rename(tmp_path / "away")
        if made_anew:
            enter(a_run(tmp_path / "run", lr=1.0))
        before = {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()}
        message = refused(run.console.note, "an epoch")
        refused(run.once, tmp_path / "run" / "model.pt", (tmp_path / "run" / "model.pt").touch, "task")
        refused(run.finish, {}, "table")
        raise UserError(message)
    assert "was moved or deleted while this run worked in it" in str(caught.value)
    assert before == {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()}


def test_an_unfinished_training_is_not_saved_into_a_folder_made_anew(tmp_path):
    run = a_run(tmp_path / "run")
    with pytest.raises(UserError, match="was moved or deleted"), run:  # noqa: PT012
        (tmp_path / "run").rename(tmp_path / "away")
        enter(a_run(tmp_path / "run"))
        (tmp_path / "run" / "unfinished").mkdir()
        fit(supervised, run.unfinished / "task.pt", console=run.console)
    assert not list((tmp_path / "run").rglob("*.pt"))


# --- its configuration


def test_a_changed_configuration_is_refused_with_names_values_and_the_two_ways_out(tmp_path):
    begin(a_run(tmp_path))
    message = refused(enter, a_run(tmp_path, seed=3, lr=0.25, class_order=1993))
    for part in (
        str(tmp_path),
        "seed (there 0, now 3)",
        "lr (there 0.0005, now 0.25)",
        "class_order (there None, now 1993)",
    ):
        assert part in message
    assert "epochs" not in message
    assert "another checkpoint_root" in message
    assert "restart=True" in message
    assert "there [0, 5], now [0, 6]" in refused(enter, a_run(tmp_path, arguments={"split_list": [0, 6]}))
    assert "extra (there None, now 1)" in refused(enter, a_run(tmp_path, arguments={"extra": 1}))


def test_what_decides_no_result_may_change(tmp_path):
    begin(a_run(tmp_path, free=["extra"], arguments={"extra": 1}))
    enter(a_run(tmp_path, free=["extra"], arguments={"extra": 2}, save_every=1, data_root="elsewhere", recipe="cpu"))


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"3", b"\xff", b"[" * 100_000])
def test_a_damaged_configuration_is_named_and_restart_mends_it(tmp_path, content):
    begin(a_run(tmp_path))
    path = configuration_file(tmp_path)
    path.write_bytes(content)
    message = refused(enter, a_run(tmp_path))
    assert str(path) in message
    assert "restart=True" in message
    enter(a_run(tmp_path, restart=True))
    enter(a_run(tmp_path))


def test_restart_removes_what_runs_write_and_nothing_else(tmp_path):
    written = ["model_0to5.pt", "model_0to5_prune.pt", "stage_1.pt", "results.json", "results.md", "log.txt"]
    unfinished = ["0to5_training.pt", "0to5_round1.pt", "finetune_5to10.pt"]
    kept = ["notes.txt", "my.json", "model.onnx"]
    enter(a_run(tmp_path))
    (tmp_path / "unfinished").mkdir(exist_ok=True)
    for name in [*written, *kept, *[f"unfinished/{name}" for name in unfinished]]:
        (tmp_path / name).write_bytes(b"content")
    with a_run(tmp_path, restart=True, lr=1.0):
        assert {path.name for path in tmp_path.iterdir()} == {*kept, ".lock", "unfinished", "configuration.json"}
        assert not list((tmp_path / "unfinished").iterdir())
    assert json.loads(configuration_file(tmp_path).read_text())["lr"] == 1.0


def test_restart_of_one_of_several_runs_in_a_folder_leaves_the_others_alone(tmp_path):
    stems = ["mnist", "fashionmnist", "mnist_svhn_5", "fashionmnist_mnist_svhn_5", "mnist_svhn_50"]
    for stem in stems:
        enter(a_run(tmp_path, only=stem))
    (tmp_path / "unfinished").mkdir(exist_ok=True)
    names = {
        stem: [f"model_{stem}.pt", f"unfinished/{stem}_training.pt", f"unfinished/finetune_{stem}.pt"] for stem in stems
    }
    for name in chain(*names.values()):
        (tmp_path / name).write_bytes(b"content")
    for stem in ("mnist_svhn_5", "mnist"):
        with a_run(tmp_path, only=stem, restart=True, lr=1.0):
            pass
        gone = names.pop(stem)
        assert not any((tmp_path / name).exists() for name in gone)
        assert all((tmp_path / name).exists() for name in chain(*names.values()))
    enter(a_run(tmp_path, only="mnist", lr=1.0))
    enter(a_run(tmp_path, only="fashionmnist"))


# --- going on from another run


def begun(folder, bounds, **options):
    """A finished run of these tasks."""
    with a_run(folder, arguments={"split_list": bounds}, **options):
        for first, last in pairwise(bounds):
            checkpoint.write(folder / f"model_{first}to{last}.pt", "classifier", {"of": f"{folder.name} {first}"})


def adopted(folder, bounds, **options):
    with a_run(folder, arguments={"split_list": bounds}, **options) as run:
        run.adopt("run*", lambda index, name: [f"model_{name}.pt"])
    return {path.name: checkpoint.read(path, "classifier")["of"] for path in folder.glob("model_*.pt")}


def test_finished_tasks_of_a_run_that_began_alike_are_taken_over(tmp_path):
    begun(tmp_path / "run2", [0, 5, 10])
    found = adopted(tmp_path / "run3", [0, 5, 10, 15])
    assert found == {"model_0to5.pt": "run2 0", "model_5to10.pt": "run2 5"}
    assert "model_0to5.pt: taken over from" in (tmp_path / "run3/log.txt").read_text()


def test_only_tasks_before_the_first_that_differs_are_taken_over(tmp_path):
    begun(tmp_path / "run2", [0, 5, 10, 15])
    assert adopted(tmp_path / "run3", [0, 5, 12, 15]) == {"model_0to5.pt": "run2 0"}
    assert adopted(tmp_path / "run4", [0, 6, 10, 15]) == {}


@pytest.mark.parametrize("options", [{"seed": 1}, {"lr": 0.1}, {"class_order": 1993}, {"restart": True}], ids=str)
def test_nothing_is_taken_over_from_a_run_that_began_otherwise(tmp_path, options):
    begun(tmp_path / "run2", [0, 5, 10])
    assert adopted(tmp_path / "run3", [0, 5, 10, 15], **options) == {}


def test_what_is_there_is_not_replaced(tmp_path):
    begun(tmp_path / "run2", [0, 5, 10])
    begun(tmp_path / "run3", [0, 5])
    assert adopted(tmp_path / "run3", [0, 5])["model_0to5.pt"] == "run3 0"


@pytest.mark.parametrize("content", ["{", "[]", '{"split_list": 3}', "{}"])
def test_a_damaged_configuration_beside_it_does_not_hurt(tmp_path, content):
    begun(tmp_path / "run2", [0, 5, 10])
    configuration_file(tmp_path / "run2").write_text(content)
    assert adopted(tmp_path / "run3", [0, 5, 10, 15]) == {}


def test_a_damaged_file_beside_it_is_passed_by_and_named(tmp_path):
    begun(tmp_path / "run2", [0, 5, 10])
    path = tmp_path / "run2" / "model_5to10.pt"
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    assert adopted(tmp_path / "run3", [0, 5, 10, 15]) == {"model_0to5.pt": "run2 0"}
    assert f"cannot be gone on from: {path}" in (tmp_path / "run3/log.txt").read_text()


# --- what is left at the end, and after a kill


def test_what_a_killed_process_was_writing_is_removed(tmp_path):
    enter(a_run(tmp_path))
    parts = [tmp_path / ".model_0to5.pt.123.part", tmp_path / "unfinished" / ".0to5_training.pt.123.part"]
    for path in parts:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"half")
    with a_run(tmp_path):
        assert not any(path.exists() for path in parts)


def test_a_finished_run_leaves_results_and_what_other_runs_have_not_finished(tmp_path):
    with a_run(tmp_path, only="mnist") as run:
        for name in ("mnist_training.pt", "svhn_training.pt"):
            (run.unfinished / name).write_bytes(b"content")
        run.forget("mnist_training.")
        run.finish({"stage": 1}, "table")
    assert [path.name for path in (tmp_path / "unfinished").iterdir()] == ["svhn_training.pt"]
    with a_run(tmp_path, only="svhn") as run:
        run.forget("svhn_training.")
        run.finish({"stage": 1}, "table")
    assert not (tmp_path / "unfinished").exists()
    assert json.loads((tmp_path / "results.json").read_text()) == {"stage": 1}
    assert (tmp_path / "results.md").read_text() == "table"


# --- files and folders that fail


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("in the way")
    message = refused(enter, a_run(tmp_path / "file" / "run"))
    assert str(tmp_path / "file" / "run") in message
    assert "checkpoint_root" in message


@pytest.mark.parametrize("name", [".lock", "unfinished", "configuration.json"])
def test_something_else_in_a_files_place_is_named(tmp_path, name):
    if name == "unfinished":
        (tmp_path / name).write_text("a file")
    else:
        (tmp_path / name).mkdir()
    assert str(tmp_path) in refused(enter, a_run(tmp_path))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_to_is_named(tmp_path):
    enter(a_run(tmp_path / "run"))
    (tmp_path / "run").chmod(0o555)
    assert str(tmp_path / "run") in refused(enter, a_run(tmp_path / "run"))


def test_any_file_that_fails_in_a_run_is_one_line_that_names_it(tmp_path):
    with pytest.raises(UserError, match=r"/data/x: No space left on device; .* unchanged"), a_run(tmp_path):
        raise OSError(28, "No space left on device", "/data/x")
    with pytest.raises(UserError, match=str(tmp_path)), a_run(tmp_path):
        raise OSError(5, "Input/output error")
    assert "stopped: /data/x" in (tmp_path / "log.txt").read_text()


def test_a_log_that_cannot_be_written_does_not_hide_what_stopped_the_run(tmp_path):
    with pytest.raises(UserError, match="the reason"), a_run(tmp_path / "run"):  # noqa: PT012
        (tmp_path / "run").rename(tmp_path / "away")
        raise UserError("the reason")


@pytest.mark.parametrize(
    "error", [MemoryError(), torch.cuda.OutOfMemoryError("CUDA"), RuntimeError("... can't allocate memory: you tried")]
)
def test_a_memory_that_is_full_is_one_line(tmp_path, error):
    with pytest.raises(UserError, match="the memory is full: give smaller"), a_run(tmp_path):
        raise error


def test_errors_in_the_code_keep_their_kind(tmp_path):
    with pytest.raises(ZeroDivisionError), a_run(tmp_path):
        1 / 0  # noqa: B018


def test_every_file_is_renamed_into_its_place(tmp_path, monkeypatch):
    placed, replace_file = set(), os.replace

    def watched(source, target):
        placed.add(Path(target).name)
        replace_file(source, target)

    monkeypatch.setattr(checkpoint.os, "replace", watched)
    with a_run(tmp_path) as run:
        run.console.say("a line")
        run.finish({}, "table")
    files = {path.name for path in tmp_path.rglob("*") if path.is_file()}
    assert files - {".lock"} == placed == {"configuration.json", "log.txt", "results.json", "results.md"}


# --- the log and the screen


def test_the_log_goes_on_where_an_earlier_process_left_it(tmp_path):
    Console(tmp_path / "log.txt", quiet=True).say("one")
    again = Console(tmp_path / "log.txt", quiet=True)
    again.say("two")
    again.note("three")
    assert [line.split()[-1] for line in (tmp_path / "log.txt").read_text().splitlines()] == ["one", "two", "three"]


def test_a_log_that_cannot_be_written_keeps_its_lines_and_says_so(tmp_path, monkeypatch):
    console = Console(tmp_path / "log.txt", quiet=True)
    console.say("one")
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint.os, "fsync", lambda number: (_ for _ in ()).throw(OSError(28, "No space left")))
        assert str(tmp_path / "log.txt") in refused(console.say, "two")
    assert (tmp_path / "log.txt").read_text().endswith(" one\n")
    console.say("three")
    assert [line.split()[-1] for line in (tmp_path / "log.txt").read_text().splitlines()] == ["one", "two", "three"]


def _print_into_nothing(log, encoding):
    """In a process of its own: standard output is a pipe that nobody reads any more."""
    read, write = os.pipe()
    os.close(read)
    os.dup2(write, 1)
    sys.stdout = open(1, "w", encoding=encoding, closefd=False)  # noqa: SIM115
    console = Console(log)
    console.terminal = False
    for _ in range(3):
        console.say("task 0–5")
    with console.epochs("training", 1, 0, "held-out") as bar:
        bar.advance({"epoch": 1, "loss": 0.5})
    sys.stdout.flush()


@pytest.mark.parametrize("encoding", ["ascii", "utf-8"])
def test_a_pipe_that_is_closed_does_not_end_a_run(tmp_path, encoding):
    process = processes.start(_print_into_nothing, tmp_path / "log.txt", encoding)
    process.join(processes.PATIENCE)
    assert process.exitcode == 0
    assert (tmp_path / "log.txt").read_text(encoding="utf-8").count("task 0–5") == 3


def test_a_screen_that_knows_no_dash_shows_something_else(tmp_path, monkeypatch):
    screen = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", screen)
    Console().say("task 0–5")
    assert screen.buffer.getvalue() == b"task 0?5\n"


# --- signals


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_after_the_last_step_ends_the_process_all_the_same(tmp_path, number, code):
    with pytest.raises(Interrupted) as caught, a_run(tmp_path) as run:  # noqa: PT012
        run.finish({"stage": 1}, "table")
        os.kill(os.getpid(), number)
    assert caught.value.exit_code == code
    assert "the same command goes on" in str(caught.value)
    assert (tmp_path / "results.json").exists()
    assert Interruption.requested is None


def test_a_signal_between_trainings_stops_before_the_next(tmp_path):
    with pytest.raises(Interrupted, match="before task 0to5") as caught, a_run(tmp_path) as run:  # noqa: PT012
        os.kill(os.getpid(), signal.SIGTERM)
        run.once(tmp_path / "model.pt", pytest.fail, "task 0to5")
    assert caught.value.exit_code == 143


def test_the_second_signal_stops_at_once():
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where the tests run in the background
    with pytest.raises(KeyboardInterrupt), Interruption.watched():  # noqa: PT012
        os.kill(os.getpid(), signal.SIGINT)
        assert Interruption.requested == signal.SIGINT
        os.kill(os.getpid(), signal.SIGINT)
    signal.signal(signal.SIGINT, before)


def test_after_a_run_signals_do_what_they_did_before(tmp_path):
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    enter(a_run(tmp_path))
    with pytest.raises(UserError), a_run(tmp_path):
        raise UserError("stop")
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_a_run_in_a_thread_works_without_signals(tmp_path):
    ran = []
    thread = threading.Thread(target=lambda: (enter(a_run(tmp_path)), ran.append(1)))
    thread.start()
    thread.join()
    assert ran == [1]


# --- a loss that is no number

PLAN = training.Schedule(
    epochs=3, lr=1e-2, weight_decay=0.0, clip_norm=5.0, evaluate_every=1, evaluate_last=1, save_every=1, amp="off"
)


def fit(objective, unfinished, steps=8, console=None):
    images = torch.randint(0, 256, (8, 3, 8, 8), generator=torch.Generator().manual_seed(0)).byte()
    batches = Batches([Part(images, torch.arange(8) % 2, 4, Transform(padding=1))], steps, key=(0,))
    model = resnet18(2, (1, 1, 1, 1), seed=0)
    console = console or Console(quiet=True)
    return training.fit(model, batches, objective, PLAN, console, "task", unfinished=unfinished)


def at_step(step, change):
    """The plain objective, changed at one step, counted from 1."""
    calls = []

    def objective(*arguments):
        calls.append(1)
        outcome = supervised(*arguments)
        return change(outcome) if len(calls) == step else outcome

    return objective


def test_a_stop_right_after_a_loss_that_is_no_number_does_not_replace_the_good_checkpoint(tmp_path):
    def spoilt(outcome):
        Interruption.requested = signal.SIGTERM
        return outcome._replace(loss=outcome.loss * float("nan"))

    unfinished = tmp_path / "unfinished.pt"
    message = refused(fit, at_step(9, spoilt), unfinished)
    assert "epoch 2, step 1, at learning rate" in message
    content = torch.load(unfinished, weights_only=True)
    assert content["progress"]["epoch"] == 1
    assert all(value.isfinite().all() for value in content["model"].values())


@pytest.mark.parametrize("step", [9, 16])
def test_a_gradient_that_is_no_number_counts_as_a_loss_that_is_none(tmp_path, step):
    """The loss is finite, the weights would not be: even an epoch's last step must not be saved."""

    def steep(outcome):
        edge = torch.zeros((), requires_grad=True) + 0 * outcome.logits.sum()
        return outcome._replace(loss=edge.sqrt())

    unfinished = tmp_path / "unfinished.pt"
    message = refused(fit, at_step(step, steep), unfinished)
    assert f"epoch 2, step {step - 8}," in message
    assert torch.load(unfinished, weights_only=True)["progress"]["epoch"] == 1


# --- memory arithmetic


@st.composite
def memories(draw):
    """(rehearsal size, for each task the number of images of each of its classes)."""
    tasks = draw(st.lists(st.lists(st.integers(1, 12), min_size=1, max_size=4), min_size=1, max_size=5))
    classes = sum(map(len, tasks))
    return draw(st.integers(0, 15 * classes)), tasks, draw(st.randoms(use_true_random=False))


@DETERMINISTIC
@given(memories())
def test_every_class_has_an_equal_share_of_the_memory_and_lists_only_shrink_from_their_end(case):
    size, tasks, random = case
    memory, before, chosen_at_first, row = RehearsalMemory(size), [], [], 0
    for counts in tasks:
        first = len(memory.lists)
        labels = torch.tensor([first + k for k, count in enumerate(counts) for _ in range(count)])
        labels = labels[torch.tensor(random.sample(range(len(labels)), len(labels)))]
        images = Images(torch.zeros(len(labels), 3, 1, 1).byte(), labels, torch.arange(row, row + len(labels)))
        row += len(labels)
        orders = [random.sample(range(count), count) for count in counts]
        memory.add_task(images, orders)
        chosen_at_first += [
            [images.indices[labels == first + k].tolist()[position] for position in order]
            for k, order in enumerate(orders)
        ]
        share = size // len(memory.lists)
        sizes = [count for task in tasks for count in task][: len(memory.lists)]
        assert [len(indices) for indices in memory.lists] == [min(share, count) for count in sizes]
        assert sum(map(len, memory.lists)) <= size
        assert all(now == then[: len(now)] for now, then in zip(memory.lists, chosen_at_first, strict=True))
        assert all(now == then[: len(now)] for now, then in zip(memory.lists, before, strict=False))
        before = [list(indices) for indices in memory.lists]


@DETERMINISTIC
@given(st.integers(1, 10_000), st.integers(0, 1_000))
def test_a_memory_has_room_exactly_if_every_old_class_keeps_an_exemplar(size, classes):
    if classes and RehearsalMemory(size).per_class(classes) < 1:
        with pytest.raises(UserError, match=f"expected at least {classes}"):
            require_room(size, classes)
    else:
        require_room(size, classes)
