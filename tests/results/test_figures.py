"""The figures of the results folders: written whole, always with the same bytes, and showing what the results hold."""

import os
import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import examples
import pytest
import torch
from PIL import Image

from utils.results import figures, plotting, published

ROOT = Path(__file__).parents[2]


def numbers(figure_texts):
    """The percentages among the words of a figure."""
    return [float(text) for text in figure_texts if re.fullmatch(r"\d+\.\d", text)]


def flat(rows):
    return [value for row in rows for value in row]


# --- the files


def test_a_figure_is_a_picture_of_a_pages_width_and_the_same_bytes_each_time(tmp_path):
    written = []
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        figures.stage_two(tmp_path / name, examples.stage_two(tasks=2))
        written.append({path.name: path.read_bytes() for path in (tmp_path / name).iterdir()})
    assert written[0] == written[1]
    assert written[0].keys() == {f"{name}.png" for name in ("accuracy", "accuracy_matrix", "confusion", "training")}
    for name in written[0]:
        with Image.open(tmp_path / "first" / name) as image:
            assert image.width == plotting.WIDTH * plotting.DPI
            assert len(set(image.convert("L").resize((64, 64)).tobytes())) > 10, "something is drawn"


def test_a_figure_is_whole_or_absent(tmp_path, monkeypatch):
    path = tmp_path / "figure.png"
    path.write_bytes(b"before")

    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with (
        pytest.raises(OSError, match=r"No space left on device: .*figure\.png"),
        plotting.picture(tmp_path / "figure", 1.0, "title"),
    ):
        pass
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]


def test_matplotlib_is_imported_where_a_figure_is_drawn_and_no_display_is_asked_for(tmp_path):
    for path in Path(plotting.__file__).parent.glob("*.py"):
        assert not re.search(r"^(import|from) matplotlib", path.read_text(encoding="utf-8"), re.MULTILINE), path
    code = f"""
import sys
from pathlib import Path
from utils.results import plotting
assert not [name for name in sys.modules if name.startswith("matplotlib")], "imported too early"
with plotting.picture(Path({str(tmp_path)!r}) / "a", 1.0, "title") as figure:
    figure.subplots().plot([1, 2])
assert "matplotlib.pyplot" not in sys.modules
"""
    environment = {name: value for name, value in os.environ.items() if "DISPLAY" not in name}
    environment |= {"MPLBACKEND": "tkagg", "OMP_NUM_THREADS": "1"}
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_a_users_matplotlibrc_changes_nothing_and_is_not_changed(tmp_path):
    import matplotlib

    def bytes_of(name):
        with plotting.picture(tmp_path / name, 1.0, "title") as figure:
            figure.subplots().plot([1, 2])
        return (tmp_path / f"{name}.png").read_bytes()

    plain = bytes_of("a")
    with matplotlib.rc_context({"font.size": 30, "axes.linewidth": 9}):
        assert bytes_of("b") == plain
        assert matplotlib.rcParams["font.size"] == 30


# --- stage two


def test_the_curves_are_the_accuracy_on_all_classes_seen_and_the_losses(tmp_path, drawn, texts):
    results = examples.stage_two()
    figures.stage_two(tmp_path, results)
    [axes] = drawn["accuracy"].axes
    [curve] = axes.lines
    assert list(curve.get_xdata()) == [3, 6, 9]
    assert list(curve.get_ydata()) == results["seen_accuracy"]
    assert "this run: average 65.0 %" in texts(drawn["accuracy"])
    losses = [line.get_ydata().tolist() for axes in drawn["training"].axes for line in axes.lines]
    assert losses == [[entry["loss"] for entry in history] for history in results["history"][1:]]


def test_the_matrices_are_the_results(tmp_path, drawn, texts):
    results = examples.stage_two()
    figures.stage_two(tmp_path, results)
    assert numbers(texts(drawn["accuracy_matrix"])) == flat(results["accuracy_matrix"])
    within, confusion = drawn["confusion"].axes
    for axes, name in ((within, "within_task_accuracy"), (confusion, "task_confusion")):
        cells = axes.images[0].get_array()
        assert [cells[t][: t + 1].tolist() for t in range(3)] == results[name]
        assert numbers(text.get_text() for text in axes.texts) == flat(results[name])


