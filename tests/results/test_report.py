"""What the results files hold, from the counts and records that the runs leave: nothing is trained here."""

import examples
import numpy as np
import pytest

from utils.results import metrics, report


def rows_of(results, table=0):
    """The cells of one table of a results.md, without its header and rule."""
    found = [part.splitlines() for part in report.table(results).split("\n\n") if part.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in found[table][2:]]


def test_stage_two_has_the_matrices_and_the_measures_of_the_protocol():
    """Three tasks with 100, 200 and 100 test images: correct over total, where a mean over tasks would differ."""
    counts = [
        {"total": [100], "correct": [60], "within": [95], "elsewhere": [0]},
        {"total": [100, 200], "correct": [90, 160], "within": [95, 180], "elsewhere": [4, 20]},
        {"total": [100, 200, 100], "correct": [70, 100, 95], "within": [80, 150, 95], "elsewhere": [20, 60, 5]},
    ]
    stages = [examples.stage(task, **each) for task, each in enumerate(counts)]
    results = report.stage_two(examples.STAGE_TWO, stages, None)
    assert results["accuracy_matrix"] == [[60.0], [90.0, 80.0], [70.0, 50.0, 95.0]]
    assert results["within_task_accuracy"] == [[95.0], [95.0, 90.0], [80.0, 75.0, 95.0]]
    assert results["task_confusion"] == [[0.0], [4.0, 10.0], [20.0, 30.0, 5.0]]
    assert results["seen_accuracy"] == [60.0, 100 * 250 / 300, 66.25]
    assert results["average_incremental_accuracy"] == pytest.approx((60 + 250 / 3 + 66.25) / 3)
    assert (results["last_accuracy"], results["last_within_task_accuracy"]) == (66.25, 81.25)
    assert results["last_task_confusion"] == 21.25
    assert (results["forgetting"], results["backward_transfer"]) == (25.0, -10.0)
    assert results["parameters"] == [64_000, 128_000, 192_000]


def test_forgetting_and_backward_transfer_follow_their_definitions():
    random = np.random.default_rng(0)
    for T in (1, 2, 3, 4, 5):
        A = [random.uniform(0, 100, t + 1).tolist() for t in range(T + 1)]
        lost = [max(A[t][i] for t in range(i, T)) - A[T][i] for i in range(T)]
        assert metrics.forgetting(A) == pytest.approx(sum(lost) / T)
        assert metrics.backward_transfer(A) == pytest.approx(sum(A[T][i] - A[i][i] for i in range(T)) / T)


def test_the_tables_of_stage_two_show_every_stage_the_last_ones_errors_and_the_measures():
    results = examples.stage_two()
    assert [row[:6] for row in rows_of(results)] == [
        ["1", "3", "70.0", "70.0", "", ""],
        ["2", "6", "65.0", "60.0", "70.0", ""],
        ["3", "9", "60.0", "50.0", "60.0", "70.0"],
        ["told the task", "", "80.0", "70.0", "80.0", "90.0"],
        ["taken for another's", "", "11.0", "10.0", "11.0", "12.0"],
    ]
    assert [value for _, value in rows_of(results, 1)] == ["65.0", "60.0", "80.0", "11.0", "15.0", "-15.0", "0.192 M"]
    alone = rows_of(examples.stage_two(tasks=1), 1)  # where there is nothing to forget
    assert [value for _, value in alone][-3:] == ["–", "–", "0.064 M"]


def test_the_table_of_stage_one_shows_every_network_before_and_after():
    assert rows_of(examples.stage_one())[1] == [
        *("3–5", "65.0", "63.0", "16-32-64-128", "8-16-32-64", "0.256 M", "0.064 M", "2.6 M", "0.6 M"),
        *("1 of 2", "0:00:15"),
    ]
    assert [row[:3] for row in rows_of(examples.sequence_one())] == [[name, "64.0", "–"] for name in examples.SEQUENCE]


def test_the_sequence_has_a_run_for_every_sequence_and_number_of_exemplars():
    results = examples.sequence_two()
    found = [(each["configuration"]["num_per_class"], len(each["seen_accuracy"])) for each in results["runs"]]
    assert found == [(1, 2), (5, 3)], "none that is not whole, or made from an older network than is there"
    last = results["runs"][-1]
    assert last["configuration"]["data_list"] == examples.SEQUENCE
    assert last["accuracy_matrix"] == [[90.0], [70.0, 60.0], [60.0, 50.0, 40.0]]
    assert (last["mean"], last["task_confusion"][-1]) == (50.0, [10.0, 11.0, 12.0])
    rows = rows_of(results, 2)
    assert [row[1] for row in rows[:3]] == ["10", "20", "30"]
    assert rows[-1][:6] == ["stage one alone", "", "", "99.0", "90.0", "80.0"]


def test_selection_on_the_test_set_and_stand_ins_are_named():
    options = {"selection": "test", "dataset_stand_in": True}
    made = [make(**options) for make in (examples.stage_one, examples.stage_two, examples.sequence_one)]
    for results in (*made, examples.sequence_two()):
        for words in ("SELECTED ON THE TEST SET", "stand-in"):
            assert words in report.table(results)
            assert words in report.caption(results)
    page = report.table(examples.baseline("joint"))
    assert "the protocol forbids" in page
    assert "SELECTED" not in page
