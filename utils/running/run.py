"""One run and its folder: lock, log, interruption, what is done already, results."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import torch

from utils.running import console, device, processes, storage
from utils.running.artefact import Artefact, read_record
from utils.running.errors import Interrupted, told
from utils.running.interrupt import Interruption
from utils.running.options import Settings


class Run:
    """A folder that one process works in, or the processes of one job, each with its own lock and log.

    Inside the `with` statement SIGINT and SIGTERM ask the run to stop. With `restart=True`, what the folder held when
    the run began counts as absent and goes when the first new file takes its place; with `dry_run=True` nothing is
    written and trainings are timed, see `utils.method.training`.

    Args:
        configuration: what decides the results, as plain values, for tables and figures.
        own: patterns of the names that are this run's, where several share the folder.
        siblings: pattern of the folders beside this one whose networks may be taken over, or none.

    Raises: `UserError` if another process works there; `OSError` if it cannot be written to; `Interrupted` on leaving,
        if asked to stop.
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
        self.device = device.choose(settings.device)
        self.data_device = torch.device("cpu") if settings.data_device == "cpu" else self.device
        self.unfinished = folder / "unfinished"  # what is needed to go on, gone at the end
        self.plan: list[tuple[str, float]] = []  # of a dry run: trainings and their seconds
        self._artefacts: dict[str, Artefact] = {}
        self._stale: set[Path] = set()  # what a restart replaces
        ending = f"_{place.rank}" if place.rank else ""
        self._lock = f".lock{ending}"
        self.console = console.Console(None if self.dry else folder / f"log{ending}.txt", 2 * place.local_rank)

    def __enter__(self) -> "Run":
        self._block = self._open()
        return self._block.__enter__()

    def __exit__(self, *error: Any) -> None:
        self._block.__exit__(*error)

    @contextmanager
    def _open(self) -> Iterator["Run"]:
        with ExitStack() as stack:
            if not self.dry:
                stack.enter_context(storage.locked(self.folder, self._lock))
                self._begin()
                stack.push(self._end)
            if self.settings.restart:
                found = [path for name in self.own for path in self.folder.glob(f"{name}.*")]
                found += [path for name in self.own for path in self.unfinished.glob(f"{name}.*")]
                self._stale = {path for path in found if path.suffix in (".pt", ".json", ".md")}
            stack.enter_context(device.prepared(self.device, self.settings.deterministic))
            stack.enter_context(Interruption.watched())
            yield self
            if Interruption.requested:
                raise Interrupted(f"stopped when the run in {self.folder} was finished", Interruption.requested)

    def _begin(self) -> None:
        """Clears up after a process that was killed."""
        self.unfinished.mkdir(exist_ok=True)
        if processes.place().size == 1:
            for path in self.folder.glob(".lock_*"):  # of a process of an earlier job that is still at work
                with storage.locked(self.folder, path.name):
                    pass
            for left in [*self.folder.glob(".*.part"), *self.unfinished.glob(".*.part")]:
                left.unlink()

    def _end(self, kind: type | None, error: BaseException | None, trace: object) -> None:
        if error is not None:
            with suppress(OSError):  # the reason is to be told, not that the log too cannot be written
                self.console.note(f"stopped: {told(error) or error}")
        with suppress(OSError):  # not empty: there is something to go on from
            self.unfinished.rmdir()
        self.console.close()

    def has(self, path: Path) -> bool:
        """Whether a file is there, and not to be replaced by a restart."""
        return path not in self._stale and path.exists()

    def write(self, path: Path, content: bytes) -> None:
        """Writes a file of the run, whole, and removes what a restart replaces; nothing in a dry run.

        Raises: `OSError` if it cannot be written.
        """
        if not self.dry:
            path.parent.mkdir(exist_ok=True)  # another process of the job may have finished and removed it
            storage.write_bytes(path, content, self._stale)
            self._stale = set()

    def artefact(self, name: str, made_from: dict[str, Any], folder: Path | None = None) -> Artefact:
        """A network of this run by the name of its files, see `Artefact`."""
        self._artefacts[name] = Artefact(self, name, made_from, folder)
        return self._artefacts[name]

    def recorded(self, pattern: str) -> dict[str, dict[str, Any]]:
        """What is recorded of all networks whose names fit a pattern, by name: made here or by another process."""
        made = {name: each.content for name, each in self._artefacts.items() if each.done and fnmatch(name, pattern)}
        others = {path.stem: path for path in self.folder.glob(f"{pattern}.json") if self.has(path)}
        return {name: made.get(name) or read_record(others[name]) for name in sorted({*made, *others})}

    def each(self, tasks: Sequence[AbstractContextManager], title: str) -> Iterator[AbstractContextManager]:
        """The tasks one by one, each open for as long as it lasts, with a bar, or a line for each.

        Raises: `Interrupted` if asked to stop before one begins.
        """
        begun = time.monotonic()
        with self.console.bar(title, len(tasks), position=0) as bar:
            for done, task in enumerate(tasks, start=1):
                if Interruption.requested:
                    raise Interrupted(f"stopped before task {task.name}", Interruption.requested)
                with task:
                    yield task
                bar.update()
                if not self.console.terminal and done < len(tasks):
                    seconds = time.monotonic() - begun
                    console.show(f"{title}: {done} of {len(tasks)} done in {console.duration(seconds)}")

    def finish(self, results: dict[str, Any], table: str, draw: Callable[[Path, dict], None]) -> dict[str, Any]:
        """Writes results.json, results.md and the figures, prints the table, and returns the results.

        Of a dry run it says what all trainings take, and returns them.
        """
        if self.dry:
            total = sum(seconds for _, seconds in self.plan)
            self.console.say(f"{len(self.plan)} trainings, about {console.duration(total)} in all; nothing was written")
            return {"trainings": self.plan, "seconds": total}
        self.write(self.folder / "results.json", storage.as_json(results))
        self.write(self.folder / "results.md", table.encode())
        draw(self.folder, results)
        self.console.note("finished")
        console.show(f"\n{table}\nwritten to {self.folder}")
        return results
