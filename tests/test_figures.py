"""The figures of the results folders, and the comparison of several."""

import json
import os
import re
import shutil
import subprocess
import sys
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from conftest import SPLIT
from PIL import Image

import train_EDE_Net
from datasets import catalog, tasks
from datasets.stream import Images, TaskStream
from utils import comparison, figures, plotting, published, recipes, sequence_figures
from utils.errors import UserError
from utils.run import Run

ROOT = Path(__file__).parents[1]
STAGE_ONE, STAGE_TWO = {"training", "compression"}, {"accuracy", "accuracy_matrix", "training", "exemplars"}


def figures_in(folder):
    return {path.name for path in Path(folder).iterdir() if path.suffix in (".png", ".pdf")}


def files(names):
    return {f"{name}.png" for name in names}


@pytest.fixture
def drawn(monkeypatch):
    """The figures drawn in a test by their names, as matplotlib has them; no file is written."""
    found = {}
    picture = plotting.picture

    @contextmanager
    def noted(path, *arguments, **more):
        with picture(path, *arguments, **more) as figure:
            yield figure
            found[path.name] = figure

    monkeypatch.setattr(plotting, "picture", noted)
    monkeypatch.setattr(plotting, "_save", lambda figure, path, formats: None)
    return found


def texts(figure):
    """All words in a figure."""
    from matplotlib.text import Text

    return [text.get_text() for text in figure.findobj(Text) if text.get_text()]


def stream_of(finished):
    train, test = (catalog.load("cifar100", finished.options["data_root"], part) for part in ("train", "test"))
    return TaskStream(train, test, list(range(9)), SPLIT["split_list"])


# The files.


def test_both_stages_leave_their_figures(finished):
    assert figures_in(finished.classifier) == files(STAGE_ONE)
    assert figures_in(finished.ede_net) == files(STAGE_TWO)
    for folder in (finished.classifier, finished.ede_net):
        for path in folder.glob("*.png"):
            with Image.open(path) as image:
                assert image.width == plotting.WIDTH * plotting.DPI
                assert len(set(image.convert("L").resize((64, 64)).tobytes())) > 10, "something is drawn"


def test_the_same_results_give_the_same_bytes(finished, tmp_path):
    figures.ede_net(tmp_path_with_stage(finished, tmp_path), finished.stage_two, stream_of(finished))
    for name in files(STAGE_TWO):
        assert (tmp_path / name).read_bytes() == (finished.ede_net / name).read_bytes(), name


def tmp_path_with_stage(finished, folder):
    shutil.copy(finished.ede_net / "stage_3.pt", folder)
    return folder


def test_a_figure_is_whole_or_absent(finished, tmp_path, monkeypatch):
    path = tmp_path / "compression.png"
    path.write_bytes(b"before")

    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(UserError, match=r"compression\.png could not be written \(No space left"):
        figures.compression(tmp_path / "compression", finished.stage_one, "")
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]


def test_restart_removes_the_figures(finished, tmp_path):
    shutil.copytree(finished.ede_net, tmp_path, dirs_exist_ok=True)
    with Run(tmp_path, recipes.settings(restart=True), 2, {}):
        assert figures_in(tmp_path) == set()


def test_matplotlib_is_imported_where_a_figure_is_drawn_and_no_display_is_asked_for(tmp_path):
    code = f"""
import sys
import train_classifier, train_EDE_Net, trainMTIL
assert not [name for name in sys.modules if name.startswith("matplotlib")], "imported too early"
from pathlib import Path
from utils import plotting
with plotting.picture(Path({str(tmp_path)!r}) / "a", 1.0, "title") as figure:
    figure.subplots().plot([1, 2])
assert "matplotlib.pyplot" not in sys.modules
"""
    environment = {name: value for name, value in os.environ.items() if "DISPLAY" not in name}
    environment |= {"MPLBACKEND": "tkagg", "OMP_NUM_THREADS": "1"}
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert figures_in(tmp_path) == {"a.png"}


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


# What they show.


def test_the_curve_and_the_matrix_are_the_results(finished, tmp_path, drawn):
    results = finished.stage_two
    figures.ede_net(tmp_path_with_stage(finished, tmp_path), results, stream_of(finished))
    [curve] = [line for line in drawn["accuracy"].axes[0].lines if len(line.get_xdata()) == 3]
    assert list(curve.get_xdata()) == [3, 6, 9]
    assert list(curve.get_ydata()) == results["seen_accuracy"]
    assert f"this run: average {results['average_incremental_accuracy']:.1f} %" in texts(drawn["accuracy"])
    words = texts(drawn["accuracy_matrix"])
    numbers = [float(word) for word in words if re.fullmatch(r"\d+\.\d", word)]
    assert numbers == [round(value, 1) for row in results["accuracy_matrix"] for value in row]
    losses = [line.get_ydata().tolist() for axes in drawn["training"].axes for line in axes.lines]
    assert losses == [[entry["loss"] for entry in history] for history in results["history"] if history]


