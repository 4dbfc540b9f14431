"""The figures of the results folders: written whole, always with the same bytes, and showing what the results hold."""

from types import SimpleNamespace
from unittest.mock import Mock

import examples
import matplotlib
import pytest
import torch

from datasets.splits import resolve_split
from tests.results.conftest import words
from utils.results import figures, plotting, published, report


def test_figures_are_the_same_bytes_each_time_whatever_style_a_user_has(tmp_path):
    def drawn():
        figures.stage_two(tmp_path, examples.stage_two(tasks=2))
        plotting.bars(tmp_path / "print", ["a"], {"b": [{"mean": 1, "deviation": None}]}, "title", "", pdf=True)
        return {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    first = drawn()
    assert {"accuracy.png", "accuracy_matrix.png", "confusion.png", "training.png", "print.png"} < first.keys()
    assert first["print.pdf"].startswith(b"%PDF")
    assert b"CreationDate" not in first["print.pdf"]
    with matplotlib.rc_context({"font.size": 30, "axes.linewidth": 9}):  # as a user's matplotlibrc would set them
        assert drawn() == first
        assert matplotlib.rcParams["font.size"] == 30


def test_a_figure_is_whole_or_absent(tmp_path, monkeypatch):
    (tmp_path / "figure.png").write_bytes(b"before")
    monkeypatch.setattr("os.replace", Mock(side_effect=OSError(28, "No space left on device")))
    with pytest.raises(OSError, match=r"figure\.png"), plotting.picture(tmp_path / "figure", 1.0, "title", ""):
        pass
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"before"]


def test_the_curves_and_matrices_are_the_results_of_the_sequences_runs_too(tmp_path, drawn):
    shown = {"accuracy_matrix": ["accuracy_matrix"], "confusion": ["within_task_accuracy", "task_confusion"]}
    for results in (examples.stage_two(), examples.sequence_two()):
        figures.stage_two(tmp_path, results)
        runs = report.runs(results)
        for curve, run in zip(drawn["accuracy"].axes[0].lines, runs, strict=True):
            assert list(curve.get_xdata()) == run["configuration"]["split_list"][1:]
            assert list(curve.get_ydata()) == run["seen_accuracy"]
            assert f"average {run['average_incremental_accuracy']:.1f} %" in words(drawn["accuracy"])
        for figure, names in shown.items():
            panels = [run[name] for name in names for run in runs]
            for axes, rows in zip(drawn[figure].axes, panels, strict=True):
                assert [float(text.get_text()) for text in axes.texts] == [value for row in rows for value in row]
                cells = axes.images[0].get_array()
                assert [cells[t][: t + 1].tolist() for t in range(len(rows))] == rows
        losses = [list(line.get_ydata()) for axes in drawn["training"].axes for line in axes.lines]
        assert losses == [[entry["loss"] for entry in each] for run in runs for each in run["history"] if each]
    figures.stage_two(tmp_path, examples.stage_two(tasks=1))  # of which there is no training


def test_what_was_learned_and_how_stands_beside_every_figure(tmp_path, drawn):
    options = {"rehearsal_size": 30, "selection": "test", "class_order": 1993}
    figures.stage_two(tmp_path, examples.baseline("replay", **options))
    figures.stage_one(tmp_path, examples.stage_one(**options))
    assert len(drawn) == 5
    for figure in drawn.values():
        for told in ("SELECTED ON THE TEST SET", "class_order=1993", "rehearsal_size=30"):
            assert told in words(figure)


def of_split(split, **more):
    return {"dataset": "cifar100", "split_type": split, "split_list": resolve_split(None, split), **more}


def test_published_averages_are_those_of_the_split_of_the_whole_data():
    for split, some in {
        "s0-t10": {"iCaRL": 65.27, "DER": 75.36, "TagFex ‡": 78.45},
        "s0-t5": {"iCaRL": 71.14, "PODNet": 66.70, "FOSTER": 72.54},
        "s50-t5": {"iCaRL †": 57.17, "DER": 73.21, "BEEF": 71.70},
        "s50-t10": {"BiC †": 53.21, "DER, pruned": 72.45, "FOSTER": 67.95},
    }.items():
        assert some.items() <= published.averages(of_split(split), [10_000]).items()
        assert published.averages(of_split(split), [9_999]) == {}
        assert published.averages(of_split(split, dataset="folder-x"), [10_000]) == {}
        assert published.averages(of_split(split, split_list=[0, 5, 10]), [10_000]) == {}
    assert published.averages({"data_list": ["mnist"], "split_list": [0, 10]}, [10_000]) == {}


def test_published_averages_stand_beside_the_runs_own_and_their_protocol_is_told(tmp_path, drawn):
    results = examples.stage_two(tasks=6, configuration={**examples.STAGE_TWO, **of_split("s50-t5")})
    results["test_images"] = [5000] + [1000] * 5
    figures.stage_two(tmp_path, results)
    bars = [bar.get_width() for bar in drawn["accuracy"].axes[1].patches]
    theirs = published.averages(of_split("s50-t5"), [10_000]).values()
    assert bars == sorted([*theirs, results["average_incremental_accuracy"]])
    for told in ("73.2 DER", "64.8 PODNet †", "no unlabelled images"):
        assert told in words(drawn["accuracy"])


def test_the_bars_are_the_sub_models_before_and_after_and_every_training_is_drawn(tmp_path, drawn):
    results = examples.stage_one()
    figures.stage_one(tmp_path, results)
    measures = (("test_accuracy", 1), ("parameters", 1e6), ("flops", 1e9))
    for axes, (name, unit) in zip(drawn["compression"].axes, measures, strict=True):
        expected = [task[side][name] / unit for task in results["tasks"] for side in ("before", "after")]
        assert [bar.get_width() for bar in axes.patches] == expected
    losses, accuracies = drawn["training"].axes[1], drawn["training"].axes[4]
    for axes, first in ((losses, 3.0), (accuracies, 10.0)):
        assert [list(line.get_xdata()) for line in axes.lines] == [[1, 2, 3], [4, 5, 6], [7, 8, 9]]
        assert [line.get_ydata()[0] for line in axes.lines] == [first] * 3
    figures.stage_one(tmp_path, examples.sequence_one())  # of which nothing is compressed
    assert len(drawn["compression"].axes[0].patches) == 3
    assert [axes.get_title() for axes in drawn["training"].axes[:3]] == examples.SEQUENCE


def test_the_sheet_shows_the_exemplars_in_their_order(drawn, tmp_path):
    grey = torch.arange(10, 60, 10, dtype=torch.uint8).view(-1, 1, 1, 1)
    kept = SimpleNamespace(images=grey.expand(-1, 3, 32, 32), labels=torch.tensor([1, 0, 1, 0, 1]))
    figures.exemplars(tmp_path / "sheet", kept, ["cat", "猫 costs $5"], "")
    sheet = drawn["sheet"].axes[0].images[0].get_array()
    assert sheet[17::33, 17::33, 0].tolist() == [[20, 40, 255], [10, 30, 50]]
    assert "cat 猫 costs $5" in words(drawn["sheet"])
    empty = SimpleNamespace(images=torch.zeros(0, 3, 32, 32, dtype=torch.uint8), labels=torch.zeros(0).long())
    figures.exemplars(tmp_path / "none", empty, ["cat"], "")
    assert drawn.keys() == {"sheet"}
