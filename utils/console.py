"""What a run says while it runs: lines, its log file, and bars where the output is a terminal."""

import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from tqdm import tqdm

from utils import checkpoint, tables

Item = TypeVar("Item")


class Console:
    """Prints lines and keeps them in `log.txt`; shows epochs as a bar, or as plain lines where there is no terminal.

    Should the terminal or pipe that is printed to go away, the log alone goes on.
    """

    def __init__(self, log: Path | None = None, quiet: bool = False):
        self.log = log
        self.quiet = quiet
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
        if self._logged is None:
            self._logged = checkpoint.read_bytes(self.log) if self.log.exists() else b""
        self._logged += f"{time.strftime('%Y-%m-%d %H:%M:%S')} {line}\n".encode(errors="replace")
        checkpoint.write_bytes(self.log, self._logged)

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
            position=position,
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
        self.bar.set_postfix_str(f"loss {entry['loss']:.3f}{accuracy}", refresh=False)
        self.bar.update()
        every = max(1, self.total // self.LINES)
        if not self.console.terminal and not self.console.quiet and entry["epoch"] % every == 0:
            pace = (time.monotonic() - self.begun) / max(1, entry["epoch"] - self.first)
            self.console.show(f"{line}, {tables.duration(pace * (self.total - entry['epoch']))} left")

    def close(self) -> None:
        self.bar.close()
