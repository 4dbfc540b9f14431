"""The peak memory of a stage-one run over the bytes of its images: `python -m tests.benchmark.memory OPTIONS`."""

import json
import pickle
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

import train_classifier
from datasets.catalog import CATALOG
from tests.benchmark.figure import Figure, Plan

ROOT = Path(__file__).parents[2]
STATUS = Path("/proc/self/status")  # Linux's
IMAGE_BYTES = 3 * 32 * 32
TINY_WIDTHS = [2, 2, 2, 2]  # so that the network's own memory is small beside the images'


def memory_figures(plan: Plan) -> list[Figure]:
    """What stage one holds at most, beyond what its imports do, over the bytes of the images that it reads.

    On the CPU, whatever the plan's device is, as images are held by the device. Nothing where there is no /proc.
    """
    if not STATUS.exists():
        return []
    parts = (
        ("cifar100", "train", plan.split[-1], plan.train_per_class),
        ("cifar100", "test", plan.split[-1], plan.test_per_class),
        ("cifar10", "train", 10, plan.unlabelled_per_class),
    )
    with tempfile.TemporaryDirectory() as folder:
        for part in parts:
            write_noise(Path(folder), *part)
        options = {
            "split_list": list(plan.split),
            "prune": False,
            "widths": TINY_WIDTHS,
            "epochs": 1,
            "batch_size": plan.settings.batch_size,
            "unlabeled_batch_size": plan.settings.unlabeled_batch_size,
            "device": "cpu",
            "data_root": folder,
            "checkpoint_root": folder,
        }
        command = [sys.executable, "-m", "tests.benchmark.memory", json.dumps(options)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"the run whose memory is measured failed: {done.stderr}")
    found = json.loads(done.stdout.splitlines()[-1])
    held = found["peak"] - found["before"]
    images = sum(classes * per_class for _, _, classes, per_class in parts) * IMAGE_BYTES
    details = {"megabytes": held / 1e6, "megabytes_of_images": images / 1e6}
    meaning = "peak memory of stage one beyond its imports / bytes of its images"
    return [Figure("memory", meaning, [held / images], details=details)]


def write_noise(root: Path, name: str, part: str, classes: int, per_class: int) -> None:
    """The files of a part of CIFAR-10 or CIFAR-100 in their official format, with pixels drawn at random."""
    *batches, meta = CATALOG[name].archive.parts[part]
    random, rows = np.random.default_rng(0), np.arange(classes * per_class)
    for batch, numbers in zip(batches, np.array_split(rows, len(batches)), strict=True):
        content = {
            "fine_labels" if name == "cifar100" else "labels": (numbers % classes).tolist(),
            "data": random.integers(0, 256, (len(numbers), IMAGE_BYTES), dtype=np.uint8),
        }
        _write(root / batch, content)
    names = "fine_label_names" if name == "cifar100" else "label_names"
    _write(root / meta, {names: [f"class {number}" for number in range(classes)]})


def _write(path: Path, content: dict) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(content, protocol=2))


def resident(field: str) -> int:
    """Bytes resident now ("VmRSS"), or at most so far ("VmHWM").

    Not by `resource.getrusage`: on Linux its maximum begins at that of the process which started this one.
    """
    [line] = [line for line in STATUS.read_text().splitlines() if line.startswith(f"{field}:")]
    return int(line.split()[1]) * 1024


def main(arguments: list[str]) -> None:
    """One run of stage one with the options given as JSON; its last line is what memory it took, as JSON."""
    before = resident("VmRSS")
    train_classifier.train_model(**json.loads(arguments[0]))
    print(json.dumps({"before": before, "peak": resident("VmHWM")}))


if __name__ == "__main__":
    main(sys.argv[1:])
