"""The class-incremental protocol's metrics.

They read counts of correct test images, ``correct[t][i]`` on task ``i`` after task ``t``, over all outputs seen so far,
of ``sizes[i]``; or the accuracy matrix ``A``, of which ``A[t][i]`` is the same in percent. Row ``t`` has ``t + 1``
entries. Tasks count from 0; ``T`` below is the last one.
"""

from collections.abc import Sequence
from itertools import accumulate
from statistics import fmean


def percentages(counts: Sequence[int], totals: Sequence[int]) -> list[float]:
    """Share in percent of each count in its own total; there may be more totals than counts."""
    return [100.0 * count / total for count, total in zip(counts, totals, strict=False)]


def seen_accuracy(correct: Sequence[Sequence[int]], sizes: Sequence[int]) -> list[float]:
    """Accuracy in percent on all classes seen after each task: correct / total over the test images of tasks 0..t.

    A mean over tasks would weigh a small task like a large one.
    """
    return percentages([sum(row) for row in correct], list(accumulate(sizes)))


def average_incremental_accuracy(seen: Sequence[float]) -> float:
    """Mean over the tasks of `seen_accuracy`, the first task included (Rebuffi et al. 2017, iCaRL)."""
    return fmean(seen)


def forgetting(A: Sequence[Sequence[float]]) -> float | None:
    """Mean over i < T of ``max_{t<T} A[t][i] - A[T][i]``, in points; None for one task (Chaudhry et al. 2018).

    Negative where old tasks are better at the end than ever before.
    """
    *earlier, last = A
    lost = [max(row[i] for row in earlier[i:]) - last[i] for i in range(len(earlier))]
    return fmean(lost) if lost else None


def backward_transfer(A: Sequence[Sequence[float]]) -> float | None:
    """Mean over i < T of ``A[T][i] - A[i][i]``, in points; None for one task (Lopez-Paz and Ranzato 2017, GEM)."""
    *earlier, last = A
    return fmean(last[i] - row[i] for i, row in enumerate(earlier)) if earlier else None
