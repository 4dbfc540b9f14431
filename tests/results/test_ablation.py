"""The ablation's cells, its table and figure. Its runs are in tests of the commands."""

from itertools import product

import examples

from utils.results import ablation, report
from utils.running import storage
from utils.running.options import settings


def test_cells_are_the_grid_or_the_additions_one_on_top_of_the_other():
    found = [[cell.options for cell in cells] for _, cells in ablation.grid(settings({}))]
    assert found == [[{"mixmatch": m, "prune": p} for p in (True, False)] for m in (True, False)]
    found = ablation.grid(settings({"recipe": "plus"}))
    names = [classifiers for classifiers, _ in found]
    assert names == ["without_additions", "inherited", "inherited_warm", "inherited_warm_other"]
    assert [cell.options.get("other_weight") for _, cells in found for cell in cells] == [0.0] * 3 + [None] * 3
    assert found[-1][1][-1].options == {}, "all additions"


def test_every_cell_is_the_mean_and_deviation_of_its_runs_in_content_and_figure(tmp_path, drawn):
    cells = [ablation.Cell(name, {"MixMatch": name == "with"}, {}) for name in ("with", "without")]
    runs = {}
    for number, (cell, kind, seed) in enumerate(product(cells, ("EDE_Net_x", "baseline_concatenate_x"), (3, 0))):
        assert ablation.write(tmp_path, (3, 0), cells) is None, "others are still at work"
        results = examples.stage_two(seed=number)
        results["configuration"]["seed"] = seed
        (folder := tmp_path / f"seed_{seed}" / cell.name / kind).mkdir(parents=True)
        (folder / "results.json").write_bytes(storage.as_json(results))
        runs.setdefault((cell.name == "with", kind == "EDE_Net_x"), []).append(results)
    found = ablation.write(tmp_path, (3, 0), cells)["cells"]
    for cell, (parts, results) in zip(found, runs.items(), strict=True):
        assert tuple(cell["parts"].values()) == parts
        assert cell.items() >= report.group(results).items()
    average, last = drawn["ablation"].axes
    for axes, name in ((average, "average_incremental_accuracy"), (last, "last_accuracy")):
        assert [bar.get_width() for bar in axes.patches] == [cell[name]["mean"] for cell in found]
    labels = ["MixMatch + stage two", "MixMatch", "stage two", "none"]
    assert [label.get_text() for label in average.get_yticklabels()] == labels
    assert {path.suffix for path in tmp_path.glob("ablation.*")} == {".json", ".md", ".png", ".pdf"}
