"""Both entry functions, end to end, on tiny stand-in data."""

import json
import os
import shutil
import signal

import pytest
import torch

import train_classifier
import train_EDE_Net
from datasets import catalog
from models import EDENet, measure
from utils import checkpoint, figures
from utils.console import Console
from utils.errors import Interrupted, UserError

pytestmark = pytest.mark.usefixtures("without_figures")

BOUNDS = [0, 3, 6, 9]
NAMES = ["0to3", "3to6", "6to9"]


def stage_one(finished, root, **more):
    return train_classifier.train_model(**{**finished.options, **more}, checkpoint_root=str(root))


def stage_two(finished, root, **more):
    options = {**finished.options, "classifier_root": str(finished.root), "rehearsal_size": finished.rehearsal, **more}
    return train_EDE_Net.train_model(**options, checkpoint_root=str(root))


def classifiers(folder):
    return {path.name: checkpoint.load_classifier(path)[0].state_dict() for path in sorted(folder.glob("model_*.pt"))}


def networks(folder):
    return {path.name: EDENet.load(path).state_dict() for path in sorted(folder.glob("stage_*.pt"))}


def identical(one, other):
    """The same files with the same values, bit for bit."""
    return one.keys() == other.keys() and all(
        one[file].keys() == other[file].keys()
        and all(torch.equal(one[file][name], other[file][name]) for name in one[file])
        for file in one
    )


def images_of(finished, part):
    """(images, labels in the order of learning 0, 1, 2, …) of a part of the stand-in."""
    found = catalog.load("cifar100", finished.options["data_root"], part)
    return found.images, found.labels


def correct_one_by_one(model, images, labels):
    with torch.no_grad():
        return sum(
            int(model(image[None] / 255).argmax()) == label
            for image, label in zip(images, labels.tolist(), strict=True)
        )


# --- stage one


def test_stage_one_leaves_the_files_the_issue_names(finished):
    names = {path.name for path in finished.classifier.iterdir() if not path.name.startswith(".")}
    models = {f"model_{name}{ending}.pt" for name in NAMES for ending in ("", "_prune")}
    assert models | {"log.txt", "results.json", "results.md"} <= names
    assert not {name for name in names if "unfinished" in name or name.endswith(".part")}
    assert {name for name in names if name.endswith(".pt")} == models


def test_stage_one_returns_what_it_writes(finished):
    written = json.loads((finished.classifier / "results.json").read_text())
    assert written == json.loads(json.dumps(finished.stage_one))
    assert written["configuration"]["split_list"] == BOUNDS
    assert written["configuration"]["selection"] == "validation"
    assert written["configuration"]["epochs"] == 2


@pytest.mark.parametrize("task", range(3))
def test_stage_ones_results_are_those_of_its_checkpoints(finished, task):
    result, images, labels = finished.stage_one["tasks"][task], *images_of(finished, "test")
    chosen = (labels >= BOUNDS[task]) & (labels < BOUNDS[task + 1])
    assert result["task"] == NAMES[task]
    for when, ending in (("before", ""), ("after", "_prune")):
        model, _ = checkpoint.load_classifier(finished.classifier / f"model_{NAMES[task]}{ending}.pt")
        assert list(model.widths) == result[when]["widths"]
        assert measure.parameters(model) == result[when]["parameters"]
        assert measure.flops(model) == result[when]["flops"]
        correct = correct_one_by_one(model, images[chosen], labels[chosen] - BOUNDS[task])
        assert result[when]["test_accuracy"] == pytest.approx(100 * correct / int(chosen.sum()))
        assert 1 <= result[when]["selected_epoch"] <= 2
        assert result[when]["seconds"] > 0
    assert result["before"]["widths"] == [4, 6, 8, 10]
    assert all(a <= b for a, b in zip(result["after"]["widths"], [4, 6, 8, 10], strict=True))
    assert result["after"]["parameters"] < result["before"]["parameters"]
    assert [attempt["accepted"] for attempt in result["rounds"]] == [True]


def test_the_tables_say_what_the_results_say(finished):
    for folder, results in ((finished.classifier, finished.stage_one), (finished.ede_net, finished.stage_two)):
        table = (folder / "results.md").read_text()
        assert table.count("\n|") >= 4
        assert "held-out" in table
        assert "s0-t3" in table
        assert results["configuration"]["recipe"] in table
    for task in finished.stage_one["tasks"]:
        assert f"{task['before']['test_accuracy']:.1f}" in (finished.classifier / "results.md").read_text()
    table = (finished.ede_net / "results.md").read_text()
    for name in ("average_incremental_accuracy", "last_accuracy", "forgetting", "backward_transfer"):
        assert f"{finished.stage_two[name]:.1f}" in table


