"""The figures of the results folders: written whole, always with the same bytes, and showing what the results hold."""

import re
from pathlib import Path
from types import SimpleNamespace

import examples
import pytest
import torch
from PIL import Image

from tests.results.conftest import words
from utils.results import figures, plotting, published, report


def flat(rows):
    return [value for row in rows for value in row]


# --- the files


def test_a_figure_is_a_picture_of_a_pages_width_and_the_same_bytes_each_time(tmp_path):
    import matplotlib

    def drawn():
        figures.stage_two(tmp_path, examples.stage_two(tasks=2))
        return {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    first = drawn()
    with matplotlib.rc_context({"font.size": 30, "axes.linewidth": 9}):  # as a user's matplotlibrc would set them
        assert drawn() == first
        assert matplotlib.rcParams["font.size"] == 30
    assert first.keys() == {f"{name}.png" for name in ("accuracy", "accuracy_matrix", "confusion", "training")}
    for name in first:
        with Image.open(tmp_path / name) as image:
            assert image.width == plotting.WIDTH * 200
            assert len(set(image.convert("L").resize((64, 64)).tobytes())) > 10, "something is drawn"


def test_a_figure_is_whole_or_absent(tmp_path, monkeypatch):
    path = tmp_path / "figure.png"
    path.write_bytes(b"before")

    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with (
        pytest.raises(OSError, match=r"No space left on device: .*figure\.png"),
        plotting.picture(tmp_path / "figure", 1.0, "title", ""),
    ):
        pass
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]


def test_matplotlib_is_imported_where_a_figure_is_drawn_and_pyplot_which_wants_a_display_never():
    for path in Path(plotting.__file__).parent.glob("*.py"):
        code = path.read_text(encoding="utf-8")
        assert not re.search(r"^(import|from) matplotlib|import .*pyplot", code, re.MULTILINE), path


# --- stage two


def test_the_curves_are_the_accuracy_on_all_classes_seen_and_the_losses(tmp_path, drawn):
    results = examples.stage_two()
    figures.stage_two(tmp_path, results)
    [axes] = drawn["accuracy"].axes
    [curve] = axes.lines
    assert list(curve.get_xdata()) == [3, 6, 9]
    assert list(curve.get_ydata()) == results["seen_accuracy"]
    assert any("average 65.0 %" in text for text in words(drawn["accuracy"]))
    losses = [list(line.get_ydata()) for axes in drawn["training"].axes for line in axes.lines]
    assert losses == [[entry["loss"] for entry in history] for history in results["history"][1:]]
    figures.stage_two(tmp_path, examples.stage_two(tasks=1))  # of which there is no training


def test_the_matrices_are_the_results_of_the_sequences_runs_too(tmp_path, drawn):
    for results in (examples.stage_two(), examples.sequence_two()):
        figures.stage_two(tmp_path, results)
        runs = report.runs(results)
        shown = {"accuracy_matrix": ["accuracy_matrix"], "confusion": ["within_task_accuracy", "task_confusion"]}
        for figure, names in shown.items():
            panels = [run[name] for name in names for run in runs]
            for axes, rows in zip(drawn[figure].axes, panels, strict=True):
                assert [float(text.get_text()) for text in axes.texts] == flat(rows)
                cells = axes.images[0].get_array()
                assert [cells[t][: t + 1].tolist() for t in range(len(rows))] == rows
        curves = [list(line.get_ydata()) for line in drawn["accuracy"].axes[0].lines]
        assert curves == [run["seen_accuracy"] for run in runs]


def test_what_was_learned_and_how_stands_beside_every_figure(tmp_path, drawn):
    results = examples.baseline("replay", rehearsal_size=30, selection="test", class_order=1993)
    figures.stage_two(tmp_path, results)
    figures.stage_one(tmp_path, examples.stage_one(rehearsal_size=30, selection="test", class_order=1993))
    assert len(drawn) == 5
    for figure in drawn.values():
        caption = " ".join(words(figure))
        assert {"SELECTED ON THE TEST SET", "1993"} <= {
            part for part in ("SELECTED ON THE TEST SET", "1993") if part in caption
        }
        assert "rehearsal_size=30" in caption


# --- published averages


def of_split(split, **more):
    return {"dataset": "cifar100", "split_type": split, "split_list": published.SPLITS.get(split), **more}


