"""What a run says while it runs: lines, its log file, curves, and bars where the output is a terminal."""

import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from tqdm import tqdm

from utils import checkpoint, tables
from utils.lock import FolderLock
from utils.scalars import Scalars

Item = TypeVar("Item")


class Console:
    """Prints lines and keeps them in `log.txt`; shows epochs as a bar, or as plain lines where there is no terminal.

    Should the terminal or pipe that is printed to go away, the log alone goes on.

    Args:
        log: the log file, or none.
        lock: of the folder that the log and all else is written to.
        quiet: print nothing.
        row: the bars' place on the terminal, from 0 at the top; they take two.
    """

    def __init__(self, log: Path | None = None, lock: FolderLock | None = None, quiet: bool = False, row: int = 0):
        self.log = log
        self.lock = lock
        self.quiet = quiet
        self.row = row
        self.scalars = Scalars(log and log.parent)
        self.terminal = sys.stderr.isatty()
        self._logged: bytes | None = None  # the log's content, once it has been read

    def say(self, line: str) -> None:
        """One line, on the screen and in the log."""
        self.note(line)
        self.show(line)

    def show(self, line: str) -> None:
        """One line on the screen only."""
        if self.quiet:
            return
        try:
            try:
                tqdm.write(line)
            except UnicodeEncodeError:  # a terminal that knows no "–"
                tqdm.write(line.encode("ascii", "replace").decode())
            sys.stdout.flush()
        except OSError:
            self.quiet = True
            with suppress(OSError):  # what is still buffered would fail again when the process ends
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

    def note(self, line: str) -> None:
        """One line for the log only, which like every file is whole or absent: it is small beside a checkpoint.

        Raises: `UserError` if it cannot be written.
        """
        if self.log is None:
            return
        self.require_folder()
        if self._logged is None:
            self._logged = checkpoint.read_bytes(self.log) if self.log.exists() else b""
        self._logged += f"{time.strftime('%Y-%m-%d %H:%M:%S')} {line}\n".encode(errors="replace")
        checkpoint.write_bytes(self.log, self._logged)

    def require_folder(self) -> None:
        """Raises `UserError` if the folder is no longer the one that the run began in."""
        if self.lock is not None:
            self.lock.require()

    def each(self, items: Sequence[Item], title: str) -> Iterator[Item]:
        """The items one by one, with the bar of the whole run above that of the training, or a line for each."""
        taken = []
        with self._bar(title, len(items), position=0) as bar:
            for done, item in enumerate(items, start=1):
                begun = time.monotonic()
                yield item
                bar.update()
                taken.append(time.monotonic() - begun)
                slow = [seconds for seconds in taken if seconds > max(taken) / 100]  # the others were done before
                if not self.terminal and done < len(items):
                    left = sum(slow) / len(slow) * (len(items) - done)
                    self.show(f"{title}: {done} of {len(items)} done, {tables.duration(left)} left at this pace")

    @contextmanager
    def epochs(self, title: str, total: int, done: int, judged: str) -> Iterator["EpochBar"]:
        """The bar of one training; `judged` says on which images accuracies are."""
        bar = EpochBar(self, title, total, done, judged)
        try:
            yield bar
        finally:
            bar.close()

    def _bar(self, title: str, total: int, position: int, done: int = 0) -> tqdm:
        return tqdm(
            total=total,
            initial=done,
            desc=title,
            position=self.row + position,
            leave=False,
            dynamic_ncols=True,
            disable=self.quiet or not self.terminal,
        )


class EpochBar:
    """The epochs of one training: a tqdm bar on a terminal, else a line now and then."""

    LINES = 5

    def __init__(self, console: Console, title: str, total: int, done: int, judged: str):
        self.console, self.title, self.total, self.judged = console, title, total, judged
        self.bar = console._bar(title, total, position=1, done=done)
        self.begun, self.first = time.monotonic(), done

    def advance(self, entry: dict) -> None:
        """One more epoch is done; `entry` is its line of the history."""
        accuracy = f", {self.judged} accuracy {entry['accuracy']:.1f} %" if "accuracy" in entry else ""
        line = f"{self.title}: epoch {entry['epoch']}/{self.total}, loss {entry['loss']:.4f}{accuracy}"
        self.console.note(line)
        self.console.scalars.add(self.title, entry["epoch"], {k: v for k, v in entry.items() if k != "epoch"})
        self.bar.set_postfix_str(f"loss {entry['loss']:.3f}{accuracy}", refresh=False)
        self.bar.update()
        every = max(1, self.total // self.LINES)
        if not self.console.terminal and not self.console.quiet and entry["epoch"] % every == 0:
            pace = (time.monotonic() - self.begun) / max(1, entry["epoch"] - self.first)
            self.console.show(f"{line}, {tables.duration(pace * (self.total - entry['epoch']))} left")

    def close(self) -> None:
        self.bar.close()