def test_the_epoch_is_chosen_on_held_out_training_images(finished, tmp_path, monkeypatch):
    """No image that judges an epoch is trained on, and none is of the test set."""
    test = {image.numpy().tobytes() for image in images_of(finished, "test")[0]}
    seen, made = [], train_classifier.task_images

    def noted(*arguments):
        seen.append(made(*arguments))
        return seen[-1]

    monkeypatch.setattr(train_classifier, "task_images", noted)
    stage_one(finished, tmp_path, epochs=1, prune=False, mixmatch=False)
    assert len(seen) == 3
    for data in seen:
        judged = {image.numpy().tobytes() for image in data.judge[0]}
        trained = {image.numpy().tobytes() for image in data.labelled[0]}
        assert len(judged) == 3
        assert not judged & trained
        assert not judged & test
        assert len(trained) == 33
        assert set(data.labelled[1].tolist()) == {0, 1, 2}, "labels inside the task"


# --- stage two


def test_stage_two_leaves_the_files_the_issue_names(finished):
    names = {path.name for path in finished.ede_net.iterdir() if not path.name.startswith(".")}
    assert {"stage_1.pt", "stage_2.pt", "stage_3.pt", "log.txt", "results.json", "results.md"} <= names
    assert not {name for name in names if "unfinished" in name or name.endswith(".part")}


def test_stage_two_returns_what_it_writes(finished):
    written = json.loads((finished.ede_net / "results.json").read_text())
    assert written == json.loads(json.dumps(finished.stage_two))
    assert written["configuration"]["rehearsal_size"] == finished.rehearsal


def test_the_accuracy_matrix_is_that_of_the_stages_files(finished):
    images, labels = images_of(finished, "test")
    for t in range(3):
        net = EDENet.load(finished.ede_net / f"stage_{t + 1}.pt")
        assert net.num_classes == BOUNDS[t + 1]
        row = []
        for i in range(t + 1):
            chosen = (labels >= BOUNDS[i]) & (labels < BOUNDS[i + 1])
            row.append(100 * correct_one_by_one(net, images[chosen], labels[chosen]) / int(chosen.sum()))
        assert finished.stage_two["accuracy_matrix"][t] == pytest.approx(row)
        seen = labels < BOUNDS[t + 1]
        every = 100 * correct_one_by_one(net, images[seen], labels[seen]) / int(seen.sum())
        assert finished.stage_two["seen_accuracy"][t] == pytest.approx(every)
        assert finished.stage_two["parameters"][t] == measure.parameters(net)
        assert finished.stage_two["flops"][t] == measure.flops(net)


def test_the_measures_are_the_protocols(finished):
    results = finished.stage_two
    A, seen = results["accuracy_matrix"], results["seen_accuracy"]
    assert results["average_incremental_accuracy"] == pytest.approx(sum(seen) / 3)
    assert results["last_accuracy"] == pytest.approx(seen[2])
    forgotten = [max(A[t][i] for t in range(i, 2)) - A[2][i] for i in range(2)]
    assert results["forgetting"] == pytest.approx(sum(forgotten) / 2)
    assert results["backward_transfer"] == pytest.approx(sum(A[2][i] - A[i][i] for i in range(2)) / 2)


@pytest.mark.parametrize("t", [1, 2, 3])
def test_a_stages_file_is_a_whole_network_with_all_that_is_needed(finished, t):
    path = finished.ede_net / f"stage_{t}.pt"
    content = torch.load(path, weights_only=True)
    net = EDENet.load(path)
    names = catalog.load("cifar100", finished.options["data_root"], "train").class_names
    assert content["class_names"] == net.meta["class_names"] == list(names[: BOUNDS[t]])
    assert content["class_order"] == list(range(BOUNDS[t]))
    assert len(content["exemplars"]) == BOUNDS[t]
    assert content["classes_per_task"] == [3] * t
    entry = catalog.CATALOG["cifar100"]
    for submodel in net.submodels:
        torch.testing.assert_close(submodel.mean.flatten(), torch.tensor(entry.mean))
        torch.testing.assert_close(submodel.std.flatten(), torch.tensor(entry.std))


# --- the same again, and otherwise


@pytest.fixture(scope="module")
def again(finished, tmp_path_factory):
    """Both stages a second time, in another folder, with other global random states."""
    root = tmp_path_factory.mktemp("again")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("classifiers", "ede_net"):
            patch.setattr(figures, name, lambda *arguments: None)
        torch.manual_seed(99)
        stage_one(finished, root)
        torch.manual_seed(98)
        stage_two(finished, root, classifier_root=None)
    return root


