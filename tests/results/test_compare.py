"""The comparison of several runs: which are one line, what tells the lines apart, and what is refused."""

import json
from pathlib import Path

import examples
import pytest

from tests.results.conftest import words
from utils.results import compare
from utils.running.errors import UserError


def folder(path, results):
    """A results folder with these results."""
    path.mkdir(parents=True)
    (path / "results.json").write_text(json.dumps(results))
    return str(path)


def grouped(tmp_path, *results):
    return compare.grouped(compare.read([Path(folder(tmp_path / str(n), each)) for n, each in enumerate(results)]))


def labels(tmp_path, *results):
    return [group["label"] for group in grouped(tmp_path, *results)]


# --- groups


def test_runs_that_differ_by_the_seed_only_are_one_line(tmp_path, capsys):
    runs = [examples.stage_two(seed=seed) for seed in (0, 1, 5)] + [examples.stage_two(mixmatch=False)]
    folders = [folder(tmp_path / f"{n}" / "net", each) for n, each in enumerate(runs)]
    groups = compare.compare(*folders)["groups"]
    assert [group["seeds"] for group in groups] == [[0, 1, 5], [0]]
    assert [group["folders"] for group in groups] == [folders[:3], folders[3:]]
    # The accuracies of the seeds are 65, 66 and 70 percent: mean 67, squared deviations 4 + 1 + 9 over 2.
    assert groups[0]["average_incremental_accuracy"] == {"mean": 67.0, "deviation": pytest.approx(7**0.5)}
    assert groups[0]["last_within_task_accuracy"]["mean"] == 82.0
    assert groups[1]["last_task_confusion"] == {"mean": 11.0, "deviation": None}
    assert groups[0]["parameters"] == {"mean": 192_000, "deviation": 0.0}
    printed = capsys.readouterr().out
    assert "67.0 ± 2.6" in printed
    assert all(each in printed for each in folders)
    written = tmp_path / "comparison"
    assert (written / "comparison.pdf").read_bytes().startswith(b"%PDF")
    assert {path.name for path in written.iterdir()} == {f"comparison.{end}" for end in ("json", "md", "png", "pdf")}
    assert json.loads((written / "comparison.json").read_text())["groups"] == groups


def test_the_compared_curves_are_mean_and_deviation(tmp_path, drawn):
    folders = [folder(tmp_path / str(seed) / "net", examples.stage_two(seed=seed)) for seed in (0, 2)]
    compare.compare(*folders)
    curve, *_ = drawn["comparison"].axes[0].lines
    assert curve.get_ydata() == pytest.approx([71, 66, 61])
    [bars] = drawn["comparison"].axes[0].collections
    assert [segment[0][1] for segment in bars.get_segments()] == pytest.approx([each - 2**0.5 for each in (71, 66, 61)])


def test_the_same_seed_twice_is_no_repetition(tmp_path):
    """Such runs differ in something that no option tells: they stay apart, and their folders tell which is which."""
    groups = grouped(tmp_path, examples.stage_two(), examples.stage_two())
    assert [group["seeds"] for group in groups] == [[0], [0]]
    assert [group["label"] for group in groups] == [f"EDE-Net ({tmp_path / number})" for number in "01"]


# --- labels


def test_runs_that_differ_in_stage_one_are_told_apart_by_it(tmp_path):
    runs = [
        examples.stage_two(seed=seed, stage_one={**examples.STAGE_ONE, "lambda_u": weight})
        for weight in (1.0, 10.0)
        for seed in (0, 1)
    ]
    groups = grouped(tmp_path, *runs)
    assert [group["label"] for group in groups] == ["lambda_u=1.0", "lambda_u=10.0"]
    assert [group["seeds"] for group in groups] == [[0, 1], [0, 1]]


def test_an_option_of_both_stages_is_told_of_the_one_it_differs_in(tmp_path):
    other = {**examples.STAGE_ONE, "weight_decay": 0.0}
    plain, first = examples.stage_two(), examples.stage_two(stage_one=other)
    both = examples.stage_two(stage_one=other, weight_decay=0.0)
    told = labels(tmp_path, plain, first, both)
    assert told == ["weight_decay=0.0005", "weight_decay=0.0005 (0.0 in stage one)", "weight_decay=0.0"]


def test_what_decides_no_sub_model_is_no_difference(tmp_path):
    """Compression may have been left out, or have its recipe named otherwise, when stage one was called last."""
    other = examples.stage_two(seed=1, stage_one={**examples.STAGE_ONE, "prune": False, "recipe": "cpu"})
    assert len(grouped(tmp_path, examples.stage_two(), other)) == 1


def test_baselines_are_compared_by_their_kind(tmp_path):
    groups = grouped(
        tmp_path,
        examples.stage_two(),
        examples.baseline("replay", rehearsal_size=30),
        examples.baseline("joint"),
        examples.baseline("joint", seed=1),
        examples.baseline("replay", rehearsal_size=9),
    )
    assert [group["label"] for group in groups] == [
        "EDE-Net, rehearsal_size=30",
        "Baseline: replay, rehearsal_size=30",
        "Baseline: joint",
        "Baseline: replay, rehearsal_size=9",
    ]
    assert [len(group["seeds"]) for group in groups] == [1, 1, 2, 1]


def test_what_the_runs_are_and_how_they_were_selected_is_told_in_table_and_figure(tmp_path, drawn):
    results = [examples.baseline("joint"), *(examples.stage_two(selection=name) for name in ("test", "validation"))]
    compare.compare(*[folder(tmp_path / str(n) / "net", each) for n, each in enumerate(results)])
    for told in ((tmp_path / "comparison" / "comparison.md").read_text(), " ".join(words(drawn["comparison"]))):
        for note in ("the protocol forbids", "SELECTED ON THE TEST SET", "held-out training images"):
            assert note in told
        assert "EDE-Net, selection=test" in told


# --- what is refused


def test_folders_that_cannot_be_compared_are_named(tmp_path):
    net, other = (folder(tmp_path / str(seed), examples.stage_two(seed=seed)) for seed in (0, 1))
    first = folder(tmp_path / "first", examples.stage_one())
    sequence = folder(tmp_path / "sequence", examples.sequence_two())
    for folders, output, message in (
        ([net], None, "two or more"),
        ([net, 5], None, "5"),
        ([net, f"{net}/"], None, "each once"),
        ([net, str(tmp_path / "nowhere")], None, "nowhere.* is not there"),
        ([net, first], None, "results of stage two on a split"),
        ([net, sequence], None, "results of stage two on a split"),
        ([net, other], 7, "output=7"),
    ):
        with pytest.raises(UserError, match=message) as caught:
            compare.compare(*folders, output=output)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("seen_accuracy", [50.0]),
        ("parameters", []),
        ("forgetting", "none"),
        ("configuration", {**examples.STAGE_TWO, "split_list": None}),
        ("stage_one", "none"),
    ],
)
def test_results_of_another_form_are_one_line(tmp_path, name, value):
    whole = folder(tmp_path / "a", examples.stage_two())
    other = folder(tmp_path / "b", {**examples.stage_two(), name: value})
    with pytest.raises(UserError, match=r"b/results\.json does not hold"):
        compare.compare(whole, other)
