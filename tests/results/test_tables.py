"""Markdown tables that line up, and the formats of the numbers in them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from utils.results import tables


def test_a_table_is_markdown_with_columns_that_line_up():
    rows = [["1: 0-49", tables.percent(76.41), 11], ["2: 50-59", None, 1234]]
    assert tables.markdown_table(["task", "accuracy (%)", "n"], rows).splitlines() == [
        "| task     | accuracy (%) |    n |",
        "| :------- | -----------: | ---: |",
        "| 1: 0-49  |         76.4 |   11 |",
        "| 2: 50-59 |            – | 1234 |",
    ]
    assert tables.markdown_table(["a|b"], [["c\nd"]]).splitlines() == ["| a\\|b |", "| :--- |", "| c d  |"]


@settings(derandomize=True, deadline=None, max_examples=30)
@given(
    st.integers(1, 5).flatmap(lambda n: st.lists(st.lists(st.none() | st.text(), min_size=n, max_size=n), min_size=1))
)
def test_any_cells_give_lines_of_one_length_and_one_column_count(rows):
    lines = tables.markdown_table(rows[0], rows[1:]).split("\n")
    assert len(lines) == len(rows) + 1
    assert len({len(line) for line in lines}) == 1
    assert {line.replace("\\|", "").count("|") for line in lines} == {len(rows[0]) + 1}


def test_a_cell_is_written_as_its_kind_is_and_a_mean_with_its_deviation():
    values = {"forgetting": None, "widths": [8, 16, 32, 64], "flops": 35.1e6, "seconds": 61, "last": 76.44}
    assert tables.cells(values, *values) == [None, "8-16-32-64", "35.1 M", "1 min 01 s", "76.4"]
    values = {
        "last": {"mean": 76.44, "deviation": 0.25},
        "parameters": {"mean": 2_500_000, "deviation": None},
        "forgetting": {"mean": None, "deviation": None},
    }
    assert tables.cells(values, *values) == ["76.4 ± 0.2", "2.50 M", None]


@pytest.mark.parametrize(
    ("form", "values"),
    [
        (tables.percent, {76.44: "76.4", 100: "100.0", -0.04: "0.0", -12.34: "-12.3"}),
        (tables.parameters, {11_173_962: "11.17 M", 100_000: "0.10 M", 77_850: "0.078 M"}),
        (tables.flops, {35_123_456: "35.1 M", 999_940_000: "999.9 M", 999_960_000: "1.00 G", 1_113_000_000: "1.11 G"}),
        (tables.duration, {4.24: "4.2 s", 9.96: "10 s", 59.6: "1 min 00 s", 185: "3 min 05 s", 3599.6: "1 h 00 min"}),
    ],
)
def test_numbers_are_written_by_their_size(form, values):
    assert {value: form(value) for value in values} == values