def test_the_same_seed_gives_bit_identical_checkpoints_in_another_folder(finished, again):
    assert identical(classifiers(finished.classifier), classifiers(again / finished.classifier.name))
    assert identical(networks(finished.ede_net), networks(again / finished.ede_net.name))
    for t in (1, 2, 3):
        one, other = (EDENet.load(r / finished.ede_net.name / f"stage_{t}.pt") for r in (finished.root, again))
        assert one.meta["exemplars"] == other.meta["exemplars"]


def test_the_same_seed_gives_the_same_results(finished, again):
    def timeless(content):
        if isinstance(content, dict):
            return {name: timeless(value) for name, value in content.items() if name != "seconds"}
        return [timeless(value) for value in content] if isinstance(content, list) else content

    for folder in (finished.classifier, finished.ede_net):
        one, other = (json.loads((root / folder.name / "results.json").read_text()) for root in (finished.root, again))
        assert timeless(one) == timeless(other)


def test_another_seed_gives_other_networks(finished, tmp_path):
    stage_one(finished, tmp_path, seed=1, prune=False, epochs=1)
    other = classifiers(tmp_path / finished.classifier.name)
    same = classifiers(finished.classifier)
    assert not any(torch.equal(other[file]["stem.weight"], same[file]["stem.weight"]) for file in other)


def test_without_mixmatch_nothing_unlabelled_is_read_and_the_folder_says_so(finished, tmp_path, monkeypatch):
    load = catalog.load
    monkeypatch.setattr(catalog, "load", lambda name, *rest: load(name, *rest) if name != "cifar10" else 1 / 0)
    options = {"mixmatch": False, "epochs": 1, "finetune_epochs": 1}
    first = stage_one(finished, tmp_path, **options)
    folder = tmp_path / "classifier_cifar100_s0-t3_resnet18"
    assert len(list(folder.glob("model_*_prune.pt"))) == 3
    assert first["configuration"]["mixmatch"] is False
    assert all(task["rounds"] for task in first["tasks"])
    assert "supervised" in (folder / "results.md").read_text()
    second = stage_two(finished, tmp_path, classifier_root=None, **options)
    assert second["configuration"]["mixmatch"] is False
    assert second["widths"] == [task["after"]["widths"] for task in first["tasks"]]


def test_without_pruning_the_temporary_networks_are_joined(finished, tmp_path):
    first = stage_one(finished, tmp_path, prune=False)
    folder = tmp_path / finished.classifier.name
    assert {path.name for path in folder.glob("*.pt")} == {f"model_{name}.pt" for name in NAMES}
    assert all(task["after"] is None and task["rounds"] == [] for task in first["tasks"])
    unpruned = {file: state for file, state in classifiers(finished.classifier).items() if "prune" not in file}
    assert identical(classifiers(folder), unpruned), "they are the same with or without"
    second = stage_two(finished, tmp_path, prune=False, finetune_epochs=1)
    assert second["widths"] == [[4, 6, 8, 10]] * 3
    first_stage = EDENet.load(tmp_path / finished.ede_net.name / "stage_1.pt")
    expected = unpruned["model_0to3.pt"]
    assert all(torch.equal(value, expected[name]) for name, value in first_stage.submodels[0].state_dict().items())


def test_selection_on_the_test_set_is_named_wherever_it_shows(finished, tmp_path):
    options = {"selection": "test", "epochs": 1, "finetune_epochs": 1, "prune": False}
    first = stage_one(finished, tmp_path, **options)
    second = stage_two(finished, tmp_path, classifier_root=None, **options)
    for results, folder in ((first, finished.classifier.name), (second, finished.ede_net.name)):
        assert results["configuration"]["selection"] == "test"
        assert json.loads((tmp_path / folder / "results.json").read_text())["configuration"]["selection"] == "test"
        assert "TEST SET" in (tmp_path / folder / "results.md").read_text()
    for task in first["tasks"]:
        assert task["before"]["selection_accuracy"] == task["before"]["test_accuracy"]


def test_classes_are_learned_in_the_order_given(finished, tmp_path):
    order = [8, 2, 5, 0, 7, 1, 4, 3, 6]
    options = {"class_order": order, "epochs": 1, "finetune_epochs": 1, "prune": False, "split_list": [0, 4, 6, 9]}
    options["split_type"] = "s4-t2"
    first = stage_one(finished, tmp_path, **options)
    second = stage_two(finished, tmp_path, classifier_root=None, **options)
    train = catalog.load("cifar100", finished.options["data_root"], "train")
    assert [task["task"] for task in first["tasks"]] == ["0to4", "4to6", "6to9"]
    assert [name for task in first["tasks"] for name in task["classes"]] == [train.class_names[k] for k in order]
    net = EDENet.load(tmp_path / "EDE_Net_cifar100_s4-t2_resnet18_rehearsal_31" / "stage_3.pt")
    assert net.classes_per_task == [4, 2, 3]
    assert net.meta["class_order"] == order
    for place, chosen in enumerate(net.meta["exemplars"]):
        assert {int(train.labels[row]) for row in chosen} == {order[place]}
    assert second["test_images"] == [20, 10, 15]
    images, labels = images_of(finished, "test")
    places = torch.tensor([order.index(int(label)) for label in labels])
    every = 100 * correct_one_by_one(net, images, places) / len(places)
    assert second["last_accuracy"] == pytest.approx(every)


