"""One run and its folder: lock, log, interruption, what is done already, results."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, suppress
from fnmatch import fnmatch
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import torch

from utils.running import checkpoint, console, device, processes
from utils.running.artefact import Artefact, read_record
from utils.running.console import Console
from utils.running.errors import Interrupted, UserError, told
from utils.running.interrupt import Interruption
from utils.running.lock import FolderLock
from utils.running.options import Settings

Item = TypeVar("Item", bound=AbstractContextManager)


class Run:
    """A folder that one process works in, or the processes of one job, each with its own lock and log.

    Inside the `with` statement SIGINT and SIGTERM ask the run to stop. With `restart=True`, what the folder held when
    the run began counts as absent and goes when the first new file takes its place; with `dry_run=True` nothing is
    written and trainings are timed, see `utils.method.training`.

    Args:
        folder: where everything is written.
        settings: the run's options.
        configuration: what decides the results, as plain values, for tables and figures.
        own: patterns of the names that are this run's, where several share the folder.
        siblings: pattern of the folders beside this one whose networks may be taken over, or none.

    Attributes:
        device: where the run computes; `data_device`: where its images are.
        unfinished: the folder of what is needed to go on, removed at the end.

    Raises: `UserError` if another process works there or it cannot be written to; on leaving, for files and folders
        that fail and for a memory that is full; `Interrupted` if asked to stop.
    """

    def __init__(
        self,
        folder: Path,
        settings: Settings,
        configuration: dict[str, Any],
        own: Sequence[str] = ("model_*", "stage_*", "results"),
        siblings: str | None = None,
    ):
        self.folder, self.settings, self.configuration = folder, settings, configuration
        self.own, self.siblings, self.dry = own, siblings, settings.dry_run
        place = processes.place()
        self.device = device.choose(settings.device, place.local_rank, place.size)
        self.data_device = torch.device("cpu") if settings.data_device == "cpu" else self.device
        self.unfinished = folder / "unfinished"
        self.plan: list[tuple[str, float]] = []  # of a dry run: trainings and their seconds
        self._artefacts: dict[str, Artefact] = {}
        ending = f"_{place.rank}" if place.rank else ""
        self._lock = FolderLock(folder, f".lock{ending}")
        self.console = Console(None if self.dry else folder / f"log{ending}.txt", self._lock, row=2 * place.local_rank)
        self._stale: dict[Path, tuple[int, int]] = {}

    def __enter__(self) -> "Run":
        with ExitStack() as opened:
            if not self.dry:
                opened.callback(self._lock.release)
                opened.callback(self.console.scalars.close)
                try:
                    self._begin()
                except OSError as error:
                    raise UserError(
                        f"{self.folder} cannot be used ({error.strerror or error}): give a checkpoint_root that can be "
                        f"written to"
                    ) from error
            if self.settings.restart:
                found = [path for name in self.own for path in self.folder.glob(f"{name}.*")]
                found += [path for name in self.own for path in self.unfinished.glob(f"{name}.*")]
                self._stale = {path: _identity(path) for path in found if path.suffix in (".pt", ".json", ".md")}
            opened.enter_context(device.prepared(self.device, self.settings.deterministic))
            opened.enter_context(Interruption.watched())
            self._opened = opened.pop_all()
        return self

    def _begin(self) -> None:
        """Takes the folder, and clears up after a process that was killed."""
        self._lock.take()
        self.unfinished.mkdir(exist_ok=True)
        if processes.place().size == 1:
            for path in self.folder.glob(".lock_*"):  # of a process of an earlier job that is still at work
                other = FolderLock(self.folder, path.name)
                other.take()
                other.release()
            for left in [*self.folder.glob(".*.part"), *self.unfinished.glob(".*.part")]:
                left.unlink()

    def is_stale(self, path: Path) -> bool:
        """Whether a file was there when a restart began, and is to be replaced."""
        return path in self._stale and path.exists() and _identity(path) == self._stale[path]

    def clear(self) -> None:
        """Removes what a restart replaces, now that something new takes its place."""
        for path in list(self._stale):
            if self.is_stale(path):  # and was not written anew
                path.unlink()
        self._stale = {}

    def write(self, path: Path, content: bytes) -> None:
        """Writes a file of the run, whole, and removes what a restart replaces; nothing in a dry run.

        Raises: `UserError` if it cannot be written, or the folder is no longer this run's.
        """
        if not self.dry:
            self._lock.require()
            path.parent.mkdir(exist_ok=True)  # another process of the job may have finished and removed it
            checkpoint.write_bytes(path, content, self.clear)

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        ended = self._ended(error)
        if not self.dry:
            if ended is not None:
                with suppress(UserError, OSError):  # the reason is to be told, not that the log too cannot be written
                    self.console.note(f"stopped: {ended}")
            with suppress(OSError):  # not empty: there is something to go on from
                self.unfinished.rmdir()
        self._opened.close()
        if ended is not error:
            raise ended from error

    def _ended(self, error: BaseException | None) -> BaseException | None:
        """What ends the run, in words that say what its user can do where there is something."""
        if error is None and Interruption.requested:
            return Interruption.stop(f"stopped when the run in {self.folder} was finished")
        if isinstance(error, Interrupted) and self.settings.restart:
            return Interrupted(f"{error} if restart=True is left out", error.exit_code)
        if error is None or isinstance(error, UserError):
            return error
        message = told(error)
        return error if message is None else UserError(message)

    def artefact(self, name: str, made_from: dict[str, Any], folder: Path | None = None) -> Artefact:
        """A network of this run by the name of its files, see `Artefact`."""
        self._artefacts[name] = Artefact(self, name, made_from, folder)
        return self._artefacts[name]

    def content(self, name: str) -> dict[str, Any] | None:
        """What is recorded of a network, made here or by another process of the job; None if it is not there yet."""
        if name in self._artefacts:
            return self._artefacts[name].content
        record = self.folder / f"{name}.json"
        there = record.exists() and not self.is_stale(record)
        return read_record(record) if there else None

    def recorded(self, pattern: str) -> dict[str, dict[str, Any]]:
        """What is recorded of all networks whose names fit a pattern, by name."""
        names = {path.stem for path in self.folder.glob(f"{pattern}.json")} | {*self._artefacts}
        found = {name: self.content(name) for name in sorted(names) if fnmatch(name, pattern)}
        return {name: content for name, content in found.items() if content is not None}

    def each(self, tasks: Sequence[Item], title: str) -> Iterator[Item]:
        """The tasks one by one, each open for as long as it lasts.

        Raises: `Interrupted` if asked to stop before one begins.
        """
        for task in self.console.each(tasks, title):
            if Interruption.requested:
                raise Interruption.stop(f"stopped before task {task.name}")
            with task:
                yield task

    def finish(self, results: dict[str, Any], table: str, draw: Callable[[Path, dict], None]) -> dict[str, Any]:
        """Writes results.json, results.md and the figures, prints the table, and returns the results.

        Of a dry run it says what all trainings take, and returns them.
        """
        if self.dry:
            total = sum(seconds for _, seconds in self.plan)
            self.console.say(f"{len(self.plan)} trainings, about {console.duration(total)} in all; nothing was written")
            return {"trainings": self.plan, "seconds": total}
        self.write(self.folder / "results.json", checkpoint.as_json(results))
        self.write(self.folder / "results.md", table.encode())
        draw(self.folder, results)
        self.console.note("finished")
        console.show(f"\n{table}\nwritten to {self.folder}")
        return results


def _identity(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_ino, found.st_mtime_ns