def test_a_single_task_is_drawn_and_no_training(tmp_path, drawn):
    figures.stage_two(tmp_path, examples.stage_two(tasks=1))
    assert drawn.keys() == {"accuracy", "accuracy_matrix", "confusion"}


@pytest.mark.parametrize("order", [None, 1993, [2, 1, 0]])
@pytest.mark.parametrize("of", ["EDE-Net", "replay"])
def test_what_was_learned_and_how_stands_beside_every_figure_of_stage_two(tmp_path, drawn, texts, of, order):
    results = examples.stage_two() if of == "EDE-Net" else examples.baseline("replay", rehearsal_size=30)
    results["configuration"].update(selection="test", class_order=order)
    figures.stage_two(tmp_path, results)
    for figure in drawn.values():
        caption = " ".join(texts(figure))
        assert "30 exemplars" in caption
        assert "SELECTED ON THE TEST SET" in caption
        assert ("1993" in caption) == (order == 1993)
        assert ("This baseline is one network" in caption) == (of == "replay")


# --- published averages


def of_split(split, dataset="cifar100", **more):
    return {"dataset": dataset, "split_type": split, "split_list": published.SPLITS.get(split), **more}


@pytest.mark.parametrize(
    ("split", "some"),
    [
        ("s0-t10", {"iCaRL": 65.27, "DER": 75.36, "TagFex ‡": 78.45}),
        ("s0-t5", {"iCaRL": 71.14, "PODNet": 66.70, "FOSTER": 72.54}),
        ("s50-t5", {"iCaRL †": 57.17, "DER": 73.21, "BEEF": 71.70}),
        ("s50-t10", {"BiC †": 53.21, "DER, pruned": 72.45, "FOSTER": 67.95}),
    ],
)
def test_published_averages_are_those_of_the_split(split, some):
    found = published.averages(of_split(split), [10_000])
    assert some.items() <= found.items()
    assert len(found) == {"s0-t10": 9, "s0-t5": 5, "s50-t5": 6, "s50-t10": 6}[split]


@pytest.mark.parametrize(
    ("configuration", "images"),
    [
        (of_split("s0-t10"), 9_999),
        (of_split("s0-t10", dataset="folder-x"), 10_000),
        (of_split("s0-t20"), 10_000),
        ({**of_split("s0-t5"), "split_list": [0, 5, 10, 15, 20, 25]}, 10_000),
    ],
)
def test_other_runs_stand_beside_no_published_average(configuration, images):
    assert published.averages(configuration, [images]) == {}


def test_published_averages_are_marked_beside_the_runs_own(tmp_path, drawn, texts):
    results = examples.stage_two(tasks=6, configuration={**examples.STAGE_TWO, **of_split("s50-t5")})
    results["test_images"] = [5000] + [1000] * 5
    figures.stage_two(tmp_path, results)
    marks = {float(line.get_ydata()[0]) for line in drawn["accuracy"].axes[1].lines}
    average = results["average_incremental_accuracy"]
    assert marks == {*published.averages(of_split("s50-t5"), [10_000]).values(), average}
    words = texts(drawn["accuracy"])
    assert {"DER 73.2", "PODNet † 64.8", f"this run {average:.1f}"} <= set(words)
    assert any("no unlabelled images" in text and "20 a class" in text for text in words), "their protocol is told"


# --- stage one


def test_the_bars_are_the_sub_models_before_and_after(tmp_path, drawn):
    results = examples.stage_one()
    figures.stage_one(tmp_path, results)
    measures = (("test_accuracy", 1), ("parameters", 1e6), ("flops", 1e6))
    for axes, (name, unit) in zip(drawn["compression"].axes, measures, strict=True):
        expected = [task[side][name] / unit for side in ("before", "after") for task in results["tasks"]]
        assert [bar.get_width() for bar in axes.patches] == expected
        assert len({bar.get_y() for bar in axes.patches}) == len(expected), "no bar hides another"


