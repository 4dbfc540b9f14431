"""The protocol's metrics against hand-computed values and against slow versions that follow the definitions."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from utils.results import metrics

# Three tasks with 100, 200 and 100 test images.
#   after task 0: 90 of 100                                  -> 90.0 % of the classes seen
#   after task 1: 60 of 100, 160 of 200                      -> 220 / 300
#   after task 2: 70 of 100, 100 of 200, 95 of 100           -> 265 / 400 = 66.25 %
CORRECT, SIZES = [[90], [60, 160], [70, 100, 95]], [100, 200, 100]
A = [[90.0], [60.0, 80.0], [70.0, 50.0, 95.0]]


def test_accuracies_are_correct_over_total_and_their_average_includes_the_first_task():
    assert [metrics.percentages(row, SIZES) for row in CORRECT] == A
    seen = metrics.seen_accuracy(CORRECT, SIZES)
    assert seen == [90.0, 100 * 220 / 300, 66.25]
    assert metrics.average_incremental_accuracy(seen) == pytest.approx((90 + 100 * 220 / 300 + 66.25) / 3)


def test_forgetting_is_from_the_best_accuracy_before_the_last_task_and_backward_transfer_from_that_when_learned():
    assert metrics.forgetting(A) == pytest.approx(((90 - 70) + (80 - 50)) / 2)
    assert metrics.backward_transfer(A) == pytest.approx(((70 - 90) + (50 - 80)) / 2)
    # Task 0 was at its best after task 1, not when it was learned.
    other = [[50.0], [80.0, 60.0], [70.0, 60.0, 9.0]]
    assert metrics.forgetting(other) == pytest.approx((10 + 0) / 2)
    assert metrics.backward_transfer(other) == pytest.approx((20 + 0) / 2)
    assert metrics.forgetting([[40.0]]) is metrics.backward_transfer([[40.0]]) is None, "one task: nothing to forget"


@settings(derandomize=True, deadline=None, max_examples=30)
@given(st.integers(2, 6).flatmap(lambda T: st.tuples(*(st.lists(st.floats(0, 100), min_size=t, max_size=t)
                                                       for t in range(1, T + 1)))))  # fmt: skip
def test_forgetting_and_backward_transfer_follow_their_definitions(matrix):
    T = len(matrix) - 1
    best = [max(matrix[t][i] for t in range(i, T)) for i in range(T)]
    assert metrics.forgetting(matrix) == pytest.approx(sum(best[i] - matrix[T][i] for i in range(T)) / T, abs=1e-9)
    transfer = sum(matrix[T][i] - matrix[i][i] for i in range(T)) / T
    assert metrics.backward_transfer(matrix) == pytest.approx(transfer, abs=1e-9)
