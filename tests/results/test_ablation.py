"""The ablation's table and figure: mean and deviation of every cell's runs. Its runs are in tests of the commands."""

from statistics import mean, stdev

import examples
import pytest

from utils.results import ablation

PARTS = [{"MixMatch": m, "compression": c, ablation.STAGE_TWO: s} for m in (True, False) for c in (True, False)
         for s in (True, False)]  # fmt: skip


def runs(index):
    """Three seeds of a cell, whose accuracies no other cell has."""
    found = [examples.stage_two(seed=seed) for seed in (3, 0, 1)]
    for results in found:
        results["average_incremental_accuracy"] += 2 * index
    return found


@pytest.fixture
def written(tmp_path, drawn):
    """What is written of a grid of three parts."""
    cells = [(parts, runs(index)) for index, parts in enumerate(PARTS)]
    return ablation.write(tmp_path, examples.STAGE_TWO, cells)


def test_every_cell_has_the_mean_and_deviation_of_its_seeds(written):
    assert [cell["parts"] for cell in written["cells"]] == PARTS
    for index, cell in enumerate(written["cells"]):
        assert cell["seeds"] == [3, 0, 1]
        for name in ("average_incremental_accuracy", "last_accuracy", "last_within_task_accuracy", "forgetting"):
            values = [results[name] for results in runs(index)]
            assert cell[name] == {"mean": pytest.approx(mean(values)), "deviation": pytest.approx(stdev(values))}


def test_the_table_has_a_row_for_every_cell(written, tmp_path, capsys):
    lines = [line for line in (tmp_path / "ablation.md").read_text().splitlines() if line.startswith("|")]
    header, _, *rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert header[:5] == ["MixMatch", "compression", "stage two", "seeds", "average"]
    assert [[cell == "yes" for cell in row[:3]] for row in rows] == [list(parts.values()) for parts in PARTS]
    assert [row[4] for row in rows] == [f"{66 + 1 / 3 + 2 * index:.1f} ± 1.5" for index in range(8)]


def test_the_bars_are_the_means(written, drawn):
    average, last = drawn["ablation"].axes
    for axes, name in ((average, "average_incremental_accuracy"), (last, "last_accuracy")):
        assert [bar.get_width() for bar in axes.patches] == [cell[name]["mean"] for cell in written["cells"]]
    names = [label.get_text() for label in average.get_yticklabels()]
    assert (names[0], names[6], names[7]) == ("MixMatch + compression + stage two", "stage two", "none")


def test_the_figure_is_written_as_picture_and_for_print(tmp_path):
    ablation.write(tmp_path, {**examples.STAGE_TWO, "selection": "test"}, [(PARTS[0], runs(0)), (PARTS[1], runs(1))])
    printed = (tmp_path / "ablation.pdf").read_bytes()
    assert printed.startswith(b"%PDF")
    assert b"CreationDate" not in printed, "or the same results would not give the same bytes"
    assert (tmp_path / "ablation.png").is_file()
    assert "SELECTED ON THE TEST SET" in (tmp_path / "ablation.md").read_text()
