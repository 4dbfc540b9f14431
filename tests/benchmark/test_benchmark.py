"""The benchmark, in tiny: its numbers make sense, and both sides of its ratios do the same work."""

import contextlib
import io
import json
import math
from collections import Counter
from dataclasses import replace

import pytest
import torch
from torch import nn

from tests.benchmark import __main__ as benchmark
from tests.benchmark import obvious, training
from tests.benchmark.figure import Figure, Plan, alternate, with_amp
from utils.running.options import settings

SETTINGS = settings({"batch_size": 8, "unlabeled_batch_size": 4, "finetune_batch_size": 8, "amp": "off"})
TINY = Plan(
    settings=SETTINGS,
    repeats=1,
    narrow=(4, 6, 8, 10),
    wide=(6, 8, 10, 12),
    narrow_steps=2,
    compressed=(4, 6, 6, 8),
    odd=((4, 5, 6, 7),),
    joined=2,
    submodels=(1, 3),
    single_steps=3,
    pictures=8,
    batches=1,
    split=(0, 3, 6),
    train_per_class=6,
    test_per_class=2,
    unlabelled_per_class=2,
)


@pytest.fixture
def calls(monkeypatch):
    """Counts updates, and by `watch` the rows of every forward pass of a network."""
    counted = Counter()
    step = torch.optim.Adam.step

    def counted_step(*arguments, **options):
        counted["updates"] += 1
        return step(*arguments, **options)

    def watch(model: nn.Module, name: str) -> None:
        def count(module, inputs):
            counted[name, len(inputs[0]), torch.is_grad_enabled()] += 1

        model.register_forward_pre_hook(count)

    monkeypatch.setattr(torch.optim.Adam, "step", counted_step)
    counted.watch = watch
    return counted


COMPARISONS = {
    "stage one": lambda: training.stage_one_comparison(TINY, TINY.narrow, 3),
    "distillation": lambda: training.stage_one_comparison(TINY, TINY.compressed, 2, teacher_widths=TINY.narrow),
    "stage two": lambda: training.stage_two_comparison(TINY),
}


@pytest.mark.parametrize("name", COMPARISONS)
def test_the_bare_side_makes_the_same_forward_passes_and_updates(name, calls):
    comparison = COMPARISONS[name]()
    calls.watch(comparison.model, "model")
    if comparison.teacher is not None:
        calls.watch(comparison.teacher, "teacher")
    comparison.epoch()
    trained = dict(calls)
    calls.clear()
    comparison.bare()
    assert dict(calls) == trained
    assert trained["updates"] == comparison.steps
    assert ("teacher", 16, False) in trained or name != "distillation"