def test_a_single_task_needs_no_rehearsal(finished, tmp_path):
    options = {"split_list": [0, 3], "split_type": "s0-t1", "prune": False, "epochs": 1}
    stage_one(finished, tmp_path, **options)
    results = stage_two(finished, tmp_path, classifier_root=None, **options)
    assert results["forgetting"] is None
    assert len(results["accuracy_matrix"]) == 1
    assert results["average_incremental_accuracy"] == results["last_accuracy"]


# --- one folder, one configuration


def test_another_option_in_the_same_folder_is_refused_with_both_values(finished, tmp_path):
    shutil.copytree(finished.classifier, tmp_path / finished.classifier.name)
    shutil.copytree(finished.ede_net, tmp_path / finished.ede_net.name)
    with pytest.raises(UserError) as caught:
        stage_one(finished, tmp_path, lambda_u=33.0)
    assert all(part in str(caught.value) for part in ("lambda_u", "10.0", "33.0", finished.classifier.name, "restart"))
    with pytest.raises(UserError) as caught:
        stage_two(finished, tmp_path, finetune_epochs=7)
    assert all(part in str(caught.value) for part in ("finetune_epochs", "2", "7", finished.ede_net.name, "restart"))
    assert identical(classifiers(tmp_path / finished.classifier.name), classifiers(finished.classifier))


def test_an_option_refused_by_the_data_does_not_bind_the_next_call(finished, tmp_path):
    with pytest.raises(UserError, match="cifar11"):
        stage_one(finished, tmp_path, unlabeled="cifar11", epochs=1, prune=False)
    stage_one(finished, tmp_path, epochs=1, prune=False)


def test_restart_begins_anew_with_other_options(finished, tmp_path):
    shutil.copytree(finished.ede_net, tmp_path / finished.ede_net.name)
    stage_two(finished, tmp_path, finetune_epochs=1, restart=True)
    assert len(json.loads((tmp_path / finished.ede_net.name / "results.json").read_text())["history"][1]) == 1
    assert not identical(networks(tmp_path / finished.ede_net.name), networks(finished.ede_net))


def test_a_finished_run_is_not_trained_again(finished, tmp_path):
    shutil.copytree(finished.classifier, tmp_path / finished.classifier.name)
    before = {path.name: path.stat().st_mtime_ns for path in (tmp_path / finished.classifier.name).glob("*.pt")}
    assert stage_one(finished, tmp_path)["tasks"] == finished.stage_one["tasks"]
    after = {path.name: path.stat().st_mtime_ns for path in (tmp_path / finished.classifier.name).glob("*.pt")}
    assert before == after


def test_runs_interrupted_anywhere_end_up_the_same(finished, tmp_path, monkeypatch):
    """SIGINT arrives after every third line of the log, until both stages have come to their ends."""
    note, lines = Console.note, []

    def interrupting(self, line):
        note(self, line)
        lines.append(line)
        if "epoch " in line and ", loss" in line and len([x for x in lines if ", loss" in x]) % 3 == 0:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(Console, "note", interrupting)
    interruptions = 0
    for run in (stage_one, lambda *a: stage_two(*a, classifier_root=None)):
        for _ in range(20):
            try:
                run(finished, tmp_path)
            except Interrupted as stop:
                interruptions += stop.exit_code == 130
            else:
                break
    assert interruptions >= 3
    assert identical(classifiers(finished.classifier), classifiers(tmp_path / finished.classifier.name))
    assert identical(networks(finished.ede_net), networks(tmp_path / finished.ede_net.name))


@pytest.mark.parametrize(
    "wrong",
    [
        {"prune": 1},
        {"mixmatch": "yes"},
        {"split_type": "s50-t5"},
        {"split_list": [0, 3, 6, 12]},
        {"class_order": [*range(8), 50]},
        {"class_order": [0, 1, 2]},
        {"device": "tpu"},
        {"unlabeled": "cifar11"},
    ],
    ids=str,
)
def test_what_a_caller_gets_wrong_is_one_line(finished, tmp_path, wrong):
    for run in (stage_one, stage_two):
        with pytest.raises(UserError) as caught:
            run(finished, tmp_path, **wrong)
        assert str(caught.value).isprintable()
