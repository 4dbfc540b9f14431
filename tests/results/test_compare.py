"""The comparison of several runs: which are one line, what tells the lines apart, and what is refused."""

import json

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


def lines(*runs):
    """The lines that runs are put into: the label of each, and its seeds."""
    found = compare.grouped({f"folder {number}": run for number, run in enumerate(runs)})
    return [(group["label"], group["seeds"]) for group in found]


def test_runs_that_differ_by_the_seed_only_are_one_line_of_mean_and_deviation(tmp_path, drawn, capsys):
    runs = [examples.stage_two(seed=seed) for seed in (0, 1, 5)] + [examples.stage_two(mixmatch=False)]
    folders = [folder(tmp_path / f"{n}" / "net", each) for n, each in enumerate(runs)]
    groups = compare.compare(*folders)["groups"]
    assert [group["seeds"] for group in groups] == [[0, 1, 5], [0]]
    assert [group["folders"] for group in groups] == [folders[:3], folders[3:]]
    # The accuracies of the seeds are 65, 66 and 70 percent: mean 67, squared deviations 4 + 1 + 9 over 2.
    assert groups[0]["average_incremental_accuracy"] == {"mean": 67.0, "deviation": pytest.approx(7**0.5)}
    assert groups[1]["last_task_confusion"] == {"mean": 11.0, "deviation": None}
    printed = capsys.readouterr().out
    assert "67.0 ± 2.6" in printed
    assert all(each in printed for each in folders)
    written = tmp_path / "comparison"
    assert {path.name for path in written.iterdir()} == {f"comparison.{end}" for end in ("json", "md", "png", "pdf")}
    assert json.loads((written / "comparison.json").read_text())["groups"] == groups
    [axes] = drawn["comparison"].axes
    assert axes.lines[0].get_ydata() == pytest.approx([72, 67, 62])
    ends = [segment[0][1] for segment in axes.collections[0].get_segments()]
    assert ends == pytest.approx([each - 7**0.5 for each in (72, 67, 62)])


def test_the_same_seed_twice_is_no_repetition():
    """Such runs differ in something that no option tells: they stay apart, and their folders tell which is which."""
    found = lines(examples.stage_two(), examples.stage_two())
    assert found == [("EDE-Net (folder 0)", [0]), ("EDE-Net (folder 1)", [0])]


def test_runs_that_differ_in_stage_one_are_told_apart_by_it_but_not_by_what_decides_no_sub_model():
    """Compression may have been left out, or have its recipe named otherwise, when stage one was called last."""
    first, again = examples.STAGE_ONE, {**examples.STAGE_ONE, "prune": False, "recipe": "cpu"}
    other = {**examples.STAGE_ONE, "lambda_u": 1.0, "weight_decay": 0.0}
    runs = [(0, first), (1, again), (0, other), (1, other)]
    found = lines(
        *(examples.stage_two(seed=seed, stage_one=stage_one) for seed, stage_one in runs),
        examples.stage_two(stage_one=other, weight_decay=0.0),
    )
    assert found == [
        ("lambda_u=10.0, weight_decay=0.0005", [0, 1]),
        ("lambda_u=1.0, weight_decay=0.0005 (0.0 in stage one)", [0, 1]),
        ("lambda_u=1.0, weight_decay=0.0", [0]),
    ]


def test_baselines_are_compared_by_their_kind():
    found = lines(
        examples.stage_two(),
        examples.baseline("replay", rehearsal_size=30),
        *(examples.baseline("joint", seed=seed) for seed in (0, 1)),
        examples.baseline("replay", rehearsal_size=9),
    )
    assert found == [
        ("EDE-Net, rehearsal_size=30", [0]),
        ("Baseline: replay, rehearsal_size=30", [0]),
        ("Baseline: joint", [0, 1]),
        ("Baseline: replay, rehearsal_size=9", [0]),
    ]


def test_what_the_runs_are_and_how_they_were_selected_is_told_in_table_and_figure(tmp_path, drawn):
    results = [examples.baseline("joint"), *(examples.stage_two(selection=name) for name in ("test", "validation"))]
    compare.compare(*[folder(tmp_path / str(n) / "net", each) for n, each in enumerate(results)])
    for told in ((tmp_path / "comparison" / "comparison.md").read_text(), words(drawn["comparison"])):
        for note in ("the protocol forbids", "SELECTED ON THE TEST SET", "EDE-Net, selection=test"):
            assert note in told


def test_folders_that_cannot_be_compared_are_named(tmp_path):
    net, other = (folder(tmp_path / str(seed), examples.stage_two(seed=seed)) for seed in (0, 1))
    for folders, output, message in (
        ([net, f"{net}/"], None, "each once"),
        ([net, str(tmp_path / "nowhere")], None, "nowhere.* is not there"),
        ([net, other], 7, "output=7"),
    ):
        with pytest.raises(UserError, match=message):
            compare.compare(*folders, output=output)


@pytest.mark.parametrize(
    "wrong",
    [
        examples.stage_one(),
        examples.sequence_two(),
        {**examples.stage_two(), "seen_accuracy": [50.0]},
        {**examples.stage_two(), "parameters": []},
        {**examples.stage_two(), "forgetting": "none"},
        {**examples.stage_two(), "configuration": {**examples.STAGE_TWO, "split_list": None}},
        {**examples.stage_two(), "configuration": {**examples.STAGE_TWO, "selection": "none", "seed": []}},
        {**examples.stage_two(), "stage_one": "none"},
    ],
)
def test_results_of_another_form_are_one_line(tmp_path, wrong):
    whole, other = folder(tmp_path / "a", examples.stage_two()), folder(tmp_path / "b", wrong)
    with pytest.raises(UserError, match=r"b/results\.json does not hold the results of stage two on a split"):
        compare.compare(whole, other)
