"""One run and its folder: lock, configuration, log, interruption, results."""

import json
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Literal, TypeVar

import torch

from utils import checkpoint, device, distributed
from utils.console import Console
from utils.errors import Interrupted, UserError, memory_full
from utils.interrupt import Interruption
from utils.lock import FolderLock
from utils.recipes import Settings
from utils.scalars import Scalars

Item = TypeVar("Item")


def configuration_file(folder: Path, only: str = "") -> Path:
    """Where a run's configuration lies, see `Run`."""
    return folder / f"configuration{'_' * bool(only)}{only}.json"


class Run:
    """A folder that one process works in, or the processes of one job.

    Entering makes the folder, takes its lock, and compares the configuration with the one that the folder was begun
    with. `unfinished/` holds what is needed to go on and is removed at the end. Inside the `with` statement SIGINT and
    SIGTERM ask the run to stop.

    Args:
        folder: where everything is written.
        settings: the run's options.
        stage: 1, 2, or a baseline's kind, which decides what options matter.
        arguments: what else decides the results (split, prune, …), plain values.
        only: where several runs share the folder, the ending that tells this one's files from the others'.
        free: names in the configuration that may change between calls.
        sharing: what the processes that `torchrun` started share: "tasks", each of which one process trains and
            writes, or "batches" of one training, of which the first process writes everything. None: nothing, and
            more than one process are refused.

    Attributes:
        device: where the run computes; data_device: where its images are.
        team: the processes of the job.

    Raises: `UserError` if another process works there, if the configuration differs, or if it cannot be written to; on
        leaving, for files and folders that fail and for a memory that is full; `Interrupted` if asked to stop.
    """

    def __init__(
        self,
        folder: Path,
        settings: Settings,
        stage: int | str,
        arguments: dict,
        only: str = "",
        free: Sequence[str] = (),
        sharing: Literal["tasks", "batches"] | None = None,
    ):
        self.folder, self.settings, self.only, self.sharing = folder, settings, only, sharing
        self.configuration = {**arguments, **settings.configuration(stage)}
        self.free = {"recipe", *free}
        self.team = distributed.team()
        if sharing is None:
            distributed.require_one_process()
        if not self.team.alone and ":" in settings.device:
            raise UserError(f'device="{settings.device}" is one GPU for {self.team.size} processes: give "cuda"')
        self.device = device.choose(settings.device, self.team.local_rank)
        self.data_device = torch.device("cpu") if settings.data_device == "cpu" else self.device
        self.unfinished = folder / "unfinished"
        ending = "" if self.team.leads else f"_{self.team.rank}"
        self._lock = FolderLock(folder, f".lock{ending}")
        self.console = Console(folder / f"log{ending}.txt", self._lock, row=2 * self.team.local_rank)
        if sharing == "batches" and not self.team.leads:
            self.console = Console(quiet=True)

    def __enter__(self) -> "Run":
        with ExitStack() as opened:
            opened.callback(self._lock.release)
            opened.callback(self.console.scalars.close)
            try:
                if self.team.leads:
                    self._begin()
                self.team.join()
                if not self.team.leads:
                    distributed.wait_for_file(self.unfinished)
                if not self.team.leads and self.sharing == "tasks":
                    self._lock.take()
            except OSError as error:
                raise UserError(
                    f"{self.folder} cannot be used ({error.strerror or error}): give a checkpoint_root that can be "
                    f"written to"
                ) from error
            opened.enter_context(device.prepared(self.device, self.settings.deterministic))
            self._watch = ExitStack()
            self._watch.enter_context(Interruption.watched())
            self._opened = opened.pop_all()
        return self

    def _begin(self) -> None:
        """Takes the folder, empties it for a restart, and clears up after a process that was killed."""
        self._lock.take()
        for path in self.folder.glob(".lock_*"):  # held by a process that outlives the first of its job
            other = FolderLock(self.folder, path.name)
            other.take()
            other.release()
        if self.settings.restart:
            for path in self._written():
                path.unlink(missing_ok=True)
        self._agree()
        self.unfinished.mkdir(exist_ok=True)
        for left in [*self.folder.glob(".*.part"), *self.unfinished.glob(".*.part")]:
            left.unlink()  # of a process that was killed while it wrote

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        told = self._told(error)
        self._watch.close()
        if told is not None:
            with suppress(UserError):  # the reason is to be told, not that the log too cannot be written
                self.console.note(f"stopped: {told}")
        elif self.team.leads:
            with suppress(OSError):  # another run of this folder has left something to go on from
                self.unfinished.rmdir()
        self._opened.close()
        if told is not error:
            raise told from error

    def _told(self, error: BaseException | None) -> BaseException | None:
        """What ends the run, in words that say what its user can do where there is something."""
        if error is None and Interruption.requested:
            return Interruption.stop(f"stopped when the run in {self.folder} was finished")
        if isinstance(error, Interrupted) and self.settings.restart:
            return Interrupted(f"{error} if restart=True is left out", error.exit_code)
        if isinstance(error, OSError):
            return UserError(
                f"{error.filename or self.folder}: {error.strerror or error}; what was written before is unchanged: "
                f"mend the folder, then run the same command again"
            )
        if isinstance(error, RuntimeError) and not self.team.alone and distributed.is_broken(error):
            return UserError(
                f"another process of this job has ended: its message says why, and the same command goes on; or the "
                f"processes cannot reach each other ({str(error).splitlines()[0][:160]})"
            )
        if any(kind.__name__ == "TorchDynamoException" for kind in type(error).__mro__):
            return UserError(f"compile=True does not work here ({str(error).splitlines()[0][:160]}): leave it out")
        return memory_full(error) or error

    def _written(self) -> list[Path]:
        """What earlier runs of this configuration left in the folder, its configuration last."""
        if self.only:
            patterns = [f"model_{self.only}.pt", f"exemplars_{self.only}.png"]
        else:
            figures = ("accuracy", "accuracy_matrix", "training", "exemplars", "compression")
            patterns = ["results.json", "results.md", "log.txt", "log_*.txt", *(f"{name}.png" for name in figures)]
            patterns += ["model_*.pt", "stage_*.pt", Scalars.PATTERN]
        found = [path for pattern in patterns for path in self.folder.glob(pattern)]
        return [*found, *self._unfinished(), configuration_file(self.folder, self.only)]

    def _unfinished(self) -> list[Path]:
        """The files in `unfinished/` that belong to this run."""
        patterns = [f"{self.only}_training.pt", f"finetune_{self.only}.pt"] if self.only else ["*.pt"]
        return [path for pattern in patterns for path in self.unfinished.glob(pattern)]

    def _agree(self) -> None:
        path = configuration_file(self.folder, self.only)
        begun = any(left.suffix == ".pt" and left.exists() for left in self._written())
        if begun and path.exists():
            theirs = checkpoint.read_json(path)
            differing = [
                f"{name} (there {theirs.get(name)!r}, now {self.configuration.get(name)!r})"
                for name in self._differing(theirs)
            ]
            if differing:
                raise UserError(
                    f"{self.folder} was begun with another configuration: {', '.join(differing)}; give the same "
                    f"options or another checkpoint_root, or begin anew with restart=True"
                )
        checkpoint.write_json(path, self.configuration)

    def _differing(self, theirs: dict) -> list[str]:
        """The names in which another configuration, read from a file, differs from this run's."""
        mine = json.loads(json.dumps(self.configuration))
        names = dict.fromkeys([*theirs, *mine])
        return [name for name in names if name not in self.free and theirs.get(name) != mine.get(name)]

    def adopt(
        self,
        pattern: str,
        files: Callable[[int, str], Sequence[str]],
        fits: Callable[[Path, int], bool] = lambda folder, index: True,
    ) -> None:
        """Goes on from another run's finished tasks, if it began alike: same options, same first tasks.

        Args:
            pattern: of the folders beside this one that may hold such a run.
            files: (task number from 0, task name as in "0to10") -> names of the files that a finished task leaves.
            fits: (that run's folder, task number) -> whether its task can be gone on from; none after one that cannot.
        """
        if self.team.leads and not self.settings.restart:
            self._adopt(pattern, files, fits)
        self.team.meet()

    def _adopt(
        self, pattern: str, files: Callable[[int, str], Sequence[str]], fits: Callable[[Path, int], bool]
    ) -> None:
        bounds = self.configuration["split_list"]
        for folder in sorted(self.folder.parent.glob(pattern)):
            try:
                borders = zip(pairwise(bounds), pairwise(self._bounds_alike(folder)), strict=False)
                for index, (mine, other) in enumerate(borders):
                    if mine != other or not fits(folder, index):
                        break
                    for name in files(index, f"{mine[0]}to{mine[1]}"):
                        self._take_over(folder / name)
            except UserError as error:
                self.console.say(f"{folder} began alike, but cannot be gone on from: {error}")

    def _take_over(self, path: Path) -> None:
        """Copies another run's file unless it is not there, or this run has its own."""
        if path.exists() and not (self.folder / path.name).exists():
            checkpoint.require_whole(path)
            checkpoint.write_bytes(self.folder / path.name, checkpoint.read_bytes(path))
            self.console.say(f"{path.name}: taken over from {path.parent}, which began alike")

    def _bounds_alike(self, folder: Path) -> list[int]:
        """The split list of another folder's run with this run's options; [] where there is no such run."""
        path = configuration_file(folder)
        if folder == self.folder or not path.exists():
            return []
        try:
            theirs = checkpoint.read_json(path)
        except UserError:
            return []
        alike = set(self._differing(theirs)) <= {"split_list", "split_type"}
        return theirs["split_list"] if alike and isinstance(theirs.get("split_list"), list) else []

    def share(self, tasks: Sequence[Item]) -> Sequence[Item]:
        """The tasks that this process trains: all of them, or where tasks are shared every n-th."""
        return tasks[self.team.rank :: self.team.size] if self.sharing == "tasks" else tasks

    def wait_for(self, files: Sequence[Path]) -> None:
        """Where tasks are shared: waits until the files of all of them are there.

        By looking for them and not by a message, since they are what the run goes on with, and it may take days.

        Raises: `Interrupted` if asked to stop meanwhile.
        """
        if self.team.alone:
            return
        while not all(path.exists() for path in files):
            self.console.require_folder()
            self.check_interruption("the other processes were done")
            time.sleep(0.2)
        self.team.meet()  # they have tidied up, too

    def once(self, path: Path, make: Callable[[], None], title: str) -> None:
        """Calls `make`, which writes `path`, unless the file is there."""
        if path.exists():
            self.console.say(f"{title}: done before, {path.name} is there")
        else:
            self.check_interruption(title)
            self.console.require_folder()
            make()

    def check_interruption(self, title: str) -> None:
        """Raises `Interrupted` if the process was asked to stop."""
        if Interruption.requested:
            raise Interruption.stop(f"stopped before {title}")

    def forget(self, prefix: str) -> None:
        """Removes the unfinished files of one task."""
        if self.sharing == "batches" and not self.team.leads:
            return
        for path in self.unfinished.glob(f"{prefix}*"):
            path.unlink(missing_ok=True)

    def finish(self, results: dict, table: str, draw: Callable[[], None] | None = None) -> dict:
        """Writes results.json, results.md and the figures (`draw`), prints the table, and returns the results.

        Of several processes the first does so.
        """
        if not self.team.leads:
            return results
        self._lock.require()
        checkpoint.write_json(self.folder / "results.json", results)
        checkpoint.write_text(self.folder / "results.md", table)
        if draw is not None:
            draw()
        self.console.note("finished")
        self.console.say(f"\n{table}\nwritten to {self.folder}")
        return results