def test_stage_ones_figures_are_the_results(finished, tmp_path, drawn):
    figures.classifiers(tmp_path, finished.stage_one)
    heights = [[bar.get_height() for bar in axes.patches] for axes in drawn["compression"].axes]
    for (name, unit), found in zip((("test_accuracy", 1), ("parameters", 1e6), ("flops", 1e6)), heights, strict=True):
        expected = [task[when][name] / unit for task in finished.stage_one["tasks"] for when in ("before", "after")]
        assert found == pytest.approx(expected)
    for axes, task in zip(drawn["training"].axes[:3], finished.stage_one["tasks"], strict=True):
        found = [y for line in axes.lines for y in line.get_ydata() if len(line.get_xdata()) and y not in (0, 1)]
        histories = [task["history"], *[each["history"] for each in task["rounds"]]]
        assert found == [entry["loss"] for history in histories for entry in history]
    assert "classes 3–5" in texts(drawn["training"])


def test_rejected_compressions_look_otherwise(finished, tmp_path, drawn):
    results = json.loads(json.dumps(finished.stage_one))
    results["tasks"][0]["rounds"][0]["accepted"] = False
    figures.classifiers(tmp_path, results)
    first, second = drawn["training"].axes[:2]
    styles = [{(line.get_color(), line.get_linestyle()) for line in axes.lines[1:]} for axes in (first, second)]
    assert styles[0] != styles[1]
    assert "rejected" in texts(drawn["training"])


def test_a_run_that_was_not_compressed_is_drawn(finished, tmp_path, drawn):
    results = json.loads(json.dumps(finished.stage_one))
    for task in results["tasks"]:
        task.update(after=None, rounds=[])
    figures.classifiers(tmp_path, results)
    assert len(drawn["compression"].axes[0].patches) == 3
    assert "after" not in texts(drawn["compression"])


def test_a_single_task_is_drawn(finished, tmp_path):
    results = json.loads(json.dumps(finished.stage_two))
    results["configuration"]["split_list"] = [0, 3]
    for name in ("accuracy_matrix", "seen_accuracy", "history", "test_images"):
        results[name] = results[name][:1]
    shutil.copy(finished.ede_net / "stage_1.pt", tmp_path)
    train, test = (catalog.load("cifar100", finished.options["data_root"], part) for part in ("train", "test"))
    figures.ede_net(tmp_path, results, TaskStream(train, test, list(range(9)), [0, 3]))
    assert figures_in(tmp_path) == files(STAGE_TWO - {"training"})


def test_selection_on_the_test_set_is_named_in_the_figures(finished, tmp_path, drawn):
    for results in (finished.stage_one, finished.stage_two):
        results = json.loads(json.dumps(results))
        results["configuration"]["selection"] = "test"
        if results["stage"] == 1:
            figures.classifiers(tmp_path, results)
        else:
            figures.ede_net(tmp_path_with_stage(finished, tmp_path), results, stream_of(finished))
    for name in ("compression", "training", "accuracy", "accuracy_matrix"):
        assert any("TEST SET" in " ".join(text.split()) for text in texts(drawn[name])), name


def test_the_sheet_shows_the_exemplars_in_their_order(drawn, tmp_path):
    shown = torch.arange(5, dtype=torch.uint8).view(5, 1, 1, 1).expand(5, 3, 32, 32) * 10 + 10
    exemplars = Images(shown, torch.tensor([0, 0, 1, 1, 1]), torch.arange(5))
    figures.exemplar_sheet(tmp_path / "sheet", exemplars, ["cat", "猫 costs $5"], "")
    sheet = drawn["sheet"].axes[0].images[0].get_array()
    middles = sheet[17::34, 17::34, 0]
    assert middles[:2].tolist() == [[10, 20, 255], [30, 40, 50]]
    assert {"cat", "猫 costs $5"} <= set(texts(drawn["sheet"]))


# Published averages.


def of_split(split, dataset="cifar100", **more):
    bounds = tasks.split_list_of(split)
    return {"dataset": dataset, "split_type": split, "split_list": bounds, **more}


