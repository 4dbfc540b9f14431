"""What a run says: lines on the screen and in its log, bars where the output is a terminal, curves for TensorBoard."""

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Any, TextIO

from tqdm import tqdm

LINES = 5  # on the screen, of a training where there is no terminal


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
    """A time span in hours, minutes and seconds: `0:03:05`, or `2 days, 13:20:00`."""
    return str(timedelta(seconds=round(seconds)))


class Console:
    """Prints lines and appends them to a log; shows epochs as a bar, or as plain lines where there is no terminal.

    Args:
        log: the log file, or none; beside it go the curves for TensorBoard.
        row: the bars' place on the terminal, from 0 at the top; they take two.
    """

    def __init__(self, log: Path | None = None, row: int = 0):
        self.log, self.row = log, row
        self.terminal = sys.stderr.isatty()

    def say(self, line: str) -> None:
        """One line, on the screen and in the log."""
        self.note(line)
        show(line)

    def note(self, line: str) -> None:
        """One line for the log only. Raises `OSError` if it cannot be written."""
        if self.log is not None:
            with self.log.open("a", encoding="utf-8", errors="replace") as file:
                file.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {line}\n")

    def bar(self, title: str, total: int, position: int, done: int = 0) -> tqdm:
        """A progress bar, seen on a terminal only: at position 0 that of a run, at 1 that of a training."""
        place = {"position": self.row + position, "leave": False, "dynamic_ncols": True, "disable": not self.terminal}
        return tqdm(desc=title, total=total, initial=done, **place)

    @contextmanager
    def epochs(self, title: str, total: int, done: int, judged: str) -> Iterator[Callable[[dict[str, Any]], None]]:
        """The bar of one training, or a line now and then: yields what takes an epoch's line of the history.

        Accuracies are on the `judged` images: "held-out" or "test".
        """
        begun = time.monotonic()
        with self.bar(title, total, 1, done) as bar:

            def advance(entry: dict[str, Any]) -> None:
                epoch = entry["epoch"]
                accuracy = f", {judged} accuracy {entry['accuracy']:.1f} %" if "accuracy" in entry else ""
                line = f"{title}: epoch {epoch}/{total}, loss {entry['loss']:.4f}{accuracy}"
                self.note(line)
                self.curves(title, epoch, {name: value for name, value in entry.items() if name != "epoch"})
                bar.set_postfix_str(f"loss {entry['loss']:.3f}{accuracy}", refresh=False)
                bar.update()
                if not self.terminal and epoch % max(1, total // LINES) == 0:
                    pace = (time.monotonic() - begun) / max(1, epoch - done)
                    show(f"{line}, {duration(pace * (total - epoch))} left")

            yield advance

    @cached_property
    def _writer(self) -> Any:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            return None
        return SummaryWriter(str(self.log.parent))

    def curves(self, title: str, step: int, values: dict[str, float]) -> None:
        """One point of each of TensorBoard's curves `title/name`, where that package is installed and there is a log.

        ", " in the title, as between a task and its training, groups too.
        """
        if self.log is not None and self._writer is not None:
            for name, value in values.items():
                self._writer.add_scalar(f"{title.replace(', ', '/')}/{name}", value, step)
            self._writer.flush()

    def close(self) -> None:
        """Closes TensorBoard's file."""
        if vars(self).get("_writer") is not None:
            self._writer.close()
