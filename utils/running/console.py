"""What a run says: lines on the screen and in its log, bars where the output is a terminal, curves for TensorBoard."""

import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO, TypeVar

from tqdm import tqdm

from utils.running.lock import FolderLock

Item = TypeVar("Item")


def prepare_streams() -> None:
    """Gives the process streams that can be written to: closed ones lead nowhere, odd letters are escaped."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, Path(os.devnull).open("w"))  # noqa: SIM115 - open for as long as the process lives
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def show(text: str, stream: TextIO | None = None) -> None:
    """Prints lines to the screen, above the bars; if the terminal or pipe has gone away, to nowhere from now on."""
    stream = stream or sys.stdout
    try:
        tqdm.write(text, file=stream)
        stream.flush()
    except OSError:
        with suppress(OSError, ValueError):  # what is still buffered would fail again when the process ends
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def duration(seconds: float) -> str:
    """A time span by its two largest units: `4.2 s`, `45 s`, `3 min 05 s`, `61 h 20 min`."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes == 0:
        return f"{rest} s"
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return "{} h {:02d} min".format(*divmod(round(seconds / 60), 60))


class Console:
    """Prints lines and appends them to a log; shows epochs as a bar, or as plain lines where there is no terminal.

    Args:
        log: the log file, or none.
        lock: of the folder that the log lies in.
        row: the bars' place on the terminal, from 0 at the top; they take two.
    """

    def __init__(self, log: Path | None = None, lock: FolderLock | None = None, row: int = 0):
        self.log, self.lock, self.row = log, lock, row
        self.terminal = sys.stderr.isatty()
        self.scalars = Scalars(log and log.parent)

    def say(self, line: str) -> None:
        """One line, on the screen and in the log."""
        self.note(line)
        show(line)

    def note(self, line: str) -> None:
        """One line for the log only. Raises `OSError` if it cannot be written."""
        if self.log is None:
            return
        self.lock.require()
        with self.log.open("a", encoding="utf-8", errors="replace") as file:
            file.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {line}\n")

    def each(self, items: Sequence[Item], title: str) -> Iterator[Item]:
        """The items one by one, with the bar of the whole run above that of the training, or a line for each."""
        begun = time.monotonic()
        with self.bar(title, len(items), position=0) as bar:
            for done, item in enumerate(items, start=1):
                yield item
                bar.update()
                if not self.terminal and done < len(items):
                    show(f"{title}: {done} of {len(items)} done in {duration(time.monotonic() - begun)}")

    @contextmanager
    def epochs(self, title: str, total: int, done: int, judged: str) -> Iterator["Epochs"]:
        """The bar of one training; `judged` says on which images accuracies are."""
        epochs = Epochs(self, title, total, done, judged)
        try:
            yield epochs
        finally:
            epochs.bar.close()

    def bar(self, title: str, total: int, position: int, done: int = 0) -> tqdm:
        """A progress bar, seen on a terminal only."""
        return tqdm(
            total=total,
            initial=done,
            desc=title,
            position=self.row + position,
            leave=False,
            dynamic_ncols=True,
            disable=not self.terminal,
        )


class Epochs:
    """The epochs of one training: a bar on a terminal, else a line now and then."""

    LINES = 5

    def __init__(self, console: Console, title: str, total: int, done: int, judged: str):
        self.console, self.title, self.total, self.judged = console, title, total, judged
        self.bar = console.bar(title, total, position=1, done=done)
        self.begun, self.first = time.monotonic(), done

    def advance(self, entry: dict[str, Any]) -> None:
        """One more epoch is done; `entry` is its line of the history."""
        accuracy = f", {self.judged} accuracy {entry['accuracy']:.1f} %" if "accuracy" in entry else ""
        line = f"{self.title}: epoch {entry['epoch']}/{self.total}, loss {entry['loss']:.4f}{accuracy}"
        self.console.note(line)
        self.console.scalars.add(self.title, entry["epoch"], {k: v for k, v in entry.items() if k != "epoch"})
        self.bar.set_postfix_str(f"loss {entry['loss']:.3f}{accuracy}", refresh=False)
        self.bar.update()
        if not self.console.terminal and entry["epoch"] % max(1, self.total // self.LINES) == 0:
            pace = (time.monotonic() - self.begun) / max(1, entry["epoch"] - self.first)
            show(f"{line}, {duration(pace * (self.total - entry['epoch']))} left")


class Scalars:
    """Curves for TensorBoard, written into a folder where the `tensorboard` package is installed, else nowhere."""

    def __init__(self, folder: Path | None):
        self.folder, self._writer = folder, None

    def add(self, title: str, step: int, values: dict[str, float]) -> None:
        """One point of each curve `title/name`; ", " in the title, as between a task and its training, groups too."""
        if self.folder is None:
            return
        if self._writer is None:
            try:
                from torch.utils.tensorboard import SummaryWriter
            except ImportError:
                self.folder = None
                return
            self._writer = SummaryWriter(str(self.folder))
        for name, value in values.items():
            self._writer.add_scalar(f"{title.replace(', ', '/')}/{name}", value, step)
        self._writer.flush()

    def close(self) -> None:
        """Closes the file."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None