@pytest.mark.parametrize("split", ["s0-t10", "s0-t5", "s50-t5", "s50-t10"])
def test_published_averages_are_those_of_the_readmes_table(split):
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    header, _, *rows = re.search(r"^\| method \| s0-t10 .*?(?=\n\n)", readme, re.MULTILINE | re.DOTALL)[0].splitlines()
    column = [cell.strip() for cell in header.split("|")].index(split)
    table = {}
    for row in rows:
        cells = [cell.strip() for cell in row.split("|")]
        if number := re.match(r"\d+\.\d+", cells[column]):
            name = re.sub(r" \(.*?\)", "", cells[1]).replace(", not pruned", "").replace(", corrected", "")
            table[name] = float(number[0])
    found = published.averages(of_split(split), [10_000])
    assert {name.rstrip(" †‡"): value for name, value in found.items()} == table


@pytest.mark.parametrize(
    ("configuration", "images"),
    [
        (of_split("s0-t10"), 9_999),
        (of_split("s0-t10", dataset="folder:x"), 10_000),
        (of_split("s0-t20"), 10_000),
        ({**of_split("s0-t5"), "split_list": [0, 5, 10, 15, 20, 25]}, 10_000),
    ],
)
def test_other_runs_stand_beside_no_published_average(configuration, images):
    assert published.averages(configuration, [images]) == {}


def test_published_averages_are_marked_and_their_protocol_is_named(finished, tmp_path, drawn):
    results = json.loads(json.dumps(finished.stage_two))
    results["configuration"].update(of_split("s50-t5"))
    results.update(
        accuracy_matrix=[[60.0] * (t + 1) for t in range(6)], seen_accuracy=[60.0] * 6, test_images=[5000] + [1000] * 5
    )
    figures.ede_net(tmp_path_with_stage(finished, tmp_path), results, stream_of(finished))
    words = [" ".join(text.split()) for text in texts(drawn["accuracy"])]
    assert {"DER 73.2", "PODNet † 64.8", f"this run {results['average_incremental_accuracy']:.1f}"} <= set(words)
    assert any("no unlabelled images" in text and "seed 1993" in text and "31 exemplars" in text for text in words)
    marks = {float(line.get_ydata()[0]) for line in drawn["accuracy"].axes[1].lines}
    assert marks == {*published.AVERAGES["s50-t5"].values(), results["average_incremental_accuracy"]}


# Legibility.


def test_neighbouring_curves_differ_in_colour_marker_and_line():
    for a, b in pairwise([plotting.line_style(index) for index in range(12)]):
        assert all(a[name] != b[name] for name in ("color", "marker", "linestyle"))
    assert len({tuple(plotting.line_style(index).values()) for index in range(40)}) == 40


@pytest.mark.parametrize("positions", [[1, 2, 3], [0, 0, 0, 0], [0, 10, 10.5, 11, 30], [5]])
def test_labels_do_not_overlap(positions):
    places = plotting.spread(positions, 2)
    assert all(b - a >= 2 - 1e-9 for a, b in pairwise(places))
    assert sum(places) == pytest.approx(sum(positions))


def test_labels_that_have_room_stay_where_they_belong():
    assert plotting.spread([0, 10, 20], 2) == [0, 10, 20]


# The sequence.


def network(names, count, joined):
    return {
        "datasets": names,
        "num_per_class": count,
        "joined": joined,
        "mean": sum(joined) / len(joined),
        "alone": [99.0, 90.0, None][: len(names)],
        "selection": ["validation", "test", "validation"][: len(names)],
        "stand_ins": count == 5,
        "history": [{"epoch": 1, "loss": 1.0}, {"epoch": 2, "loss": 0.5}],
    }


def test_the_sequences_figures_are_the_results(tmp_path, drawn):
    three = ["mnist", "svhn", "cifar10"]
    found = [network(three[:2], 1, [50.0, 40.0]), network(three, 1, [30.0, 20.0, 10.0]), network(three, 5, [60.0] * 3)]
    sequence_figures.networks(tmp_path, {"networks": found})
    two_sets, three_sets = drawn["accuracy"].axes
    drawn_lines = {line.get_label(): line.get_ydata() for line in three_sets.lines if line.get_linestyle() != "--"}
    assert {name: list(values) for name, values in drawn_lines.items()} == {
        "MNIST": [30, 60],
        "SVHN": [20, 60],
        "CIFAR-10": [10, 60],
        "mean": [20, 60],
    }
    assert [line.get_ydata()[0] for line in two_sets.lines if line.get_linestyle() == "--"] == [99, 90]
    numbers = [float(word) for word in texts(drawn["accuracy_matrix"]) if re.fullmatch(r"\d+\.\d", word)]
    assert numbers == [50, 40, 30, 20, 10, 60, 60, 60]
    assert len(drawn["training"].axes) == 3
    for name in ("accuracy", "accuracy_matrix"):
        for words in ("SELECTED ON THE TEST SET", "Drawn stand-in images"):
            assert any(words in " ".join(text.split()) for text in texts(drawn[name])), name


