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
from pathlib import Path

import torch

from utils.running import checkpoint

ROOT = Path(__file__).parents[2]
PATIENCE = 300  # seconds until a process that hangs fails its test
# Processes are forked from one that has imported PyTorch: a start takes milliseconds instead of seconds.
os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
FORKED = multiprocessing.get_context("forkserver")
FORKED.set_forkserver_preload(["train_classifier", "train_EDE_Net", "trainMTIL", "processes"])

SHARED = {"recipe": "demo", "device": "cpu", "amp": "off", "widths": [4, 6, 8, 10], "save_every": 1, "epochs": 3}
SPLIT = {
    **SHARED,
    "split_list": [0, 2, 4],
    "split_type": "s0-t2",
    "batch_size": 4,
    "unlabeled_batch_size": 2,
    "min_width": 2,
    "max_accuracy_loss": 100.0,
    "max_rounds": 1,
    "distill_epochs": 1,
    "finetune_batch_size": 6,
    "finetune_epochs": 3,
}
SEQUENCE = {**SHARED, "batch_size": 8, "finetune_epochs": 4, "min_updates": 1}
NAMES = ["MNIST", "SVNH"]
STAGE_ONE = "classifier_cifar100_s0-t2_resnet18_mixmatch"


def commands(kind: str, data: Path, root: Path) -> list[tuple[str, str]]:
    """Both stages of a "split" of two tasks of two classes, or of a "sequence" of two data sets: (script, call)."""
    options = {**(SPLIT if kind == "split" else SEQUENCE), "data_root": str(data), "checkpoint_root": str(root)}
    given = ", ".join(f"{name}={value!r}" for name, value in options.items())
    if kind == "split":
        scripts = ("train_classifier.py", "train_EDE_Net.py")
        return [(script, f"train_model(rehearsal_size=16, {given})") for script in scripts]
    return [
        ("trainMTIL.py", f"train_MTIL_classifier(data_type={NAMES}, {given})"),
        ("trainMTIL.py", f"train_EDE_Net(data_list={NAMES}, num_per_class=1, {given})"),
    ]


def _main(script: str, call: str, out: str, err: str, largest_file: int | None, environment: dict[str, str]) -> None:
    """In the new process: what `NAME=VALUE … python SCRIPT 'CALL' >OUT 2>ERR` does."""
    torch.set_num_threads(1)
    os.environ.update(environment)
    for path, descriptor in ((out, 1), (err, 2)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), descriptor)
    sys.stdout, sys.stderr = (open(number, "w", encoding="utf-8", closefd=False) for number in (1, 2))  # noqa: SIM115
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


class Script:
    """One start of `python SCRIPT 'CALL'`, its output in the files `out` and `err` of `folder`."""

    def __init__(self, folder: Path, command: tuple[str, str], largest_file: int | None = None, **environment: str):
        folder.mkdir(parents=True, exist_ok=True)
        self._out, self._err = folder / "out", folder / "err"
        for path in (self._out, self._err):
            path.write_text("")
        arguments = (*command, str(self._out), str(self._err), largest_file, environment)
        self.process = FORKED.Process(target=_main, args=arguments, daemon=True)
        self.process.start()

    out = property(lambda self: self._out.read_text(encoding="utf-8"))
    err = property(lambda self: self._err.read_text(encoding="utf-8"))

    def after(self, epochs: int, seconds: float = 0.0) -> bool:
        """Waits for so many epochs, and then for so long; False if the process ended before."""
        deadline = time.monotonic() + PATIENCE
        while self.out.count(": epoch ") < epochs and self.process.is_alive():
            assert time.monotonic() < deadline, self.out + self.err
            time.sleep(0.002)
        time.sleep(seconds)
        return self.process.is_alive()

    def signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.process.pid, number)

    def wait(self) -> int:
        """The exit code; minus the signal's number for a process that a signal ended."""
        self.process.join(PATIENCE)
        assert self.process.exitcode is not None, f"it hangs: {self.out}{self.err}"
        return self.process.exitcode


def run(folder: Path, command: tuple[str, str]) -> Script:
    """Runs it to its end, which has to be a good one."""
    started = Script(folder, command)
    assert started.wait() == 0, started.out + started.err
    return started


def team(folder: Path, command: tuple[str, str]) -> list[Script]:
    """Starts what `torchrun --nproc-per-node=2` starts, the output of each process in a folder of its own."""
    job = {"TORCHELASTIC_RUN_ID": "test", "WORLD_SIZE": "2"}
    return [Script(folder / rank, command, **job, RANK=rank, LOCAL_RANK=rank) for rank in ("0", "1")]


def contents(root: Path) -> dict[str, str]:
    """The fingerprints of what all networks, records and results hold, without what is called "seconds"."""
    found = {}
    for path in sorted(root.rglob("*")):
        if path.suffix in (".pt", ".json"):
            read = torch.load(path, weights_only=True) if path.suffix == ".pt" else json.loads(path.read_text())
            found[str(path.relative_to(root))] = checkpoint.fingerprint(timeless(read))
    return found


def timeless(content: object) -> object:
    """The same without what is called "seconds"."""
    if isinstance(content, dict):
        return {name: timeless(value) for name, value in content.items() if name not in ("seconds", "checksum")}
    return [timeless(value) for value in content] if isinstance(content, list) else content
