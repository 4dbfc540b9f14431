"""What the results files hold, from the counts and records that the runs leave: nothing is trained here."""

from itertools import pairwise
from statistics import fmean

import examples
import pytest

from utils.results import report


def rows_of(page, table=0):
    """The cells of one table of a Markdown page, without its rule."""
    tables, lines = [], [line for line in page.splitlines() if line.startswith("|") or not line]
    for before, line in pairwise(["", *lines]):
        if line and not before:
            tables.append([])
        if line:
            tables[-1].append([cell.strip() for cell in line.strip("|").split("|")])
    header, _, *rows = tables[table]
    return header, rows


# --- stage two


def test_every_share_is_of_the_tasks_own_test_images():
    results = {"correct": [30, 5], "within": [45, 8], "elsewhere": [24, 3], "total": [60, 10]}
    assert report.shares(results) == ([50.0, 50.0], [75.0, 80.0], [40.0, 30.0])


def test_the_matrices_have_a_row_for_every_stage():
    results = examples.stage_two()
    assert results["accuracy_matrix"] == [[70.0], [60.0, 70.0], [50.0, 60.0, 70.0]]
    assert results["within_task_accuracy"] == [[90.0], [80.0, 90.0], [70.0, 80.0, 90.0]]
    assert results["task_confusion"] == [[0.0], [5.0, 6.0], [10.0, 11.0, 12.0]]


def test_the_measures_are_those_of_the_protocol():
    results = examples.stage_two()
    assert results["seen_accuracy"] == [70.0, 65.0, 60.0]
    assert results["average_incremental_accuracy"] == 65.0
    assert (results["last_accuracy"], results["last_within_task_accuracy"]) == (60.0, 80.0)
    assert results["last_task_confusion"] == 11.0
    assert (results["forgetting"], results["backward_transfer"]) == (15.0, -15.0)
    assert results["parameters"] == [64_000, 128_000, 192_000]


def test_the_table_of_stage_two_shows_every_stage_and_the_last_ones_errors():
    header, rows = rows_of(report.stage_two_table(examples.stage_two()))
    assert header[:6] == ["after task", "classes", "all seen", "task 1", "task 2", "task 3"]
    assert [row[1:6] for row in rows] == [
        ["3", "70.0", "70.0", "", ""],
        ["6", "65.0", "60.0", "70.0", ""],
        ["9", "60.0", "50.0", "60.0", "70.0"],
        ["", "80.0", "70.0", "80.0", "90.0"],
        ["", "11.0", "10.0", "11.0", "12.0"],
    ]
    _, measures = rows_of(report.stage_two_table(examples.stage_two()), table=1)
    assert [value for _, value in measures] == ["65.0", "60.0", "15.0", "-15.0", "0.19 M"]


def test_one_task_has_nothing_to_forget():
    _, measures = rows_of(report.stage_two_table(examples.stage_two(tasks=1)), table=1)
    assert [value for _, value in measures] == ["70.0", "70.0", "–", "–", "0.064 M"]


# --- stage one


def test_stage_one_tells_of_every_network_before_and_after_and_of_every_round():
    results = examples.stage_one()
    first = results["tasks"][0]
    assert first["before"]["widths"] == [16, 32, 64, 128]
    assert first["after"]["widths"] == [8, 16, 32, 64]
    assert [each["accepted"] for each in first["rounds"]] == [True, False]
    assert [len(each["history"]) for each in (first, *first["rounds"])] == [3, 3, 3]
    _, rows = rows_of(report.stage_one_table(results))
    assert rows[1] == [
        *("3–5", "65.0", "63.0", "16-32-64-128", "8-16-32-64", "0.26 M", "0.064 M", "2.6 M", "0.6 M"),
        *("1 of 2", "15 s"),
    ]


# --- what it rests on


@pytest.mark.parametrize(
    "page",
    [
        report.stage_one_table(examples.stage_one(selection="test")),
        report.stage_two_table(examples.stage_two(selection="test")),
        report.sequence_one_table(report.sequence_one([examples.classifier("mnist", selection="test")])),
        report.sequence_two_table(examples.sequence_two()),
    ],
)
def test_selection_on_the_test_set_is_named(page):
    assert "SELECTED ON THE TEST SET" in page


@pytest.mark.parametrize(
    "page",
    [
        report.stage_one_table(examples.stage_one(dataset_stand_in=True)),
        report.stage_two_table(examples.stage_two(dataset_stand_in=True)),
        report.sequence_one_table(report.sequence_one([examples.classifier("mnist", dataset_stand_in=True)])),
        report.sequence_two_table(examples.sequence_two()),
    ],
)
def test_stand_ins_are_called_so(page):
    assert "stand-in" in page


def test_a_baseline_is_named_and_says_what_the_protocol_forbids():
    page = report.stage_two_table(examples.baseline("joint"))
    assert page.startswith("# Baseline: joint:")
    assert "the protocol forbids" in page
    assert "SELECTED" not in page


# --- the sequence


def test_the_sequences_results_have_a_value_for_every_data_set():
    results = examples.sequence_two()
    assert [(each["datasets"], each["num_per_class"]) for each in results["networks"]] == [
        (["mnist", "svhn"], 1),
        (["mnist", "svhn", "cifar10"], 1),
        (["mnist", "svhn", "cifar10"], 5),
    ]
    last = results["networks"][-1]
    assert last["joined"] == [60.0, 50.0, 40.0]
    assert last["mean"] == fmean(last["joined"])
    assert last["within_task_accuracy"] == [90.0] * 3
    assert last["task_confusion"] == [5.0, 6.0, 7.0]
    _, rows = rows_of(report.sequence_two_table(results))
    assert rows[4][1:8] == ["CIFAR-10", "1", "80.0", "10.0", "90.0", "3.0", "20.0"]


def test_the_classifiers_of_the_sequence_are_told_by_their_data_set():
    results = report.sequence_one([examples.classifier(name) for name in examples.SEQUENCE])
    assert list(results["datasets"]) == examples.SEQUENCE
    _, rows = rows_of(report.sequence_one_table(results))
    assert rows[2] == ["CIFAR-10", "64.0", "16-32-64-128", "0.26 M", "2.6 M", "5.0 s"]