# The comparison.


def run_of(folder, results, seed=0, stage_one=None, **more):
    """A results folder with these results, their accuracies shifted by the seed."""
    content = json.loads(json.dumps(results))
    content["configuration"].update(seed=seed, **more)
    content["stage_one"].update(seed=seed, **(stage_one or {}))
    content["seen_accuracy"] = [value + seed for value in content["seen_accuracy"]]
    content["average_incremental_accuracy"] += seed
    folder.mkdir(parents=True)
    (folder / "results.json").write_text(json.dumps(content))
    return str(folder)


def test_runs_that_differ_by_the_seed_only_are_one_line(finished, tmp_path, capsys):
    folders = [run_of(tmp_path / f"{seed}" / "net", finished.stage_two, seed) for seed in (0, 1, 5)]
    folders.append(run_of(tmp_path / "other", finished.stage_two, 0, mixmatch=False))
    groups = train_EDE_Net.compare(*folders)["groups"]
    assert [group["label"] for group in groups] == ["mixmatch=True", "mixmatch=False"]
    average = finished.stage_two["average_incremental_accuracy"]
    assert groups[0]["average_incremental_accuracy"]["mean"] == pytest.approx(average + 2)
    assert groups[0]["average_incremental_accuracy"]["deviation"] == pytest.approx(7**0.5)
    assert groups[1]["average_incremental_accuracy"] == {"mean": pytest.approx(average), "deviation": None}
    printed = capsys.readouterr().out
    assert f"{average + 2:.1f} ± 2.6" in printed
    assert all(folder in printed for folder in folders)
    written = tmp_path / "comparison"
    assert (written / "comparison.pdf").read_bytes().startswith(b"%PDF")
    assert {path.name for path in written.iterdir()} == {f"comparison.{end}" for end in ("json", "md", "png", "pdf")}
    assert json.loads((written / "comparison.json").read_text())["groups"] == json.loads(json.dumps(groups))


def test_the_compared_curves_are_mean_and_deviation(finished, tmp_path, drawn):
    runs = [run_of(tmp_path / f"{seed}", finished.stage_two, seed) for seed in (0, 2)]
    comparison.draw(tmp_path / "a", comparison.grouped(comparison.read(runs)), [finished.stage_two])
    axes = drawn["a"].axes[0]
    assert axes.lines[0].get_ydata().tolist() == pytest.approx([y + 1 for y in finished.stage_two["seen_accuracy"]])
    low = min(y for _, y in axes.collections[0].get_paths()[0].vertices)
    assert low == pytest.approx(min(finished.stage_two["seen_accuracy"]) + 1 - 2**0.5)


def test_the_same_seed_twice_is_no_repetition(finished, tmp_path):
    """Such runs differ in something that no option tells."""
    folders = [run_of(tmp_path / name, finished.stage_two) for name in ("a", "b")]
    groups = comparison.grouped(comparison.read(folders))
    assert [group["folders"] for group in groups] == [[folder] for folder in folders]
    assert [group["label"] for group in groups] == folders


def labels_of(*folders):
    return [group["label"] for group in comparison.grouped(comparison.read(folders))]


def test_the_results_tell_stage_ones_options(finished):
    assert finished.stage_two["stage_one"] == finished.stage_one["configuration"]


def test_runs_that_differ_in_stage_one_are_told_apart_by_it_and_seeds_of_the_same_are_one_line(finished, tmp_path):
    folders = [
        run_of(tmp_path / f"{weight}_{seed}", finished.stage_two, seed, {"lambda_u": weight})
        for weight in (1.0, 10.0)
        for seed in (0, 1)
    ]
    groups = comparison.grouped(comparison.read(folders))
    assert [group["label"] for group in groups] == ["lambda_u=1.0", "lambda_u=10.0"]
    assert [group["seeds"] for group in groups] == [[0, 1], [0, 1]]


