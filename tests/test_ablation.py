"""The ablation: every cell is the run that its own commands make; table and figure are those of the runs."""

import json
import re
import shutil
from statistics import mean, stdev
from types import SimpleNamespace

import pytest
import torch

import train_classifier
import train_EDE_Net
from models import EDENet
from utils import ablation, checkpoint, command, figures, plotting, recipes
from utils.console import Console
from utils.errors import UserError

pytestmark = pytest.mark.usefixtures("without_figures")

PARTS = [(m, c, s) for m in (True, False) for c in (True, False) for s in (True, False)]
SPLIT = {"split_list": [0, 3, 6], "split_type": "s0-t2"}
SHORT = {"epochs": 1, "distill_epochs": 1, "finetune_epochs": 1}
SEEDS = [3, 0]
FOLDER = "ablation_cifar100_s0-t2_rehearsal_12"
NET, JOINED = "EDE_Net_cifar100_s0-t2_resnet18_rehearsal_12", "baseline_concatenate_cifar100_s0-t2_resnet18"


@pytest.fixture(scope="module")
def ran(tiny_options, tmp_path_factory) -> SimpleNamespace:
    """The whole grid over two seeds."""
    root = tmp_path_factory.mktemp("ablation")
    options = {**tiny_options, **SHORT, **SPLIT, "rehearsal_size": 12}
    with pytest.MonkeyPatch.context() as patch:
        for name in ("classifiers", "ede_net"):
            patch.setattr(figures, name, lambda *arguments: None)
        content = train_EDE_Net.ablation(**options, seeds=SEEDS, checkpoint_root=str(root))
    return SimpleNamespace(root=root, folder=root / FOLDER, options=options, content=content)


def cell_folder(ran, seed, mixmatch, compression, stage_two):
    name = f"{'mixmatch' if mixmatch else 'supervised'}_{'compressed' if compression else 'uncompressed'}"
    joined = JOINED + ("_mixmatch" if mixmatch else "")
    return ran.folder / f"seed_{seed}" / name / (NET if stage_two else joined)


def results_of(ran, seed, *parts):
    return json.loads((cell_folder(ran, seed, *parts) / "results.json").read_text())


def same_networks(one, other):
    stages = [path.name for path in sorted(one.glob("stage_*.pt"))]
    assert stages == ["stage_1.pt", "stage_2.pt"]
    for stage in stages:
        a, b = (EDENet.load(folder / stage).state_dict() for folder in (one, other))
        if a.keys() != b.keys() or not all(torch.equal(a[name], b[name]) for name in a):
            return False
    return True


# --- the grid


def test_the_grid_is_all_combinations():
    cells = [(cell.mixmatch, cell.compression, cell.stage_two) for cell in ablation.CELLS]
    assert cells == PARTS
    assert [(cell["mixmatch"], cell["compression"], cell["stage_two"]) for cell in ablation.summary(
        {cell: [RESULTS] for cell in ablation.CELLS}, 12)["cells"]] == PARTS  # fmt: skip


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(("mixmatch", "compression", "stage_two"), PARTS)
def test_every_cell_is_a_run_of_these_parts_and_this_seed(ran, seed, mixmatch, compression, stage_two):
    results = results_of(ran, seed, mixmatch, compression, stage_two)
    configuration = results["configuration"]
    assert (configuration["seed"], configuration["mixmatch"], configuration["prune"]) == (seed, mixmatch, compression)
    assert results["stage_one"]["mixmatch"] == mixmatch
    assert (results["widths"] == [[4, 6, 8, 10]] * 2) == (not compression)
    assert [len(history) for history in results["history"]] == [0, int(stage_two)]


@pytest.mark.parametrize(("mixmatch", "compression"), [(True, True), (False, False)])
def test_a_cell_equals_the_separate_runs(ran, tmp_path, mixmatch, compression):
    options = {**ran.options, "seed": 3, "mixmatch": mixmatch, "prune": compression, "checkpoint_root": str(tmp_path)}
    size = options.pop("rehearsal_size")
    train_classifier.train_model(**options)
    train_EDE_Net.train_model(**options, rehearsal_size=size)
    train_EDE_Net.baseline("concatenate", **options)
    for stage_two in (True, False):
        folder = cell_folder(ran, 3, mixmatch, compression, stage_two)
        assert same_networks(folder, tmp_path / folder.name)
    assert not same_networks(cell_folder(ran, 3, True, True, True), cell_folder(ran, 0, True, True, True))


def test_stage_one_is_trained_once_for_all_cells_that_share_it(ran):
    for seed in SEEDS:
        found = {path.name for path in (ran.folder / f"seed_{seed}").glob("classifier_*")}
        assert found == {"classifier_cifar100_s0-t2_resnet18_mixmatch", "classifier_cifar100_s0-t2_resnet18"}
        sources = [
            checkpoint.read(cell_folder(ran, seed, True, True, stage_two) / "stage_2.pt", "ede_net")["submodels"]
            for stage_two in (True, False)
        ]
        assert sources[0] == sources[1]
    assert not list(ran.folder.glob("seed_*/*/classifier_*"))


