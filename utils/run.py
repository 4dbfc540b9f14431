"""One run and its folder: lock, configuration, log, interruption, results."""

import fcntl
import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from types import TracebackType

import torch

from utils import checkpoint, device
from utils.console import Console
from utils.errors import Interrupted, UserError
from utils.interrupt import Interruption
from utils.recipes import Settings


def configuration_file(folder: Path, only: str = "") -> Path:
    """Where a run's configuration lies, see `Run`."""
    return folder / f"configuration{'_' * bool(only)}{only}.json"


class Run:
    """A folder that one process works in.

    Entering makes the folder, takes its lock, and compares the configuration with the one that the folder was begun
    with. `unfinished/` holds what is needed to go on and is removed at the end. The lock is the system's and ends with
    the process, however that ends. Inside the `with` statement SIGINT and SIGTERM ask the run to stop.

    Args:
        folder: where everything is written.
        settings: the run's options.
        stage: 1, 2, or a baseline's kind, which decides what options matter.
        arguments: what else decides the results (split, prune, …), plain values.
        only: where several runs share the folder, the ending that tells this one's files from the others'.
        free: names in the configuration that may change between calls.

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
    ):
        self.folder, self.settings, self.only = folder, settings, only
        self.configuration = {**arguments, **settings.configuration(stage)}
        self.free = {"recipe", *free}
        self.device = device.choose(settings.device)
        self.unfinished = folder / "unfinished"
        self.console = Console(folder / "log.txt")
        self._lock = None

    def __enter__(self) -> "Run":
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock = (self.folder / ".lock").open("w")
        except OSError as error:
            raise self._unusable(error) from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if self.settings.restart:
                for path in self._written():
                    path.unlink(missing_ok=True)
            self._agree()
            self.unfinished.mkdir(exist_ok=True)
            for left in [*self.folder.glob(".*.part"), *self.unfinished.glob(".*.part")]:
                left.unlink()  # of a process that was killed while it wrote
        except BlockingIOError as error:
            self._lock.close()
            raise UserError(
                f"{self.folder} is in use by another process: wait for it, or give another checkpoint_root"
            ) from error
        except OSError as error:
            self._lock.close()
            raise self._unusable(error) from error
        except BaseException:
            self._lock.close()
            raise
        if self.device.type == "cuda":
            torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
            torch.backends.cudnn.benchmark = True
        self._watch = Interruption.watched()
        self._watch.__enter__()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        told = self._told(error)
        self._watch.__exit__(None, None, None)
        if told is not None:
            with suppress(UserError):  # the reason is to be told, not that the log too cannot be written
                self.console.note(f"stopped: {told}")
        self._lock.close()
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
        if isinstance(error, (MemoryError, torch.cuda.OutOfMemoryError)) or "can't allocate memory" in str(error):
            return UserError("the memory is full: give smaller batches or widths, or another device")
        return error

    def _unusable(self, error: OSError) -> UserError:
        return UserError(
            f"{self.folder} cannot be used ({error.strerror or error}): give a checkpoint_root that can be written to"
        )

    def _written(self) -> list[Path]:
        """What earlier runs of this configuration left in the folder, its configuration last."""
        if self.only:
            patterns = [f"model_{self.only}.pt", f"exemplars_{self.only}.png"]
        else:
            figures = ("accuracy", "accuracy_matrix", "training", "exemplars", "compression")
            patterns = ["results.json", "results.md", "log.txt", *(f"{name}.png" for name in figures)]
            patterns += ["model_*.pt", "stage_*.pt"]
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
        if self.settings.restart:
            return
        bounds = self.configuration["split_list"]
        for folder in sorted(self.folder.parent.glob(pattern)):
            borders = zip(pairwise(bounds), pairwise(self._bounds_alike(folder)), strict=False)
            for index, (mine, other) in enumerate(borders):
                if mine != other or not fits(folder, index):
                    break
                for name in files(index, f"{mine[0]}to{mine[1]}"):
                    if (folder / name).exists() and not (self.folder / name).exists():
                        checkpoint.write_bytes(self.folder / name, checkpoint.read_bytes(folder / name))
                        self.console.say(f"{name}: taken over from {folder}, which began alike")

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

    def once(self, path: Path, make: Callable[[], None], title: str) -> None:
        """Calls `make`, which writes `path`, unless the file is there."""
        if path.exists():
            self.console.say(f"{title}: done before, {path.name} is there")
        else:
            self.check_interruption(title)
            make()

    def check_interruption(self, title: str) -> None:
        """Raises `Interrupted` if the process was asked to stop."""
        if Interruption.requested:
            raise Interruption.stop(f"stopped before {title}")

    def forget(self, prefix: str) -> None:
        """Removes the unfinished files of one task."""
        for path in self.unfinished.glob(f"{prefix}*"):
            path.unlink(missing_ok=True)

    def finish(self, results: dict, table: str, draw: Callable[[], None] | None = None) -> dict:
        """Writes results.json, results.md and the figures (`draw`), prints the table, and returns the results."""
        checkpoint.write_json(self.folder / "results.json", results)
        checkpoint.write_text(self.folder / "results.md", table)
        if draw is not None:
            draw()
        with suppress(OSError):  # another run of this folder has left something to go on from
            self.unfinished.rmdir()
        self.console.note("finished")
        self.console.say(f"\n{table}\nwritten to {self.folder}")
        return results