def test_an_option_of_both_stages_is_told_of_the_one_it_differs_in(finished, tmp_path):
    net = finished.stage_two
    plain = run_of(tmp_path / "a", net)
    first = run_of(tmp_path / "b", net, stage_one={"weight_decay": 0.0})
    both = run_of(tmp_path / "c", net, stage_one={"weight_decay": 0.0}, weight_decay=0.0)
    assert labels_of(plain, first) == ["stage one's weight_decay=0.0005", "stage one's weight_decay=0.0"]
    assert labels_of(plain, both) == ["weight_decay=0.0005", "weight_decay=0.0"]


def test_what_decides_no_sub_model_is_no_difference(finished, tmp_path):
    """Compression may have been left out, or have its recipe named otherwise, when stage one was called last."""
    one = run_of(tmp_path / "a", finished.stage_two)
    other = run_of(tmp_path / "b", finished.stage_two, 1, {"prune": False, "recipe": "cpu"})
    assert len(labels_of(one, other)) == 1


def test_results_without_stage_ones_options_are_compared_by_what_they_tell(finished, tmp_path):
    folders = [run_of(tmp_path / name, finished.stage_two, finetune_lr=lr) for name, lr in (("a", 1.0), ("b", 2.0))]
    path = Path(folders[1], "results.json")
    content = json.loads(path.read_text())
    del content["stage_one"]
    path.write_text(json.dumps(content))
    assert labels_of(*folders) == ["finetune_lr=1.0", "finetune_lr=2.0"]


def baseline_of(folder, finished, kind, **more):
    """A results folder of a baseline with one network."""
    content = json.loads(json.dumps(finished.stage_two))
    options = {name: content["configuration"][name] for name in ("dataset", "split_type", "split_list", "mixmatch")}
    content["configuration"] = {"baseline": kind, **options, **recipes.settings().configuration(kind), **more}
    content["stage_one"] = None
    folder.mkdir()
    (folder / "results.json").write_text(json.dumps(content))
    return str(folder)


def test_baselines_are_compared_by_their_kind(finished, tmp_path, capsys):
    own = {name: finished.stage_two["stage_one"][name] for name in recipes.settings().configuration("joint")
           if name in finished.stage_two["stage_one"]}  # fmt: skip
    folders = [
        run_of(tmp_path / "net", finished.stage_two),
        baseline_of(tmp_path / "replay", finished, "replay", **own, rehearsal_size=31),
        baseline_of(tmp_path / "joint", finished, "joint", **own),
        baseline_of(tmp_path / "joint2", finished, "joint", **{**own, "seed": 1}),
        baseline_of(tmp_path / "fewer", finished, "replay", **own, rehearsal_size=9),
    ]
    assert labels_of(*folders[:4:2]) == ["EDE-Net", "Baseline: joint"]
    groups = train_EDE_Net.compare(*folders)["groups"]
    assert [group["label"] for group in groups] == [
        "EDE-Net, rehearsal_size=31",
        "Baseline: replay, rehearsal_size=31",
        "Baseline: joint",
        "Baseline: replay, rehearsal_size=9",
    ]
    assert [len(group["seeds"]) for group in groups] == [1, 1, 2, 1]
    printed = capsys.readouterr().out
    for words in ("the protocol forbids", "replay, joint: Nothing was held out", "EDE-Net: Epochs kept", "± is the"):
        assert words in printed


def test_selection_on_the_test_set_is_named_in_the_comparison(finished, tmp_path, capsys):
    folders = [run_of(tmp_path / name, finished.stage_two, 0, selection=name) for name in ("test", "validation")]
    train_EDE_Net.compare(*folders, output=str(tmp_path / "there"))
    printed = capsys.readouterr().out
    assert "SELECTED ON THE TEST SET" in printed
    assert "±" not in printed
    assert (tmp_path / "there" / "comparison.png").is_file()


def test_what_cannot_be_compared_is_named(finished, tmp_path):
    net, empty = str(finished.ede_net), tmp_path / "empty"
    empty.mkdir()
    (empty / "file").touch()
    for folders, message in (
        ([net], "two or more"),
        ([net, 5], "two or more"),
        ([net, f"{net}/"], "twice"),
        ([net, str(empty)], "empty holds no results.json"),
        ([net, str(tmp_path / "nowhere")], "nowhere is not there"),
        ([net, str(finished.classifier)], "expected the results of stage two"),
    ):
        with pytest.raises(UserError, match=message):
            train_EDE_Net.compare(*folders, output=str(tmp_path))
    other = run_of(tmp_path / "other", finished.stage_two, 1)
    with pytest.raises(UserError, match="cannot be made"):
        train_EDE_Net.compare(net, other, output=str(empty / "file"))