def test_called_again_nothing_is_trained(ran, tmp_path, monkeypatch):
    shutil.copytree(ran.folder / "seed_3", tmp_path / FOLDER / "seed_3")
    lines, note = [], Console.note

    def noting(self, line):
        lines.append(line)
        note(self, line)

    monkeypatch.setattr(Console, "note", noting)
    content = train_EDE_Net.ablation(**ran.options, seeds=[3], checkpoint_root=str(tmp_path))
    assert lines
    assert not [line for line in lines if ", loss" in line]
    for cell, parts in zip(content["cells"], PARTS, strict=True):
        assert cell["last_accuracy"] == {"mean": results_of(ran, 3, *parts)["last_accuracy"], "deviation": None}


# --- the table and the figure


@pytest.mark.parametrize(("index", "parts"), [*enumerate(PARTS)])
def test_means_and_deviations_are_those_of_the_runs(ran, index, parts):
    cell, runs = ran.content["cells"][index], [results_of(ran, seed, *parts) for seed in SEEDS]
    assert (cell["mixmatch"], cell["compression"], cell["stage_two"]) == parts
    assert cell["seeds"] == SEEDS
    for name in ("average_incremental_accuracy", "last_accuracy", "forgetting"):
        values = [each[name] for each in runs]
        assert cell[name] == {"mean": pytest.approx(mean(values)), "deviation": pytest.approx(stdev(values))}
    assert cell["parameters"]["mean"] == mean(each["parameters"][-1] for each in runs)


def test_the_table_has_a_row_for_every_cell(ran, capsys):
    text = (ran.folder / "ablation.md").read_text()
    assert text == ablation.table(ran.content)
    header, _, *rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")
    ]
    assert header == ["MixMatch", "compression", "stage two", "seeds", "average", "last", "forgetting", "parameters"]
    assert [tuple(cell == "yes" for cell in row[:3]) for row in rows] == PARTS
    for row, cell in zip(rows, ran.content["cells"], strict=True):
        average = cell["average_incremental_accuracy"]
        assert row[3:5] == ["2", f"{average['mean']:.1f} ± {average['deviation']:.1f}"]
    assert "Seeds 3, 0" in text
    assert "held-out" in text


def test_what_is_returned_is_what_is_written(ran):
    assert json.loads((ran.folder / "ablation.json").read_text()) == json.loads(json.dumps(ran.content))
    assert (ran.folder / "ablation.pdf").read_bytes().startswith(b"%PDF")
    assert (ran.folder / "ablation.png").is_file()


RESULTS = {
    "configuration": {"dataset": "cifar100", "split_type": "s0-t2", "split_list": [0, 3, 6], "seed": 0,
                      "selection": "test", "recipe": "cpu"},
    "seen_accuracy": [50.0, 40.0],
    "parameters": [1, 2],
    "average_incremental_accuracy": 45.0,
    "last_accuracy": 40.0,
    "forgetting": None,
    "backward_transfer": None,
}  # fmt: skip


def test_the_figure_shows_the_means_and_selection_on_the_test_set_is_named(tmp_path, monkeypatch):
    from matplotlib.text import Text

    drawn = []
    monkeypatch.setattr(plotting, "_save", lambda figure, path, formats: drawn.append(figure))
    found = {
        cell: [{**RESULTS, "average_incremental_accuracy": 30.0 + 5 * index}]
        for index, cell in enumerate(ablation.CELLS)
    }
    content = ablation.summary(found, 12)
    ablation.draw(tmp_path / "ablation", content)
    average, last = drawn[0].axes
    heights = {round(bar.get_x() + bar.get_width() / 2, 6): bar.get_height() for bar in average.patches}
    expected = {place + 0.2: 30.0 + 10 * place for place in range(4)}
    assert heights == expected | {place - 0.2: 35.0 + 10 * place for place in range(4)}
    assert {bar.get_height() for bar in last.patches} == {40.0}
    words = [" ".join(text.get_text().split()) for text in drawn[0].findobj(Text)]
    assert any("SELECTED ON THE TEST SET" in text for text in words)
    assert sum(bool(re.fullmatch(r"\d+\.\d", text)) for text in words) >= 16
    assert "–" in ablation.table(content), "no forgetting after one task"


# --- what is refused


@pytest.mark.parametrize("seeds", [[], [0, 0], [0, -1], [2**32], [True], [1.0], ["0"], 3, "012", None, {0, 1}], ids=str)
def test_seeds_that_are_no_list_of_different_seeds_are_refused(tiny_options, tmp_path, seeds):
    with pytest.raises(UserError, match="seeds=") as caught:
        train_EDE_Net.ablation(**tiny_options, **SPLIT, seeds=seeds, checkpoint_root=str(tmp_path))
    assert str(caught.value).isprintable()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"seed": 1}, r"seed=1.*give seeds="),
        ({"classifier_root": "there"}, r"classifier_root='there'.*give checkpoint_root"),
        ({"rehearsal_size": 2}, "rehearsal_size=2"),
        ({"epoch": 2}, 'did you mean "epochs"'),
        ({"split_list": [0, 3, 12]}, "split"),
    ],
    ids=str,
)
def test_what_does_not_fit_is_refused_before_anything_is_trained(tiny_options, tmp_path, option, message):
    options = {**tiny_options, **SPLIT, "split_type": None, "checkpoint_root": str(tmp_path), **option}
    with pytest.raises(UserError, match=message):
        train_EDE_Net.ablation(**options)
    assert list(tmp_path.iterdir()) == []


def test_the_command_line_takes_it():
    text = 'ablation(split_type="s0-t10", rehearsal_size=2000, seeds=[0, 1, 2])'
    call = command.parse_call(text, [train_EDE_Net.ablation], recipes.NAMES)
    assert call.keywords["seeds"] == [0, 1, 2]