def test_every_training_of_stage_one_is_drawn_one_after_the_other(tmp_path, drawn):
    figures.stage_one(tmp_path, examples.stage_one())
    losses, accuracies = drawn["training"].axes[1], drawn["training"].axes[4]
    curves = [line for line in losses.lines if line.get_linestyle() != "None" and len(line.get_xdata()) == 3]
    assert [line.get_xdata().tolist() for line in curves] == [[1, 2, 3], [4, 5, 6], [7, 8, 9]]
    assert [line.get_ydata()[0] for line in curves] == [3.0, 3.0, 3.0]
    stars = [line.get_xdata()[0] for line in accuracies.lines if line.get_marker() == "*"]
    assert stars == [2, 5, 8], "the epochs kept"
    accepted, rejected = curves[1:]
    assert accepted.get_color() != rejected.get_color()
    assert accepted.get_linestyle() != rejected.get_linestyle()


def test_a_run_that_was_not_compressed_is_drawn(tmp_path, drawn, texts):
    figures.stage_one(tmp_path, examples.stage_one(compressed=False, selection="test"))
    assert len(drawn["compression"].axes[0].patches) == 3
    for figure in drawn.values():
        assert any("SELECTED ON THE TEST SET" in text for text in texts(figure))


# --- exemplars


def kept(labels):
    """Exemplars of these labels, of which the n-th has the grey value 10·(n+1)."""
    images = torch.arange(10, 10 * len(labels) + 10, 10, dtype=torch.uint8).view(-1, 1, 1, 1)
    return SimpleNamespace(images=images.expand(-1, 3, 32, 32), labels=torch.tensor(labels))


def test_the_sheet_shows_the_exemplars_in_their_order(drawn, texts, tmp_path):
    figures.exemplars(tmp_path / "sheet", kept([1, 0, 1, 0, 1]), ["cat", "猫 costs $5"], "")
    sheet = drawn["sheet"].axes[0].images[0].get_array()
    assert sheet[17::33, 17::33, 0].tolist() == [[20, 40, 255], [10, 30, 50]]
    assert {"cat", "猫 costs $5"} <= set(texts(drawn["sheet"]))


def test_a_memory_that_holds_nothing_gives_no_sheet(drawn, tmp_path):
    empty = SimpleNamespace(images=torch.zeros(0, 3, 32, 32, dtype=torch.uint8), labels=torch.zeros(0).long())
    figures.exemplars(tmp_path / "sheet", empty, ["cat"], "")
    assert drawn == {}


# --- the sequence


def test_the_sequences_curves_are_the_results(tmp_path, drawn):
    figures.sequence_two(tmp_path, examples.sequence_two())
    two_sets, three_sets = drawn["accuracy"].axes
    curves = {line.get_label(): list(line.get_ydata()) for line in three_sets.lines if line.get_marker() != "None"}
    assert curves == {"MNIST": [30, 60], "SVHN": [20, 50], "CIFAR-10": [10, 40], "mean": [20, 50]}
    assert [line.get_ydata()[0] for line in two_sets.lines if line.get_marker() == "None"] == [99, 90], "alone"
    assert [label.get_text() for label in three_sets.get_xticklabels()] == ["1", "5"]


def test_the_sequences_matrices_leave_out_what_was_not_learned(tmp_path, drawn, texts):
    results = examples.sequence_two()
    figures.sequence_two(tmp_path, results)
    assert numbers(texts(drawn["accuracy_matrix"])) == flat(each["joined"] for each in results["networks"])
    for axes, name in zip(drawn["confusion"].axes, ("within_task_accuracy", "task_confusion"), strict=True):
        cells = [float(text.get_text()) for text in axes.texts]
        assert cells == flat(each[name] for each in results["networks"])
    assert len(drawn["training"].axes) == 3
    for figure in drawn.values():
        words = " ".join(texts(figure))
        assert "SELECTED ON THE TEST SET" in words
        assert "Drawn stand-in images" in words


# --- legibility


@pytest.mark.parametrize("positions", [[1, 2, 3], [0, 0, 0, 0], [0, 10, 10.5, 11, 30], [5]])
def test_labels_do_not_overlap(positions):
    places = plotting.spread(positions, 2)
    assert all(b - a >= 2 - 1e-9 for a, b in pairwise(places))
    assert sum(places) == pytest.approx(sum(positions))
