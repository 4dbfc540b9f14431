"""The ablation's cells, its table and figure. Its runs are in tests of the commands."""

from statistics import mean, stdev

import examples
import pytest

from utils.results import ablation
from utils.running.options import settings

PARTS = [{"MixMatch": m, "compression": c, "stage two": s} for m in (True, False) for c in (True, False)
         for s in (True, False)]  # fmt: skip


def runs(index):
    """Three seeds of a cell, whose accuracies no other cell has."""
    found = [examples.stage_two(seed=seed) for seed in (3, 0, 1)]
    for results in found:
        results["average_incremental_accuracy"] += 2 * index
    return found


def test_cells_are_the_grid_or_the_additions_one_on_top_of_the_other():
    found = [[cell.name for cell in cells] for cells in ablation.grid(settings({}))]
    assert found == [
        ["mixmatch_compressed", "mixmatch_uncompressed"],
        ["supervised_compressed", "supervised_uncompressed"],
    ]
    found = ablation.grid(settings({"recipe": "plus"}))
    steps = ["inherited_other", "inherited_other_distilled", "inherited_other_distilled_flipped"]
    names = [["faithful"], ["inherited"], [*steps, f"{steps[-1]}_discriminant"]]
    assert [[cell.name for cell in cells] for cells in found] == names
    assert [{cell.classifiers for cell in cells} for cells in found] == [{first} for first, *_ in names]
    assert [cell.options.get("other_weight") for cells in found for cell in cells] == [0.0, 0.0, None, None, None, None]
    assert found[-1][-1].options == {}, "all additions"


def test_every_cell_has_the_mean_and_deviation_of_its_seeds_in_table_and_figure(tmp_path, drawn, capsys):
    written = ablation.write(tmp_path, [(parts, runs(index)) for index, parts in enumerate(PARTS)])
    assert [cell["parts"] for cell in written["cells"]] == PARTS
    for index, cell in enumerate(written["cells"]):
        assert cell["seeds"] == [3, 0, 1]
        for name in ("average_incremental_accuracy", "last_accuracy", "last_within_task_accuracy", "forgetting"):
            values = [results[name] for results in runs(index)]
            assert cell[name] == {"mean": pytest.approx(mean(values)), "deviation": pytest.approx(stdev(values))}
    average, last = drawn["ablation"].axes
    for axes, name in ((average, "average_incremental_accuracy"), (last, "last_accuracy")):
        assert [bar.get_width() for bar in axes.patches] == [cell[name]["mean"] for cell in written["cells"]]
    names = [label.get_text() for label in average.get_yticklabels()]
    assert (names[0], names[6], names[7]) == ("MixMatch + compression + stage two", "stage two", "none")
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in capsys.readouterr().out.splitlines()]
    told = {row[0]: row[2] for row in rows if len(row) > 2}
    assert [told[name] for name in names] == [f"{66 + 1 / 3 + 2 * index:.1f} ± 1.5" for index in range(8)]


def test_the_figure_is_written_as_picture_and_for_print(tmp_path):
    ablation.write(tmp_path, [(PARTS[0], runs(0)), (PARTS[1], runs(1))])
    printed = (tmp_path / "ablation.pdf").read_bytes()
    assert printed.startswith(b"%PDF")
    assert b"CreationDate" not in printed, "or the same results would not give the same bytes"
    assert (tmp_path / "ablation.png").is_file()
