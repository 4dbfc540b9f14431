"""One run and its folder: lock, configuration, log, interruption, results."""

import fcntl
import json
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from types import TracebackType

import torch

from utils import checkpoint, device
from utils.console import Console
from utils.errors import UserError
from utils.interrupt import Interruption
from utils.recipes import Settings


def configuration_file(folder: Path, only: str = "") -> Path:
    """Where a run's configuration lies, see `Run`."""
    return folder / f"configuration{'_' * bool(only)}{only}.json"


class Run:
    """A folder that one process works in.

    Entering makes the folder, takes its lock, and compares the configuration with the one that the folder was begun
    with. `unfinished/` holds what is needed to go on and is removed at the end.

    Args:
        folder: where everything is written.
        settings: the run's options.
        stage: 1 or 2, which decides what options matter.
        arguments: what else decides the results (split, prune, …), plain values.
        only: where several runs share the folder, the ending that tells this one's files from the others'.
        free: names in the configuration that may change between calls.

    Raises: `UserError` if another process works there, if the configuration differs, or if it cannot be written to.
    """

    def __init__(
        self, folder: Path, settings: Settings, stage: int, arguments: dict, only: str = "", free: Sequence[str] = ()
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
            raise UserError(
                f"{self.folder} cannot be used ({error.strerror}): give a checkpoint_root that can be written to"
            ) from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._lock.close()
            raise UserError(
                f"{self.folder} is in use by another process: wait for it, or give another checkpoint_root"
            ) from error
        try:
            if self.settings.restart:
                self._clear()
            self._agree()
            self.unfinished.mkdir(exist_ok=True)
            for left in [*self.folder.glob(".*.part"), *self.unfinished.glob(".*.part")]:
                left.unlink()  # of a process that was killed while it wrote
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
        self._watch.__exit__(kind, error, trace)
        if error is not None:
            self.console.note(f"stopped: {error}")
        self._lock.close()

    def _clear(self) -> None:
        """Removes what earlier runs wrote here, and nothing else."""
        for path in [*self.folder.iterdir(), *self.unfinished.glob("*")]:
            written = path.suffix in {".pt", ".json", ".md", ".txt", ".png"} or path.name.endswith(".part")
            if written and (not self.only or path.stem.endswith(f"_{self.only}")):
                path.unlink()

    def _agree(self) -> None:
        path = configuration_file(self.folder, self.only)
        if path.exists():
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

    def adopt(self, pattern: str, files: Callable[[int, str], Sequence[str]]) -> None:
        """Goes on from another run's finished tasks, if it began alike: same options, same first tasks.

        Args:
            pattern: of the folders beside this one that may hold such a run.
            files: (task number from 0, task name as in "0to10") -> names of the files that a finished task leaves.
        """
        if self.settings.restart:
            return
        bounds = self.configuration["split_list"]
        for folder in sorted(self.folder.parent.glob(pattern)):
            path = configuration_file(folder)
            if folder == self.folder or not path.exists():
                continue
            theirs = checkpoint.read_json(path)
            if set(self._differing(theirs)) - {"split_list", "split_type"}:
                continue
            borders = zip(pairwise(bounds), pairwise(theirs["split_list"]), strict=False)
            for index, (mine, other) in enumerate(borders):
                if mine != other:
                    break
                for name in files(index, f"{mine[0]}to{mine[1]}"):
                    if (folder / name).exists() and not (self.folder / name).exists():
                        checkpoint.write_bytes(self.folder / name, (folder / name).read_bytes())
                        self.console.say(f"{name}: taken over from {folder}, which began alike")

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

    def finish(self, results: dict, table: str) -> dict:
        """Writes results.json and results.md, prints the table, and returns the results."""
        checkpoint.write_json(self.folder / "results.json", results)
        checkpoint.write_text(self.folder / "results.md", table)
        if not any(self.unfinished.iterdir()):
            self.unfinished.rmdir()
        self.console.note("finished")
        self.console.say(f"\n{table}\nwritten to {self.folder}")
        return results