@pytest.mark.parametrize(
    ("split", "count", "some"),
    [
        ("s0-t10", 9, {"iCaRL": 65.27, "DER": 75.36, "TagFex ‡": 78.45}),
        ("s0-t5", 5, {"iCaRL": 71.14, "PODNet": 66.70, "FOSTER": 72.54}),
        ("s50-t5", 6, {"iCaRL †": 57.17, "DER": 73.21, "BEEF": 71.70}),
        ("s50-t10", 6, {"BiC †": 53.21, "DER, pruned": 72.45, "FOSTER": 67.95}),
    ],
)
def test_published_averages_are_those_of_the_split_of_the_whole_data(split, count, some):
    found = published.averages(of_split(split), [10_000])
    assert some.items() <= found.items()
    assert len(found) == count
    assert published.averages(of_split(split), [9_999]) == {}
    assert published.averages(of_split(split, dataset="folder-x"), [10_000]) == {}
    assert published.averages(of_split(split, split_list=[0, 5, 10]), [10_000]) == {}
    assert published.averages({"data_list": ["mnist"], "split_list": [0, 10]}, [10_000]) == {}


def test_published_averages_stand_beside_the_runs_own(tmp_path, drawn):
    results = examples.stage_two(tasks=6, configuration={**examples.STAGE_TWO, **of_split("s50-t5")})
    results["test_images"] = [5000] + [1000] * 5
    figures.stage_two(tmp_path, results)
    bars = [bar.get_width() for bar in drawn["accuracy"].axes[1].patches]
    average = results["average_incremental_accuracy"]
    assert bars == sorted([*published.averages(of_split("s50-t5"), [10_000]).values(), average])
    told = words(drawn["accuracy"])
    assert {"73.2 DER", "64.8 PODNet †"} <= set(told)
    assert any("no unlabelled images" in text and "20 a class" in text for text in told), "their protocol is told"


# --- stage one


def test_the_bars_are_the_sub_models_before_and_after(tmp_path, drawn):
    results = examples.stage_one()
    figures.stage_one(tmp_path, results)
    measures = (("test_accuracy", 1), ("parameters", 1e6), ("flops", 1e9))
    for axes, (name, unit) in zip(drawn["compression"].axes, measures, strict=True):
        expected = [task[side][name] / unit for task in results["tasks"] for side in ("before", "after")]
        assert [bar.get_width() for bar in axes.patches] == expected
    figures.stage_one(tmp_path, examples.stage_one(compressed=False))
    assert len(drawn["compression"].axes[0].patches) == 3


def test_every_training_of_stage_one_is_drawn_one_after_the_other(tmp_path, drawn):
    figures.stage_one(tmp_path, examples.stage_one())
    losses, accuracies = drawn["training"].axes[1], drawn["training"].axes[4]
    for axes, firsts in ((losses, [3.0, 3.0, 3.0]), (accuracies, [10.0] * 3)):
        assert [list(line.get_xdata()) for line in axes.lines] == [[1, 2, 3], [4, 5, 6], [7, 8, 9]]
        assert [line.get_ydata()[0] for line in axes.lines] == firsts
    figures.stage_one(tmp_path, report.sequence_one([examples.classifier(name) for name in examples.SEQUENCE]))
    assert [axes.get_title() for axes in drawn["training"].axes[:3]] == examples.SEQUENCE


# --- exemplars


def test_the_sheet_shows_the_exemplars_in_their_order(drawn, tmp_path):
    grey = torch.arange(10, 60, 10, dtype=torch.uint8).view(-1, 1, 1, 1)
    kept = SimpleNamespace(images=grey.expand(-1, 3, 32, 32), labels=torch.tensor([1, 0, 1, 0, 1]))
    figures.exemplars(tmp_path / "sheet", kept, ["cat", "猫 costs $5"], "")
    sheet = drawn["sheet"].axes[0].images[0].get_array()
    assert sheet[17::33, 17::33, 0].tolist() == [[20, 40, 255], [10, 30, 50]]
    assert {"cat", "猫 costs $5"} <= set(words(drawn["sheet"]))
    empty = SimpleNamespace(images=torch.zeros(0, 3, 32, 32, dtype=torch.uint8), labels=torch.zeros(0).long())
    figures.exemplars(tmp_path / "none", empty, ["cat"], "")
    assert drawn.keys() == {"sheet"}
