"""The entry scripts in processes of their own, to be killed and starved from outside, and what they leave compared."""

import contextlib
import json
import multiprocessing
import os
import resource
import runpy
import signal
import sys
import time
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path

import torch

ROOT = Path(__file__).parents[1]
PATIENCE = 300  # seconds until a process that hangs fails its test
# Processes are forked from one that has imported PyTorch: a start takes milliseconds instead of seconds.
FORKED = multiprocessing.get_context("forkserver")
FORKED.set_forkserver_preload(["train_classifier", "train_EDE_Net", "trainMTIL", "processes"])


def call_of(function: str, **arguments: object) -> str:
    """The text of a call, as typed on the command line."""
    return f"{function}({', '.join(f'{name}={value!r}' for name, value in arguments.items())})"


def _main(script: str, call: str, out: str, err: str, largest_file: int | None, environment: dict[str, str]) -> None:
    """In the new process: what `NAME=VALUE … python SCRIPT 'CALL' >OUT 2>ERR` does."""
    torch.set_num_threads(1)
    os.environ.update(environment)
    for path, descriptor in ((out, 1), (err, 2)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), descriptor)
    sys.stdout, sys.stderr = (open(number, "w", encoding="utf-8", closefd=False) for number in (1, 2))  # noqa: SIM115
    sys.stdin = open(os.devnull)  # noqa: SIM115
    sys.argv = [script, call]
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in a fork server
    if largest_file is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, resource.RLIM_INFINITY))
    from utils.method import training
    from utils.results import figures

    training.SECONDS_BETWEEN_SAVES = 0
    for name in ("stage_one", "stage_two", "exemplars"):  # which take longer than a run
        setattr(figures, name, lambda *arguments: None)
    runpy.run_path(str(ROOT / script), run_name="__main__")


def start(target: Callable, *arguments: object) -> BaseProcess:
    """A process that calls `target`, a function of a module."""
    process = FORKED.Process(target=target, args=arguments, daemon=True)
    with _search_path():
        process.start()
    return process


class Script:
    """One start of `python SCRIPT 'CALL'`, its output in the files `out` and `err` of `folder`."""

    def __init__(
        self,
        folder: Path,
        script: str,
        call: str,
        largest_file: int | None = None,
        environment: dict[str, str] | None = None,
    ):
        folder.mkdir(parents=True, exist_ok=True)
        self._out, self._err = folder / "out", folder / "err"
        for path in (self._out, self._err):
            path.write_text("")
        arguments = (script, call, str(self._out), str(self._err), largest_file, environment or {})
        self.process = start(_main, *arguments)

    @property
    def out(self) -> str:
        return self._out.read_text(encoding="utf-8")

    @property
    def err(self) -> str:
        return self._err.read_text(encoding="utf-8")

    def epochs(self) -> int:
        """Epochs this process has finished."""
        return self.out.count(": epoch ")

    def after(self, epochs: int, share: float = 0.0) -> bool:
        """Waits for so many epochs and this share of the next; False if the process ended before."""
        deadline = time.monotonic() + PATIENCE
        last, length = None, 0.1
        for number in range(1, epochs + 1):
            while self.epochs() < number and self.process.is_alive():
                assert time.monotonic() < deadline, self.out + self.err
                time.sleep(0.002)
            now = time.monotonic()
            last, length = now, length if last is None else now - last
        time.sleep(share * length)
        return self.process.is_alive()

    def signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.process.pid, number)

    def wait(self) -> int:
        """The exit code; minus the signal's number for a process that a signal ended."""
        self.process.join(PATIENCE)
        assert self.process.exitcode is not None, f"it hangs: {self.out}{self.err}"
        return self.process.exitcode


@contextlib.contextmanager
def _search_path():
    """The fork server, which starts with the first process, finds the project's modules."""
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), str(Path(__file__).parent), *([before] if before else [])])
    try:
        yield
    finally:
        if before is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = before


def run(folder: Path, script: str, call: str, **limits: int) -> Script:
    """Runs it to its end, which has to be a good one."""
    started = Script(folder, script, call, **limits)
    assert started.wait() == 0, started.out + started.err
    return started


def team_environment(count: int) -> list[dict[str, str]]:
    """What `torchrun --nproc-per-node=COUNT` sets in the environment of each process."""
    common = {"TORCHELASTIC_RUN_ID": "test", "WORLD_SIZE": str(count)}
    return [{**common, "RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(count)]


def team(folder: Path, script: str, call: str, count: int = 2) -> list[Script]:
    """Starts a job of several processes, the output of each in a folder of its own."""
    return [
        Script(folder / f"process{rank}", script, call, environment=environment)
        for rank, environment in enumerate(team_environment(count))
    ]


def contents(root: Path) -> dict:
    """All that runs left under `root` but times, logs and tables (which hold times): file name -> content."""
    found = {}
    for path in sorted(root.rglob("*")):
        if path.suffix == ".pt":
            found[str(path.relative_to(root))] = timeless(torch.load(path, weights_only=True))
        elif path.suffix == ".json":
            found[str(path.relative_to(root))] = timeless(json.loads(path.read_text()))
        elif path.is_file() and "tfevents" not in path.name:  # there where TensorBoard is installed
            found[str(path.relative_to(root))] = None
    return found


def timeless(content: object) -> object:
    """The same without what is called "seconds", tensors as (dtype, shape, bytes)."""
    if isinstance(content, dict):
        return {name: timeless(value) for name, value in content.items() if name not in ("seconds", "checksum")}
    if isinstance(content, list | tuple):
        return [timeless(value) for value in content]
    if isinstance(content, torch.Tensor):
        return content.dtype, tuple(content.shape), content.contiguous().numpy().tobytes()
    return content


def differences(one: dict, other: dict) -> list[str]:
    """The names of the files in which two results of `contents` differ."""
    return sorted(name for name in one.keys() | other.keys() if name not in one or one.get(name) != other.get(name))
