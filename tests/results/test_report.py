"""What the results files hold, from the counts and records that the runs leave: nothing is trained here."""

import examples
import pytest

from utils.results import report


def rows_of(page, table=0):
    """The cells of one table of a Markdown page, without its header and rule."""
    found = [part.splitlines() for part in page.split("\n\n") if part.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in found[table][2:]]


def test_stage_two_has_the_matrices_and_the_measures_of_the_protocol():
    results = examples.stage_two()
    assert results["accuracy_matrix"] == [[70.0], [60.0, 70.0], [50.0, 60.0, 70.0]]
    assert results["within_task_accuracy"] == [[90.0], [80.0, 90.0], [70.0, 80.0, 90.0]]
    assert results["task_confusion"] == [[0.0], [5.0, 6.0], [10.0, 11.0, 12.0]]
    assert results["seen_accuracy"] == [70.0, 65.0, 60.0]
    assert results["average_incremental_accuracy"] == 65.0
    assert (results["last_accuracy"], results["last_within_task_accuracy"]) == (60.0, 80.0)
    assert results["last_task_confusion"] == 11.0
    assert (results["forgetting"], results["backward_transfer"]) == (15.0, -15.0)
    assert results["parameters"] == [64_000, 128_000, 192_000]


def test_shares_are_of_the_tasks_own_test_images():
    stages = [{**examples.stage(0), "total": [60]}, {**examples.stage(1), "total": [60, 10]}]
    stages[1] |= {"correct": [30, 5], "within": [45, 8], "elsewhere": [24, 3]}
    results = report.stage_two(examples.STAGE_TWO, stages, None)
    names = ("accuracy_matrix", "within_task_accuracy", "task_confusion")
    assert [results[name][1] for name in names] == [[50.0, 50.0], [75.0, 80.0], [40.0, 30.0]]
    names = ("last_accuracy", "last_within_task_accuracy", "last_task_confusion")
    assert [results[name] for name in names] == [50.0, 100 * 53 / 70, 100 * 27 / 70]


def test_the_table_of_stage_two_shows_every_stage_the_last_ones_errors_and_the_measures():
    page = report.table(examples.stage_two())
    assert [row[:6] for row in rows_of(page)] == [
        ["1", "3", "70.0", "70.0", "", ""],
        ["2", "6", "65.0", "60.0", "70.0", ""],
        ["3", "9", "60.0", "50.0", "60.0", "70.0"],
        ["told the task", "", "80.0", "70.0", "80.0", "90.0"],
        ["taken for another's", "", "11.0", "10.0", "11.0", "12.0"],
    ]
    assert [value for _, value in rows_of(page, 1)] == ["65.0", "60.0", "80.0", "11.0", "15.0", "-15.0", "0.19 M"]
    alone = rows_of(report.table(examples.stage_two(tasks=1)), 1)
    assert [value for _, value in alone][-3:] == ["–", "–", "0.064 M"], "one task has nothing to forget"


def test_the_table_of_stage_one_shows_every_network_before_and_after():
    assert rows_of(report.table(examples.stage_one()))[1] == [
        *("3–5", "65.0", "63.0", "16-32-64-128", "8-16-32-64", "0.26 M", "0.064 M", "2.6 M", "0.6 M"),
        *("1 of 2", "15 s"),
    ]
    assert rows_of(report.table(examples.stage_one(compressed=False)))[1][1:3] == ["65.0", "–"]


def test_the_sequence_has_a_run_for_every_sequence_and_number_of_exemplars():
    results = examples.sequence_two()
    assert [each["configuration"]["num_per_class"] for each in results["runs"]] == [1, 5], "none that is not whole"
    last = results["runs"][-1]
    assert last["configuration"]["data_list"] == examples.SEQUENCE
    assert last["accuracy_matrix"] == [[90.0], [70.0, 60.0], [60.0, 50.0, 40.0]]
    assert (last["seen_accuracy"], last["mean"]) == ([90.0, 65.0, 50.0], 50.0)
    assert (last["within_task_accuracy"][-1], last["task_confusion"][-1]) == ([90.0] * 3, [5.0, 6.0, 7.0])
    rows = rows_of(report.table(results), 2)
    assert [row[1] for row in rows[:3]] == ["10", "20", "30"]
    assert rows[-1][:6] == ["stage one alone", "", "", "99.0", "90.0", "80.0"]


def test_the_classifiers_of_the_sequence_are_told_by_their_data_set():
    results = report.sequence_one([examples.classifier(name) for name in examples.SEQUENCE])
    rows = rows_of(report.table(results))
    assert [row[:2] for row in rows] == [[name, "64.0"] for name in examples.SEQUENCE]


@pytest.mark.parametrize(
    ("words", "option"), [("SELECTED ON THE TEST SET", {"selection": "test"}), ("stand-in", {"dataset_stand_in": True})]
)
def test_selection_on_the_test_set_and_stand_ins_are_named(words, option):
    for results in (
        examples.stage_one(**option),
        examples.stage_two(**option),
        report.sequence_one([examples.classifier("mnist"), examples.classifier("svhn", **option)]),
        examples.sequence_two(),
    ):
        assert words in report.table(results)
        assert words in report.caption(results)


def test_a_baseline_is_named_and_says_what_the_protocol_forbids():
    page = report.table(examples.baseline("joint"))
    assert page.startswith("# Baseline: joint,")
    assert "the protocol forbids" in page
    assert "SELECTED" not in page
