"""What a run says while it runs: lines, its log file, and bars where the output is a terminal."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tqdm import tqdm

from utils.errors import UserError


class Console:
    """Prints lines and keeps them in `log.txt`; shows epochs as a bar, or as plain lines where there is no terminal."""

    def __init__(self, log: Path | None = None, quiet: bool = False):
        self.log = log
        self.quiet = quiet
        self.terminal = sys.stderr.isatty()
        self.overall: tqdm | None = None

    def say(self, line: str) -> None:
        """One line, on the screen and in the log."""
        self.note(line)
        if not self.quiet:
            tqdm.write(line)

    def note(self, line: str) -> None:
        """One line for the log only."""
        if self.log is not None:
            try:
                with self.log.open("a", encoding="utf-8") as file:
                    file.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {line}\n")
            except OSError as error:
                raise UserError(
                    f"{self.log} could not be written ({error.strerror or error}): make room or mend the folder, "
                    f"then run the same command again"
                ) from error

    @contextmanager
    def run(self, title: str, trainings: int) -> Iterator[None]:
        """The bar of the whole run, `trainings` in all, with the time left."""
        self.overall = self._bar(title, trainings, position=0)
        try:
            yield
        finally:
            self.overall.close()
            self.overall = None

    @contextmanager
    def epochs(self, title: str, total: int, done: int) -> Iterator["EpochBar"]:
        """The bar of one training."""
        bar = EpochBar(self, title, total, done)
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

    def __init__(self, console: Console, title: str, total: int, done: int):
        self.console, self.title, self.total = console, title, total
        self.bar = console._bar(title, total, position=1, done=done)
        self.begun, self.first = time.monotonic(), done

    def advance(self, entry: dict) -> None:
        """One more epoch is done; `entry` is its line of the history."""
        accuracy = f", held-out accuracy {entry['accuracy']:.1f} %" if "accuracy" in entry else ""
        line = f"{self.title}: epoch {entry['epoch']}/{self.total}, loss {entry['loss']:.4f}{accuracy}"
        self.console.note(line)
        self.bar.set_postfix_str(f"loss {entry['loss']:.3f}{accuracy}", refresh=False)
        self.bar.update()
        every = max(1, self.total // self.LINES)
        if not self.console.terminal and not self.console.quiet and entry["epoch"] % every == 0:
            pace = (time.monotonic() - self.begun) / max(1, entry["epoch"] - self.first)
            print(f"{line}, {pace * (self.total - entry['epoch']):.0f} s left", flush=True)

    def close(self) -> None:
        self.bar.close()
