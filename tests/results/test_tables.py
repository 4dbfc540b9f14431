"""Markdown tables that line up, and the formats of the numbers in them."""

import pytest

from utils.results import tables


def test_a_table_is_markdown_with_columns_that_line_up():
    rows = [["1: 0-49", tables.percent(76.41), 11], ["2: 50-59", None, 1234]]
    assert tables.markdown_table(["task", "accuracy (%)", "n"], rows).splitlines() == [
        "| task     | accuracy (%) |    n |",
        "| :------- | -----------: | ---: |",
        "| 1: 0-49  |         76.4 |   11 |",
        "| 2: 50-59 |            – | 1234 |",
    ]
    assert tables.markdown_table(["a|b"], [["c\r\nd"]]).split("\n") == ["| a\\|b |", "| :--- |", "| c d  |"]


@pytest.mark.parametrize(
    ("kind", "written"),
    [
        ("last_accuracy", {76.44: "76.4", 100: "100.0", -0.04: "0.0", -12.34: "-12.3", None: None}),
        ("widths", {(8, 16, 32, 64): "8-16-32-64"}),
        ("parameters", {11_173_962: "11.17 M", 9_994_000: "9.994 M", 77_900: "0.078 M"}),
        ("flops", {35_123_456: "35.1 M", 999_940_000: "999.9 M", 999_960_000: "1.00 G", 1_113_000_000: "1.11 G"}),
        ("seconds", {59.6: "0:01:00", 3599.6: "1:00:00"}),
    ],
)
def test_a_cell_is_written_by_its_kind_and_its_size(kind, written):
    assert {value: tables.cells({kind: value}, kind)[0] for value in written} == written


def test_a_mean_has_its_deviation_if_there_is_one():
    values = {"last": {"mean": 76.44, "deviation": 0.25}, "parameters": {"mean": 2_500_000, "deviation": None}}
    assert tables.cells(values, *values) == ["76.4 ± 0.2", "2.500 M"]
    assert tables.cells({"forgetting": {"mean": None, "deviation": None}}, "forgetting") == [None]
