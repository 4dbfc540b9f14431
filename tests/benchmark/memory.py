"""The peak memory of a stage-one run over the bytes of its images."""

import contextlib
import multiprocessing
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import train_classifier
from datasets import stand_ins
from tests.benchmark.figure import Figure, Plan, figure

STATUS = Path("/proc/self/status")  # Linux's


def memory_figures(plan: Plan) -> Iterator[Figure]:
    """What stage one holds at most, beyond what its imports do, over the bytes of the images that it reads.

    On the CPU, whatever the plan's device is, as images are held by the device. Nothing where there is no /proc.
    """
    if not STATUS.exists():
        return
    train, test, unlabelled = plan.per_class, plan.per_class // 5, 10 * plan.per_class
    with tempfile.TemporaryDirectory() as folder:
        stand_ins.write(folder, sets=["cifar100"], classes=plan.classes, train_per_class=train, test_per_class=test)
        stand_ins.write(folder, sets=["cifar10"], train_per_class=unlabelled, test_per_class=1)
        options = {"data_root": folder, "checkpoint_root": folder, "split_list": list(range(0, plan.classes + 1, 10))}
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as fresh:
            held = fresh.submit(peak, options).result()
    images = (plan.classes * (train + test) + 10 * unlabelled) * 3 * 32 * 32
    yield figure("memory", "peak of stage one beyond its imports / its images", [held / 1e6], [images / 1e6])


def peak(options: dict) -> int:
    """Trains stage one with these options; returns the most bytes held beyond those held before."""
    before = resident("VmRSS")
    with contextlib.redirect_stdout(sys.stderr):
        # A network so narrow that its own memory is small beside the images'.
        train_classifier.train_model(**options, prune=False, widths=[2, 2, 2, 2], epochs=1, device="cpu")
    return resident("VmHWM") - before


def resident(field: str) -> int:
    """Bytes resident now ("VmRSS"), or at most so far ("VmHWM"): `getrusage`'s maximum begins at the parent's."""
    [line] = [line for line in STATUS.read_text().splitlines() if line.startswith(f"{field}:")]
    return int(line.split()[1]) * 1024
