"""The benchmark and the fuzzing, in tiny: both sides of a ratio do the same work; damage ends in one clear line."""

import json
import math
import shutil
from collections import Counter

import torch

from tests.benchmark import __main__ as benchmark
from tests.benchmark import fuzz
from tests.benchmark.figure import Plan
from tests.benchmark.training import bare, joined, network, obvious, passes_of, stage_one, stage_two
from utils.running.options import settings

FEW = settings({"batch_size": 8, "unlabeled_batch_size": 4, "finetune_batch_size": 8, "amp": "off"})
WIDTHS = {"narrow": (4, 6, 8, 10), "wide": (6, 8, 10, 12), "compressed": (4, 6, 6, 8)}
TINY = Plan(FEW, repeats=1, steps=2, classes=20, per_class=5, **WIDTHS)


def test_the_bare_side_makes_the_passes_of_every_step_and_updates_every_weight():
    one, two = stage_one(network(TINY.narrow, TINY), 3, TINY), stage_two(joined(2, TINY), 3, TINY)
    for epoch, passes in ((one, [(8, False), (8, True), (8, True)]), (two, [(8, True)])):
        steps = passes_of(epoch)
        assert [[(len(rows), gradient) for _, rows, gradient in step] for step in steps] == [passes] * 3
        before = [parameter.clone() for parameter in epoch.model.parameters()]
        bare(epoch.model, steps, TINY)
        assert not any(map(torch.equal, before, epoch.model.parameters()))


def test_the_obvious_way_trains_on_as_many_rows():
    model, passes = network(TINY.narrow, TINY), Counter()
    model.register_forward_pre_hook(lambda model, inputs: passes.update([(len(inputs[0]), torch.is_grad_enabled())]))
    obvious(model, 3, TINY)()
    assert passes == {(4, False): 6, (8, True): 3, (4, True): 6}  # two guesses; the labelled rows, and either view


def test_every_figure_is_a_number_and_has_its_bound():
    figures = {figure.pop("name"): figure for figure in benchmark.measure(benchmark.FIGURES, TINY)}
    for figure in figures.values():
        assert 0 < figure["min"] <= figure["ratio"] <= figure["max"] < math.inf
    figures.pop("memory", None)  # measured on Linux alone
    assert {name: figure["at_most"] for name, figure in figures.items()} == {
        "augmentation": 1 / 25,
        "stage one 4-6-8-10": 1.05,
        "stage one 6-8-10-12": 1.02,
        "distillation 4-6-6-8 from 4-6-8-10": 1.06,
        "stage two 3 of 4-6-6-8": 1.06,
        **{f"{count} sub-models 4-6-6-8": 1.05 for count in (2, 5, 10)},
        "epoch 4-6-8-10": 0.60,
        "epoch 6-8-10-12": 0.90,
    }


def test_figures_are_measured_by_name_and_printed_as_json_and_as_a_table(capsys):
    benchmark.main(["--only", "augmentation", "--repeats", "1"])
    line, _, header, _, row = capsys.readouterr().out.splitlines()
    [figure] = json.loads(line)["figures"]
    assert figure["holds"] == (figure["ratio"] <= 1 / 25)
    assert (header.split()[1], row.split()[1]) == ("name", "augmentation")


def test_damaged_files_options_and_calls_end_in_one_clear_line_or_work(finished, stand_in, tmp_path):
    data = shutil.copytree(stand_in, tmp_path / "data")
    run = shutil.copytree(finished.ede_net, tmp_path / "run")
    counts = sum(fuzz.fuzz(data, run, minutes=5, seed=0, most=60).values(), Counter())
    assert set(counts) <= set(fuzz.GOOD)
    assert counts["one clear line"] > 30
