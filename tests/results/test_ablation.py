"""The ablation's cells, its table and figure. Its runs are in tests of the commands."""

import examples

from utils.results import ablation, report
from utils.running.options import settings


def test_cells_are_the_grid_or_the_additions_one_on_top_of_the_other():
    found = [[cell.options for cell in cells] for _, cells in ablation.grid(settings({}))]
    assert found == [[{"mixmatch": m, "prune": p} for p in (True, False)] for m in (True, False)]
    found = ablation.grid(settings({"recipe": "plus"}))
    names = [classifiers for classifiers, _ in found]
    assert names == ["faithful", "inherited", "inherited_warm", "inherited_warm_other"]
    assert [cell.options.get("other_weight") for _, cells in found for cell in cells] == [0.0] * 3 + [None] * 3
    assert found[-1][1][-1].options == {}, "all additions"


CELLS = [
    ({"MixMatch": mixmatch, "stage two": stage_two}, [examples.stage_two(seed=seed) for seed in seeds])
    for mixmatch, stage_two, seeds in ((True, True, (3, 0)), (False, True, (4, 1)), (False, False, (5, 2)))
]


def test_every_cell_is_the_mean_and_deviation_of_its_runs_in_content_and_figure(tmp_path, drawn):
    found = ablation.write(tmp_path, CELLS)["cells"]
    for cell, (parts, runs) in zip(found, CELLS, strict=True):
        assert cell["parts"] == parts
        assert cell.items() >= report.group(runs).items()
    average, last = drawn["ablation"].axes
    for axes, name in ((average, "average_incremental_accuracy"), (last, "last_accuracy")):
        assert [bar.get_width() for bar in axes.patches] == [cell[name]["mean"] for cell in found]
    assert [label.get_text() for label in average.get_yticklabels()] == ["MixMatch + stage two", "stage two", "none"]
    assert {path.name for path in tmp_path.iterdir()} == {f"ablation.{end}" for end in ("json", "md", "png", "pdf")}
