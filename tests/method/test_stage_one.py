"""Stage one, end to end on tiny stand-in data."""

import json

import pytest
import torch

import train_classifier
from datasets import catalog
from models import cost
from tests.method.runs import answers, images_of, networks, noting_trainings, rows
from tests.models.networks import same_state
from utils.method import training
from utils.running import checkpoint

pytestmark = pytest.mark.usefixtures("without_figures")

NAMES = ["0to3", "3to6", "6to9"]


def stage_one(finished, root, **more):
    return train_classifier.train_model(**{**finished.options, **more}, checkpoint_root=str(root))


def test_a_task_leaves_its_temporary_network_and_its_compressed_one_and_the_results_are_theirs(finished):
    models, (images, labels) = networks(finished.classifier), images_of(finished.options, "test")
    assert [*models] == [f"model_{name}{end}.pt" for name in NAMES for end in ("", "_prune")]
    assert not (finished.classifier / "unfinished").exists()
    for task, name in enumerate(NAMES):
        before, after = models[f"model_{name}.pt"], models[f"model_{name}_prune.pt"]
        record = json.loads((finished.classifier / f"model_{name}_prune.json").read_text())
        assert record["made_from"]["teacher"] == checkpoint.fingerprint(before.state_dict()), "the unpruned network"
        assert before.widths == (4, 6, 8, 10)
        assert all(narrow <= wide for narrow, wide in zip(after.widths, before.widths, strict=True))
        assert cost.parameters(after) < cost.parameters(before)
        for when, model in (("before", before), ("after", after)):
            result, own = finished.stage_one["tasks"][task][when], labels // 3 == task
            assert result["widths"] == list(model.widths)
            assert (result["parameters"], result["flops"]) == (cost.parameters(model), cost.flops(model))
            right = answers(model, images[own]) == labels[own] % 3
            assert result["test_accuracy"] == pytest.approx(100 * float(right.double().mean()))


def test_the_epoch_is_chosen_on_held_out_training_images(finished, tmp_path, monkeypatch):
    """No image that judges an epoch is trained on, and none is of the test set."""
    trainings, judged, accuracy = noting_trainings(monkeypatch), [], training.accuracy
    monkeypatch.setattr(training, "accuracy", lambda net, images: judged.append(images) or accuracy(net, images))
    two_tasks = {"split_list": [0, 3, 6], "split_type": None}
    stage_one(finished, tmp_path, epochs=1, prune=False, mixmatch=False, **two_tasks)
    first, second = trainings
    assert not same_state(first.state, second.state), "each task begins with weights of its own"
    train, train_labels = images_of(finished.options, "train")
    for task, (training_of, judge) in enumerate(zip(trainings, judged[::2], strict=True)):
        part, current = training_of.batches.parts[0], (train_labels >= 3 * task) & (train_labels < 3 * task + 3)
        everything = rows(train[current], train_labels[current] - 3 * task)
        assert sorted(rows(part.images, part.labels) + rows(judge.images, judge.labels)) == everything
        assert sorted(judge.labels.tolist()) == [0, 1, 2], "a tenth of twelve"


def test_selection_on_the_test_set_judges_by_it_and_is_part_of_what_a_network_is_made_from(finished, tmp_path):
    results = stage_one(finished, tmp_path, selection="test", epochs=1, prune=False, split_list=[0, 3], split_type=None)
    assert results["configuration"]["selection"] == "test"
    [task] = results["tasks"]
    assert task["before"]["selection_accuracy"] == task["before"]["test_accuracy"]
    record = json.loads(next(tmp_path.rglob("model_0to3.json")).read_text())["made_from"]
    assert (record["selection"], bool(record["test images"])) == ("test", True)


def test_mixmatch_trains_on_two_views_of_another_set_and_plain_training_reads_none(finished, tmp_path, monkeypatch):
    trainings = noting_trainings(monkeypatch)
    shorter = {"split_list": [0, 3], "split_type": None, "epochs": 1}
    stage_one(finished, tmp_path, **shorter)
    assert len(trainings) == 2, "of the temporary network and of its student"
    for each in trainings:
        labelled, unlabelled = each.batches.parts
        assert torch.equal(unlabelled.images, images_of(finished.options, "train", "cifar10")[0])
        assert (unlabelled.labels, unlabelled.views, labelled.views) == (None, 2, 1)
        assert (labelled.size, unlabelled.size, each.batches.steps_per_epoch) == (16, 8, 33 // 16)
        assert labelled.transform.flip
    load = catalog.load
    monkeypatch.setattr(catalog, "load", lambda name, *rest: load(name, *rest) if name != "cifar10" else 1 / 0)
    results = stage_one(finished, tmp_path, **shorter, mixmatch=False, max_rounds=0)
    assert [len(each.batches.parts) for each in trainings[2:]] == [1]
    assert same_state(*networks(next(tmp_path.glob("classifier_*resnet18"))).values()), "no round, the unpruned network"
    assert results["tasks"][0]["after"]["rounds"] == []


def test_the_seed_and_the_class_order_decide(finished, tmp_path):
    shorter = {"split_list": [0, 4], "split_type": None, "epochs": 1, "prune": False}
    order = [8, 2, 5, 0, 7, 1, 4, 3, 6]
    one = stage_one(finished, tmp_path / "a", **shorter, class_order=order)
    train = catalog.load("cifar100", finished.options["data_root"], "train")
    assert one["tasks"][0]["classes"] == [train.class_names[k] for k in order[:4]]
    stage_one(finished, tmp_path / "b", **shorter, class_order=order, seed=1)
    first, second = (networks(next((tmp_path / root).iterdir()))["model_0to4.pt"] for root in ("a", "b"))
    assert not torch.equal(first.stem.weight, second.stem.weight)
