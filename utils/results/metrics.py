"""The class-incremental protocol's metrics, as Python numbers.

Most of them read the accuracy matrix ``A``: row ``t`` has ``t + 1`` entries, ``A[t][i]`` being the accuracy in percent
on task ``i``'s test images after task ``t``, over all outputs seen so far. ``sizes[i]`` is task ``i``'s number of test
images. Tasks count from 0; ``T`` below is the last one. Malformed input raises ValueError.
"""

from collections.abc import Sequence
from statistics import fmean

AccuracyMatrix = Sequence[Sequence[float]]


def percentage(count: int, total: int) -> float:
    """Share in percent, such as the accuracy for `count` correct images of `total`."""
    if not 0 <= count <= total or total == 0:
        raise ValueError(f"{count} of {total}")
    return 100.0 * int(count) / int(total)


def percentages(counts: Sequence[int], totals: Sequence[int]) -> list[float]:
    """Share in percent of each count in its own total."""
    return [percentage(count, total) for count, total in zip(counts, totals, strict=True)]


def seen_accuracy(A: AccuracyMatrix, sizes: Sequence[int]) -> list[float]:
    """Accuracy in percent on all classes seen after each task: correct / total over the test images of tasks 0..t.

    The counts of correct images are recovered from the percentages, of which they are whole multiples; a mean over
    tasks would weigh a small task like a large one.
    """
    _check(A)
    if len(sizes) != len(A):
        raise ValueError(f"{len(A)} rows but {len(sizes)} test-set sizes")
    correct = [[round(percent * size / 100) for percent, size in zip(row, sizes, strict=False)] for row in A]
    return [percentage(sum(row), sum(sizes[: len(row)])) for row in correct]


def average_incremental_accuracy(A: AccuracyMatrix, sizes: Sequence[int]) -> float:
    """Mean over the tasks of :func:`seen_accuracy`, the first task included (Rebuffi et al. 2017, iCaRL)."""
    return fmean(seen_accuracy(A, sizes))


def last_accuracy(A: AccuracyMatrix, sizes: Sequence[int]) -> float:
    """Accuracy in percent on all classes after the last task."""
    return seen_accuracy(A, sizes)[-1]


def forgetting(A: AccuracyMatrix) -> float | None:
    """Mean over i < T of ``max_{t<T} A[t][i] - A[T][i]``, in points; None for one task (Chaudhry et al. 2018).

    Negative where old tasks are better at the end than ever before.
    """
    _check(A)
    *earlier, last = A
    best = [max(row[i] for row in earlier[i:]) for i in range(len(earlier))]
    return fmean(best[i] - last[i] for i in range(len(best))) if best else None


def backward_transfer(A: AccuracyMatrix) -> float | None:
    """Mean over i < T of ``A[T][i] - A[i][i]``, in points; None for one task (Lopez-Paz and Ranzato 2017, GEM)."""
    _check(A)
    *earlier, last = A
    return fmean(last[i] - row[i] for i, row in enumerate(earlier)) if earlier else None


def _check(A: AccuracyMatrix) -> None:
    if not A or any(len(row) != t + 1 for t, row in enumerate(A)):
        raise ValueError(f"rows of lengths {[len(row) for row in A]}, expected 1, 2, 3, ...")
    if not all(0 <= percent <= 100 for row in A for percent in row):
        raise ValueError("accuracies outside 0 .. 100 percent")