@pytest.mark.parametrize("name", COMPARISONS)
def test_both_sides_update_every_weight(name):
    comparison = COMPARISONS[name]()
    for side in (comparison.epoch, comparison.bare):
        before = [parameter.clone() for parameter in comparison.model.parameters()]
        side()
        after = comparison.model.parameters()
        assert not any(torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_the_obvious_way_trains_as_often_on_as_many_rows(calls):
    plain = obvious.ObviousMixMatch(TINY, TINY.narrow, 3)
    calls.watch(plain.model, "model")
    loss, accuracy = plain.epoch()
    assert math.isfinite(loss)
    assert 0 <= accuracy <= 100
    # A step: two guesses, the labelled rows, and either view. Then the test images: a fifth of 24, in one batch.
    assert dict(calls) == {
        "updates": 3,
        ("model", 4, False): 6,
        ("model", 8, True): 3,
        ("model", 4, True): 6,
        ("model", 5, False): 1,
    }


def test_the_obvious_way_learns():
    """An honest opponent: on images that can be told apart, its loss falls."""
    torch.manual_seed(0)
    plan = replace(TINY, settings=settings({"batch_size": 8, "unlabeled_batch_size": 4, "lr": 5e-3, "alpha": 0.1}))
    plain = obvious.ObviousMixMatch(plan, plan.narrow, 4)
    labelled = plain.loaders["labelled"].dataset
    for array, label in zip(labelled.arrays, labelled.classes, strict=True):
        array[:] = 25 * label
    losses = [plain.epoch()[0] for _ in range(30)]
    assert sum(losses[-5:]) < 0.8 * sum(losses[:5])


def test_the_recipe_evaluates_every_tenth_epoch_and_the_last():
    assert obvious.evaluated_share(Plan()) == (40 + 4) / 400


def test_the_sides_take_turns():
    order = []
    times = alternate([lambda: order.append("a"), lambda: order.append("b")], Plan(repeats=3))
    assert "".join(order) == "abbaabba"
    assert [len(side) for side in times] == [3, 3]


@pytest.mark.parametrize(
    ("ratios", "bounds", "bound", "holds"),
    [
        ([1.0, 1.04, 2.0], {"at_most": 1.05}, "<= 1.05", True),
        ([1.0, 1.06, 1.07], {"at_most": 1.05}, "<= 1.05", False),
        ([24.0, 25.0, 26.0], {"at_least": 25.0}, ">= 25.00", True),
        ([24.0], {"at_least": 25.0}, ">= 25.00", False),
        ([24.0], {}, None, None),
    ],
)
def test_the_median_is_held_against_the_bound(ratios, bounds, bound, holds):
    figure = Figure("name", "meaning", ratios, **bounds)
    assert (figure.bound, figure.holds) == (bound, holds)


@pytest.fixture(scope="module")
def output(tmp_path_factory):
    """(what is printed, what the file holds) when all figures are measured, tiny."""
    path = tmp_path_factory.mktemp("benchmark") / "figures.json"
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        benchmark.main(["--json", str(path)], TINY)
    return printed.getvalue(), path.read_text()


def test_every_figure_is_a_number(output):
    printed, written = output
    found = json.loads(written)
    assert json.loads(printed.splitlines()[0]) == found
    assert found["device"] == "cpu"
    assert found["threads"] == 1
    figures = {figure["name"]: figure for figure in found["figures"]}
    assert len(figures) == len(found["figures"])
    for figure in figures.values():
        for name in ("min", "ratio", "max"):
            assert math.isfinite(figure[name])
            assert figure[name] > 0
        assert figure["min"] <= figure["ratio"] <= figure["max"]
        assert (figure["bound"] is None) == (figure["holds"] is None)


def test_every_bound_is_there(output):
    bounds = {figure["name"]: figure["bound"] for figure in json.loads(output[1])["figures"]}
    bounds.pop("memory", None)  # measured on Linux alone
    assert bounds == {
        "augmentation": ">= 25.00",
        "stage one 4-6-8-10": "<= 1.05",
        "stage one 6-8-10-12": "<= 1.02",
        "distillation 4-6-6-8 from 4-6-8-10": "<= 1.06",
        "stage two 2 of 4-6-6-8": "<= 1.06",
        "1 sub-model 4-6-6-8": "<= 1.05",
        "3 sub-models 4-6-6-8": "<= 1.05",
        'epoch 4-6-8-10, amp="off"': "<= 0.60",
        "epoch 4-6-8-10, bare float32 steps": None,
        'epoch 6-8-10-12, amp="off"': "<= 0.90",
        "epoch 6-8-10-12, bare float32 steps": None,
        "widths 4-5-6-7 / 4-6-8-8": None,
    }


def test_an_epoch_that_is_cast_is_held_against_the_bound_and_float32_is_told_beside_it():
    plan = replace(TINY, settings=with_amp(SETTINGS, "bfloat16"))
    narrow = obvious.epoch_figures(plan)[:3]
    assert {figure.name: figure.bound for figure in narrow} == {
        'epoch 4-6-8-10, amp="bfloat16"': "<= 0.60",
        'epoch 4-6-8-10, amp="off"': None,
        "epoch 4-6-8-10, bare float32 steps": None,
    }


def test_figures_are_measured_by_name(capsys):
    benchmark.main(["--only", "augmentation", "--repeats", "2"], TINY)
    found = json.loads(capsys.readouterr().out.splitlines()[0])
    assert [(figure["name"], figure["repeats"]) for figure in found["figures"]] == [("augmentation", 2)]
