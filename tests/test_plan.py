"""A dry run counts what the run then does, and writes nothing."""

import json
import shutil

import pytest
import torch
from conftest import REHEARSAL, SPLIT, TINY

import train_classifier
import train_EDE_Net
from datasets.augment import Transform
from datasets.batches import Batches, Part
from models import resnet18
from utils import plan
from utils.mixup import supervised
from utils.updates import Optimisation, Updates

OPTIONS = {**SPLIT, **TINY, "evaluate_every": 1}


@pytest.fixture
def stage_one(stand_in, tmp_path, capsys):
    return train_classifier.train_model(
        **OPTIONS, data_root=str(stand_in), checkpoint_root=str(tmp_path / "none"), dry_run=True
    )


def test_a_dry_run_writes_nothing_and_says_so(stage_one, stand_in, tmp_path, capsys):
    train_EDE_Net.train_model(
        **OPTIONS, data_root=str(stand_in), checkpoint_root=str(tmp_path / "none"), rehearsal_size=31, dry_run=True
    )
    assert not (tmp_path / "none").exists()
    out = capsys.readouterr().out
    assert "Dry run: nothing is written" in out
    assert "3 sub-models are not there yet" in out


def test_stage_one_does_what_its_plan_says(stage_one, finished):
    for planned, done in zip(stage_one["tasks"], finished.stage_one["tasks"], strict=True):
        assert planned["task"] == done["task"]
        assert planned["parameters"] == done["before"]["parameters"]
        assert planned["flops"] == done["before"]["flops"]
        # 12 images a class, one held out; 33 of them in batches of 16 are 2 updates an epoch.
        assert planned["images"] == 33
        assert planned["updates"] == 2 * len(done["history"])
        assert planned["round_updates"] == 2 * len(done["rounds"][0]["history"])
        assert planned["seconds"] > 0
        assert planned["round_seconds"] > 0


def test_without_compression_there_are_no_rounds(stand_in, tmp_path, capsys):
    found = train_classifier.train_model(
        **OPTIONS, prune=False, mixmatch=False, data_root=str(stand_in), checkpoint_root=str(tmp_path), dry_run=True
    )
    assert [task["round_updates"] for task in found["tasks"]] == [None] * 3
    assert found["seconds"][0] == found["seconds"][1] == pytest.approx(sum(t["seconds"] for t in found["tasks"]))


def test_stage_two_does_what_its_plan_says(finished, capsys):
    found = train_EDE_Net.train_model(
        **finished.options, checkpoint_root=str(finished.root), rehearsal_size=REHEARSAL, dry_run=True
    )
    results = json.loads((finished.ede_net / "results.json").read_text())
    assert [stage["updates"] for stage in found["stages"]] == [0, 0, 0]
    found = train_EDE_Net.train_model(
        **finished.options,
        checkpoint_root=str(finished.root),
        rehearsal_size=REHEARSAL,
        dry_run=True,
        restart=True,
    )
    assert [stage["parameters"] for stage in found["stages"]] == results["parameters"]
    assert [stage["flops"] for stage in found["stages"]] == results["flops"]
    # 31 exemplars: 10 a class of 3, then 5 a class of 6; in batches of 16, 8 and then 11 of them exemplars.
    assert [stage["exemplars"] for stage in found["stages"]] == [0, 30, 30]
    assert [stage["updates"] for stage in found["stages"]] == [0, 2 * 4, 2 * 3]
    assert "not there yet" not in capsys.readouterr().out


def test_what_is_finished_is_not_planned_again(finished, tmp_path, capsys):
    root = tmp_path / "checkpoints"
    shutil.copytree(finished.root, root)
    options = {**finished.options, "checkpoint_root": str(root), "dry_run": True}
    folder = root / finished.classifier.name
    (folder / "model_3to6_prune.pt").unlink()
    for path in folder.glob("model_6to9*.pt"):
        path.unlink()
    (root / finished.ede_net.name / "stage_3.pt").unlink()
    found = train_classifier.train_model(**options)["tasks"]
    assert [task["updates"] > 0 for task in found] == [False, False, True]
    assert [task["seconds"] > 0 for task in found] == [False, False, True]
    assert [task["round_updates"] > 0 for task in found] == [False, True, True]
    assert [task["round_seconds"] > 0 for task in found] == [False, True, True]
    found = train_EDE_Net.train_model(**options, rehearsal_size=REHEARSAL)["stages"]
    assert (
        [stage["updates"] > 0 for stage in found] == [stage["seconds"] > 0 for stage in found] == [False, False, True]
    )


def test_a_plan_of_a_finished_run_says_so(finished, capsys):
    options = {**finished.options, "checkpoint_root": str(finished.root), "dry_run": True}
    train_classifier.train_model(**options)
    train_EDE_Net.train_model(**options, rehearsal_size=REHEARSAL)
    assert capsys.readouterr().out.count("All of it is finished.") == 2


def test_timing_changes_no_weight():
    model = resnet18(3, (2, 2, 2, 2), seed=0)
    before = {name: value.clone() for name, value in model.named_parameters()}
    images = torch.zeros(4, 3, 32, 32, dtype=torch.uint8)
    batches = Batches([Part(images, torch.tensor([0, 1, 2, 0]), 4, Transform())], 1, key=(0,))
    assert plan.seconds_per_update(Updates(model, batches, supervised, Optimisation(1.0, 0.1, 5.0, "off"))) > 0
    assert all(torch.equal(value, before[name]) for name, value in model.named_parameters())


def test_processes_share_the_tasks_time():
    tasks = [{"seconds": float(s), "round_seconds": 1.0} for s in (5, 1, 2)]
    assert plan._longest_share(tasks, 0, 1) == 8
    assert plan._longest_share(tasks, 2, 1) == 14
    assert plan._longest_share(tasks, 2, 2) == 5 + 2 + 2 * 2
    assert plan._longest_share(tasks, 0, 5) == 5
