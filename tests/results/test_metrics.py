"""The protocol's metrics against hand-computed values and against slow versions that follow the definitions."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from utils.results import metrics

DETERMINISTIC = settings(derandomize=True, deadline=None, max_examples=30)

# Three tasks with 100, 200 and 100 test images.
#   after task 0: 90 of 100                                  -> 90.0 % of the classes seen
#   after task 1: 60 of 100, 160 of 200                      -> 220 / 300
#   after task 2: 70 of 100, 100 of 200, 95 of 100           -> 265 / 400 = 66.25 %
A = [[90.0], [60.0, 80.0], [70.0, 50.0, 95.0]]
SIZES = [100, 200, 100]


@st.composite
def runs(draw):
    """Counts of correct images ``correct[t][i]`` and test-set sizes of a run over one to six tasks."""
    sizes = draw(st.lists(st.integers(1, 30_000), min_size=1, max_size=6))
    return [[draw(st.integers(0, size)) for size in sizes[: t + 1]] for t in range(len(sizes))], sizes


def matrix_of(correct, sizes):
    return [[100 * count / size for count, size in zip(row, sizes, strict=False)] for row in correct]


# --- the worked example


def test_seen_accuracy_is_correct_over_total():
    assert metrics.seen_accuracy(A, SIZES) == [90.0, 100 * 220 / 300, 66.25]
    assert metrics.last_accuracy(A, SIZES) == 66.25


def test_average_incremental_accuracy_includes_the_first_task():
    assert metrics.average_incremental_accuracy(A, SIZES) == pytest.approx((90 + 100 * 220 / 300 + 66.25) / 3)


def test_forgetting_is_measured_from_the_best_accuracy_before_the_last_task():
    assert metrics.forgetting(A) == pytest.approx(((90 - 70) + (80 - 50)) / 2)
    # Task 0 was at its best after task 1, not when it was learned.
    assert metrics.forgetting([[50.0], [80.0, 60.0], [70.0, 60.0, 9.0]]) == pytest.approx((10 + 0) / 2)


def test_backward_transfer_is_measured_from_the_accuracy_when_learned():
    assert metrics.backward_transfer(A) == pytest.approx(((70 - 90) + (50 - 80)) / 2)
    assert metrics.backward_transfer([[50.0], [80.0, 60.0], [70.0, 60.0, 9.0]]) == pytest.approx((20 + 0) / 2)


def test_one_task_has_accuracies_but_nothing_to_forget():
    assert metrics.average_incremental_accuracy([[40.0]], [50]) == metrics.last_accuracy([[40.0]], [50]) == 40.0
    assert metrics.forgetting([[40.0]]) is None
    assert metrics.backward_transfer([[40.0]]) is None


# --- any run


@DETERMINISTIC
@given(runs())
def test_accuracies_are_those_of_the_counts(run):
    correct, sizes = run
    seen = [100 * sum(correct[t]) / sum(sizes[: t + 1]) for t in range(len(sizes))]
    matrix = matrix_of(correct, sizes)
    assert metrics.seen_accuracy(matrix, sizes) == pytest.approx(seen, abs=1e-9)
    assert metrics.average_incremental_accuracy(matrix, sizes) == pytest.approx(sum(seen) / len(seen), abs=1e-9)
    assert metrics.last_accuracy(matrix, sizes) == pytest.approx(seen[-1], abs=1e-9)


@DETERMINISTIC
@given(runs())
def test_forgetting_and_backward_transfer_follow_their_definitions(run):
    matrix = matrix_of(*run)
    T = len(matrix) - 1
    if T == 0:
        return
    forgotten = transferred = 0.0
    for i in range(T):
        best = float("-inf")
        for t in range(T):
            if t >= i and matrix[t][i] > best:
                best = matrix[t][i]
        forgotten += (best - matrix[T][i]) / T
        transferred += (matrix[T][i] - matrix[i][i]) / T
    assert metrics.forgetting(matrix) == pytest.approx(forgotten, abs=1e-9)
    assert metrics.backward_transfer(matrix) == pytest.approx(transferred, abs=1e-9)
    assert metrics.forgetting(matrix) >= -metrics.backward_transfer(matrix) - 1e-9


def test_numpy_scalars_never_come_out():
    matrix = [[np.float32(50)], [np.float64(25), np.float64(75)]]
    sizes = [np.int64(4), np.int64(4)]
    values = [
        *metrics.seen_accuracy(matrix, sizes),
        metrics.average_incremental_accuracy(matrix, sizes),
        metrics.last_accuracy(matrix, sizes),
        metrics.forgetting(matrix),
        metrics.backward_transfer(matrix),
        metrics.percentage(np.int64(1), np.int64(2)),
    ]
    assert {type(value) for value in values} == {float}


# --- malformed input


@pytest.mark.parametrize(("correct", "total"), [(0, 0), (2, 1), (-1, 1)])
def test_impossible_counts_are_refused(correct, total):
    with pytest.raises(ValueError, match="of"):
        metrics.percentage(correct, total)


@pytest.mark.parametrize("matrix", [[], [[1.0, 2.0]], [[1.0], [1.0]], [[101.0]], [[-1.0]], [[float("nan")]]])
def test_what_is_no_accuracy_matrix_is_refused(matrix):
    for measure in (metrics.forgetting, metrics.backward_transfer, lambda A: metrics.seen_accuracy(A, [10] * len(A))):
        with pytest.raises(ValueError, match=r"expected 1, 2, 3|outside 0 \.\. 100"):
            measure(matrix)
