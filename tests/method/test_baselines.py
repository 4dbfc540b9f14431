"""The baselines: what each is trained on, one network whose head grows, and sub-models that are merely joined."""

import json
import os
import shlex
import shutil
import signal
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

import train_EDE_Net
from datasets import catalog
from datasets.image_set import ImageSet
from datasets.stream import OutOfReach, TaskStream
from models import EDENet, measure, resnet18
from utils import baselines, checkpoint, command, figures, plotting, recipes, training
from utils.console import Console
from utils.errors import Interrupted, UserError

pytestmark = pytest.mark.usefixtures("without_figures")

BOUNDS = [0, 3, 6, 9]
ONE_NETWORK = ("finetune", "replay", "joint")
KINDS = (*ONE_NETWORK, "concatenate")


def folder_name(kind, mixmatch=True, size=31):
    return f"baseline_{kind}_cifar100_s0-t3_resnet18{'_mixmatch' * mixmatch}{f'_rehearsal_{size}' * (kind == 'replay')}"


def run(finished, root, kind, **more):
    options = {**finished.options, "classifier_root": str(finished.root), "rehearsal_size": finished.rehearsal, **more}
    return train_EDE_Net.baseline(kind, **options, checkpoint_root=str(root))


@pytest.fixture(scope="module")
def ran(finished, tmp_path_factory):
    """All four kinds, finished: folder, results, and of every training its batches and the network it began with."""
    root, found = tmp_path_factory.mktemp("baselines"), {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(figures, "ede_net", lambda *arguments: None)
        fit = training.fit

        def noting(model, batches, *arguments, **more):
            begun = {name: value.clone() for name, value in model.state_dict().items()}
            trained.append(SimpleNamespace(begun=begun, batches=batches, evaluate=more.get("evaluate")))
            return fit(model, batches, *arguments, **more)

        patch.setattr(training, "fit", noting)
        for kind in KINDS:
            trained = []
            results = run(finished, root, kind)
            found[kind] = SimpleNamespace(root=root, folder=root / folder_name(kind), results=results, trained=trained)
    return found


@pytest.fixture
def copied(ran, tmp_path):
    for each in ran.values():
        shutil.copytree(each.folder, tmp_path / each.folder.name)
    return tmp_path


def images_of(finished, part):
    found = catalog.load("cifar100", finished.options["data_root"], part)
    return found.images, found.labels


def rows(images, labels):
    """Each image with its label, in an order of their own."""
    return sorted((image.numpy().tobytes(), label) for image, label in zip(images, labels.tolist(), strict=True))


def states(folder):
    return {path.name: EDENet.load(path).state_dict() for path in sorted(folder.glob("stage_*.pt"))}


def same_state(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def identical(one, other):
    return one.keys() == other.keys() and all(same_state(one[name], other[name]) for name in one)


def correct_one_by_one(net, images, labels):
    with torch.no_grad():
        return sum(
            int(net(image[None] / 255).argmax()) == label for image, label in zip(images, labels.tolist(), strict=True)
        )


# --- what each is trained on


@pytest.mark.parametrize("task", range(3))
def test_fine_tuning_sees_the_current_images_and_no_other(ran, finished, task):
    images, labels = images_of(finished, "train")
    part = ran["finetune"].trained[task].batches.parts[0]
    current = (labels >= BOUNDS[task]) & (labels < BOUNDS[task + 1])
    assert rows(part.images, part.labels) == rows(images[current], labels[current]), "all of them: nothing is held out"


@pytest.mark.parametrize("task", range(3))
def test_replay_sees_the_current_images_and_the_exemplars_kept_by_the_task_before(ran, finished, task):
    images, labels = images_of(finished, "train")
    chosen = (labels >= BOUNDS[task]) & (labels < BOUNDS[task + 1])
    if task > 0:
        kept = checkpoint.read(ran["replay"].folder / f"stage_{task}.pt", "ede_net")["exemplars"]
        assert [len(each) for each in kept] == [31 // BOUNDS[task]] * BOUNDS[task]
        chosen[[row for each in kept for row in each]] = True
    part = ran["replay"].trained[task].batches.parts[0]
    assert rows(part.images, part.labels) == rows(images[chosen], labels[chosen])


@pytest.mark.parametrize("task", range(3))
def test_joint_training_sees_all_images_of_the_classes_so_far(ran, finished, task):
    images, labels = images_of(finished, "train")
    part = ran["joint"].trained[task].batches.parts[0]
    seen = labels < BOUNDS[task + 1]
    assert rows(part.images, part.labels) == rows(images[seen], labels[seen])


def test_the_memory_of_replay_is_that_of_stage_two(ran, finished):
    folders = ran["replay"].folder, finished.ede_net
    for stage in ("stage_1.pt", "stage_2.pt", "stage_3.pt"):
        mine, theirs = (checkpoint.read(folder / stage, "ede_net") for folder in folders)
        assert mine["exemplars"] == theirs["exemplars"]
    for kind in ("finetune", "joint", "concatenate"):
        assert checkpoint.read(ran[kind].folder / "stage_3.pt", "ede_net")["exemplars"] == []


@pytest.mark.parametrize("kind", ONE_NETWORK)
def test_a_task_has_stage_ones_passes_over_the_images_at_hand_and_keeps_the_last_epoch(ran, kind):
    for task, each in enumerate(ran[kind].trained):
        count = len(each.batches.parts[0].images)
        assert each.batches.parts[0].size == 16
        assert each.batches.steps_per_epoch == count // 16
        assert each.evaluate is None
        assert [entry["epoch"] for entry in ran[kind].results["history"][task]] == [1, 2]
        assert not any("accuracy" in entry for entry in ran[kind].results["history"][task])


def test_unlabelled_images_are_in_every_batch_with_mixmatch_alone(ran, finished, tmp_path, monkeypatch):
    unlabelled = catalog.load("cifar10", finished.options["data_root"], "train").images
    for each in ran["replay"].trained:
        labelled, others = each.batches.parts
        assert others.labels is None
        assert torch.equal(others.images, unlabelled)
        assert (labelled.views, others.views, others.size) == (1, 2, 8)
    parts, fit, load = [], training.fit, catalog.load

    def noting(net, batches, *arguments, **more):
        parts.append(batches.parts)
        return fit(net, batches, *arguments, **more)

    monkeypatch.setattr(training, "fit", noting)
    monkeypatch.setattr(catalog, "load", lambda name, *rest: load(name, *rest) if name != "cifar10" else 1 / 0)
    results = run(finished, tmp_path, "finetune", mixmatch=False, epochs=1)
    assert [len(each) for each in parts] == [1, 1, 1]
    assert results["configuration"]["mixmatch"] is False
    assert (tmp_path / folder_name("finetune", mixmatch=False) / "stage_3.pt").is_file()


def test_labels_are_guessed_over_all_classes_seen(finished, tmp_path, monkeypatch):
    seen, objective = [], baselines.objective

    def noting(num_classes, *arguments):
        seen.append(num_classes)
        return objective(num_classes, *arguments)

    monkeypatch.setattr(baselines, "objective", noting)
    run(finished, tmp_path, "finetune", epochs=1)
    assert seen == [3, 6, 9]


# --- what is in reach


def stream_of(joint):
    """Six classes with four images each, in three tasks."""
    labels = torch.arange(6).repeat(4)
    images = torch.arange(24, dtype=torch.uint8).view(-1, 1, 1, 1).expand(-1, 3, 32, 32).contiguous()
    part = ImageSet("cifar100", images, labels, tuple("abcdef"), (0.5,) * 3, (0.25,) * 3, mirror=True)
    return TaskStream(part, part, [4, 1, 5, 0, 3, 2], [0, 2, 4, 6], joint=joint)


def test_all_images_seen_are_in_reach_of_joint_training_alone_and_of_the_task_begun():
    plain, joint = stream_of(False), stream_of(True)
    for stream in (plain, joint):
        with pytest.raises(OutOfReach):
            stream.images_seen(stream.tasks[0])
    for task in joint.tasks:
        plain.begin(task)
        joint.begin(task)
        with pytest.raises(OutOfReach):
            plain.images_seen(task)
        assert set(joint.images_seen(task).labels.tolist()) == set(range(task.last))
        assert len(joint.images_seen(task)) == 4 * task.last
        for other in joint.tasks:
            if other != task:
                for asked in (joint.images_seen, joint.training_images):
                    with pytest.raises(OutOfReach):
                        asked(other)


@pytest.mark.parametrize("kind", ["finetune", "replay"])
def test_no_other_baseline_can_ask_for_all_images(finished, tmp_path, monkeypatch, kind):
    monkeypatch.setattr(baselines, "labelled_images", lambda kind, stream, task, memory: stream.images_seen(task))
    with pytest.raises(OutOfReach):
        run(finished, tmp_path, kind, epochs=1)


# --- the one network


def test_a_head_that_grows_keeps_its_old_rows_bit_for_bit_and_so_their_logits():
    model, x = resnet18(3, (2, 3, 4, 5), seed=0).eval(), torch.rand(7, 3, 32, 32)
    before, logits = {name: value.clone() for name, value in model.state_dict().items()}, model(x)
    state = torch.random.get_rng_state()
    model.grow_head(2, seed=1)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert model.num_classes == 5
    torch.testing.assert_close(model(x)[:, :3], logits, rtol=1e-6, atol=1e-6)  # sums of another width round otherwise
    for name, value in model.state_dict().items():
        assert torch.equal(value[:3] if name.startswith("head.") else value, before[name])
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_the_new_rows_of_a_head_are_a_function_of_the_seed():
    grown = [resnet18(3, (2, 3, 4, 5), seed=0) for _ in range(3)]
    for model, seed in zip(grown, (1, 1, 2), strict=True):
        model.grow_head(2, seed)
    one, same, other = (model.head.weight[3:] for model in grown)
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert float(one.detach().abs().max()) <= 5**-0.5, "as of a linear layer with five inputs"


@pytest.mark.parametrize("kind", ONE_NETWORK)
def test_every_task_goes_on_from_the_network_of_the_task_before(ran, kind):
    for t, each in enumerate(ran[kind].trained[1:], start=1):
        before = EDENet.load(ran[kind].folder / f"stage_{t}.pt")
        assert before.classes_per_task == [BOUNDS[t]]
        for name, value in before.state_dict().items():
            begun = each.begun[name]
            assert torch.equal(begun[: BOUNDS[t]] if ".head." in name else begun, value)
            assert ".head." not in name or len(begun) == BOUNDS[t + 1]


def test_the_first_task_is_the_same_for_all_that_train_one_network(ran):
    first = [EDENet.load(ran[kind].folder / "stage_1.pt").state_dict() for kind in ONE_NETWORK]
    assert same_state(first[0], first[1])
    assert same_state(first[0], first[2])
    second = [EDENet.load(ran[kind].folder / "stage_2.pt").state_dict() for kind in ONE_NETWORK]
    assert not same_state(second[0], second[1])
    assert not same_state(second[1], second[2])


def test_another_seed_gives_another_network_another_head_and_other_batches(ran, finished, tmp_path, monkeypatch):
    trained, fit = [], training.fit

    def noting(model, batches, *arguments, **more):
        trained.append((model.submodels[0].stem.weight.clone(), model.submodels[0].head.weight[-1].clone(), batches))
        return fit(model, batches, *arguments, **more)

    monkeypatch.setattr(training, "fit", noting)
    run(finished, tmp_path, "finetune", seed=1, split_list=[0, 3, 6], split_type="s0-t2", epochs=1)
    for (stem, row, batches), before in zip(trained, ran["finetune"].trained, strict=False):
        assert not torch.equal(stem, before.begun["submodels.0.stem.weight"])
        assert not torch.equal(row, before.begun["submodels.0.head.weight"][-1])
        for part in (0, 1):
            assert not torch.equal(batches.indices(part, 0), before.batches.indices(part, 0))


@pytest.mark.parametrize("kind", ONE_NETWORK)
def test_the_one_network_is_as_wide_as_stage_ones_and_does_not_grow_but_for_its_head(ran, kind):
    results = ran[kind].results
    assert results["widths"] == [[4, 6, 8, 10]]
    for t in range(3):
        assert results["parameters"][t] == measure.parameters(resnet18(BOUNDS[t + 1], (4, 6, 8, 10)))


# --- sub-models merely joined


@pytest.mark.parametrize("prune", [True, False])
def test_concatenated_logits_are_the_sub_models_side_by_side(ran, finished, tmp_path, prune):
    folder = ran["concatenate"].folder
    if not prune:
        results = run(finished, tmp_path, "concatenate", prune=False)
        assert results["widths"] == [[4, 6, 8, 10]] * 3
        folder = tmp_path / folder.name
    net, x = EDENet.load(folder / "stage_3.pt"), torch.rand(5, 3, 32, 32)
    ending = "_prune" if prune else ""
    models = [
        checkpoint.load_classifier(finished.classifier / f"model_{a}to{b}{ending}.pt")[0] for a, b in pairwise(BOUNDS)
    ]
    assert all(same_state(a.state_dict(), b.state_dict()) for a, b in zip(net.submodels, models, strict=True))
    assert torch.equal(net(x), torch.cat([model(x) for model in models], dim=1))


def test_concatenation_trains_nothing_and_tells_its_stage_one(ran, finished):
    assert ran["concatenate"].trained == []
    assert ran["concatenate"].results["history"] == [[], [], []]
    assert ran["concatenate"].results["stage_one"] == finished.stage_one["configuration"]
    assert ran["replay"].results["stage_one"] is None


def test_concatenation_without_stage_one_prints_the_command_that_makes_it(finished, tmp_path):
    with pytest.raises(UserError, match=r"python train_classifier\.py"):
        run(finished, tmp_path, "concatenate", classifier_root=None)


# --- files and figures


@pytest.mark.parametrize("kind", KINDS)
def test_the_folder_holds_what_stage_two_leaves(ran, kind):
    each = ran[kind]
    names = {path.name for path in each.folder.iterdir() if not path.name.startswith(".")}
    stages = {"stage_1.pt", "stage_2.pt", "stage_3.pt"}
    assert names == stages | {"log.txt", "results.json", "results.md", "configuration.json"}
    assert json.loads((each.folder / "results.json").read_text()) == json.loads(json.dumps(each.results))


@pytest.mark.parametrize("kind", KINDS)
def test_the_results_are_those_of_a_slow_recount(ran, finished, kind):
    results, (images, labels) = ran[kind].results, images_of(finished, "test")
    A, seen = [], []
    for t in range(3):
        net = EDENet.load(ran[kind].folder / f"stage_{t + 1}.pt")
        assert net.num_classes == BOUNDS[t + 1]
        right = []
        for a, b in pairwise(BOUNDS[: t + 2]):
            chosen = (labels >= a) & (labels < b)
            right.append(correct_one_by_one(net, images[chosen], labels[chosen]))
        A.append([100 * count / 15 for count in right])
        seen.append(100 * sum(right) / (15 * (t + 1)))
        assert results["parameters"][t] == measure.parameters(net)
        assert results["flops"][t] == measure.flops(net)
    assert results["accuracy_matrix"] == [pytest.approx(row) for row in A]
    assert results["seen_accuracy"] == pytest.approx(seen)
    assert results["average_incremental_accuracy"] == pytest.approx(sum(seen) / 3)
    assert results["last_accuracy"] == pytest.approx(seen[2])
    assert results["forgetting"] == pytest.approx(sum(max(A[t][i] for t in range(i, 2)) - A[2][i] for i in (0, 1)) / 2)


@pytest.mark.parametrize("kind", KINDS)
def test_table_and_captions_say_which_baseline_it_is(ran, kind):
    table = (ran[kind].folder / "results.md").read_text()
    size = ", 31 exemplars" if kind == "replay" else ""
    parts = "compressed" if kind == "concatenate" else "not compressed"
    what = f"drawn stand-ins for cifar100, s0-t3, MixMatch, {parts}, recipe demo, seed 0"
    assert table.startswith(f"# Baseline: {kind}{size}: {what}\n")
    assert f"This baseline is {baselines.KINDS[kind]}." in table
    assert ("held-out" in table) == (kind == "concatenate")
    assert ("Nothing was held out" in table) == (kind != "concatenate")
    caption = figures.protocol(ran[kind].results["configuration"])
    assert baselines.KINDS[kind] in caption
    assert ("31 exemplars" if kind == "replay" else "no exemplars") in caption
    assert ("forbids" in caption) == (kind == "joint")


@pytest.mark.parametrize("kind", ["replay", "concatenate"])
def test_the_figures_are_drawn(ran, finished, tmp_path, monkeypatch, kind):
    monkeypatch.undo()  # of without_figures
    drawn = []
    monkeypatch.setattr(plotting, "_save", lambda figure, path, formats: drawn.append(path.name))
    train, test = (catalog.load("cifar100", finished.options["data_root"], part) for part in ("train", "test"))
    figures.ede_net(ran[kind].folder, ran[kind].results, TaskStream(train, test, list(range(9)), BOUNDS))
    expected = {"replay": ["accuracy", "accuracy_matrix", "training", "exemplars"]}
    assert drawn == expected.get(kind, ["accuracy", "accuracy_matrix"])


# --- going on, other options, what is refused


def test_baselines_interrupted_anywhere_end_up_the_same(ran, finished, tmp_path, monkeypatch):
    """SIGINT arrives after every second epoch."""
    note, epochs, interruptions = Console.note, [], 0

    def interrupting(self, line):
        note(self, line)
        if ", loss" in line:
            epochs.append(line)
            if len(epochs) % 2 == 0:
                os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(Console, "note", interrupting)
    for kind in ("replay", "joint"):
        for _ in range(20):
            try:
                run(finished, tmp_path, kind, save_every=1)
            except Interrupted as stop:
                interruptions += stop.exit_code == 130
            else:
                break
        assert identical(states(tmp_path / folder_name(kind)), states(ran[kind].folder))
    assert interruptions >= 4
    log = (tmp_path / folder_name("replay") / "log.txt").read_text()
    assert ": goes on from" in log
    assert "stage 1: done before" in log


@pytest.mark.parametrize("kind", KINDS)
def test_a_stage_that_is_gone_is_made_again_to_the_same_bits(ran, copied, finished, kind):
    (copied / folder_name(kind) / "stage_3.pt").unlink()
    run(finished, copied, kind)
    assert identical(states(copied / folder_name(kind)), states(ran[kind].folder))


def test_a_stage_grown_from_another_is_refused(copied, finished):
    folder = copied / folder_name("finetune")
    shutil.copy(copied / folder_name("joint") / "stage_2.pt", folder / "stage_2.pt")
    with pytest.raises(UserError, match=r"stage_3\.pt was grown from another stage.*begin finetune anew"):
        run(finished, copied, "finetune")
    results = run(finished, copied, "finetune", restart=True, epochs=1)
    assert [len(history) for history in results["history"]] == [1, 1, 1]


def test_a_longer_split_goes_on_from_a_shorter_one_of_its_kind(ran, finished, tmp_path, capsys):
    shorter = {"split_list": [0, 3, 6], "split_type": "s0-t2"}
    for kind in ("finetune", "joint"):
        run(finished, tmp_path, kind, **shorter)
    capsys.readouterr()
    run(finished, tmp_path, "joint")
    printed = capsys.readouterr().out
    assert printed.count("taken over from") == 2
    assert "baseline_finetune" not in printed
    assert identical(states(tmp_path / folder_name("joint")), states(ran["joint"].folder))


@pytest.mark.parametrize(
    ("kind", "option"),
    [
        ("finetune", {"epochs": 3}),
        ("finetune", {"lambda_u": 3.0}),
        ("finetune", {"class_order": [*range(8, -1, -1)]}),
        ("replay", {"exemplars": "herding"}),
        ("joint", {"seed": 4}),
    ],
    ids=str,
)
def test_another_option_in_the_same_folder_is_refused(copied, finished, kind, option):
    with pytest.raises(UserError, match=f"begun with another configuration: {next(iter(option))}"):
        run(finished, copied, kind, **option)


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("finetune", {"prune": False, "rehearsal_size": 99, "selection": "test", "finetune_epochs": 9, "percent": 0.1}),
        ("joint", {"exemplars": "herding", "validation_fraction": 0.3, "evaluate_every": 1, "distill_epochs": 7}),
        ("replay", {"prune": False, "temperature": 3.0}),
        ("concatenate", {"rehearsal_size": 99, "epochs": 9, "finetune_lr": 1.0, "amp": "bfloat16"}),
    ],
    ids=str,
)
def test_options_that_mean_nothing_to_a_kind_may_be_anything(ran, copied, finished, kind, options):
    assert run(finished, copied, kind, **options)["accuracy_matrix"] == ran[kind].results["accuracy_matrix"]


def test_herding_is_replays_too(finished, tmp_path):
    run(finished, tmp_path, "replay", exemplars="herding", epochs=1)
    lists = checkpoint.read(tmp_path / folder_name("replay") / "stage_2.pt", "ede_net")["exemplars"]
    assert [len(chosen) for chosen in lists] == [5] * 6


def test_a_single_task_is_learned(finished, tmp_path):
    results = run(finished, tmp_path, "replay", split_list=[0, 3], split_type="s0-t1", epochs=1)
    assert results["forgetting"] is None
    assert len(results["accuracy_matrix"]) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kind": "joined"}, "'joined' is not a baseline: expected 'finetune', 'replay', 'joint', 'concatenate'"),
        ({"kind": None}, "None is not a baseline"),
        ({"kind": ["joint"]}, "is not a baseline"),
        ({"kind": "replay", "rehearsal_size": 5}, "rehearsal_size=5 is less than one exemplar"),
        ({"kind": "replay", "rehearsal_size": "5"}, "rehearsal_size"),
        ({"kind": "joint", "mixmatch": "yes"}, "mixmatch='yes'"),
        ({"kind": "joint", "prune": 1}, "prune=1"),
        ({"kind": "joint", "epoch": 1}, 'did you mean "epochs"'),
        ({"kind": "finetune", "unlabeled": "cifar100"}, "is the data set that is learned"),
    ],
    ids=str,
)
def test_what_a_caller_gets_wrong_is_one_line(finished, tmp_path, arguments, message):
    with pytest.raises(UserError, match=message) as caught:
        run(finished, tmp_path, **arguments)
    assert str(caught.value).isprintable()


def test_the_command_line_takes_it():
    for kind in KINDS:
        call = command.parse_call(f'baseline("{kind}", recipe="cpu")', [train_EDE_Net.baseline], recipes.NAMES)
        assert call.args == (kind,)


# --- looking at what was trained


def again(finished, root, **more):
    options = {"split_type": "s0-t3", "rehearsal_size": 31, "data_root": finished.options["data_root"], **more}
    return train_EDE_Net.evaluate(**options, checkpoint_root=str(root))


@pytest.mark.parametrize("kind", KINDS)
def test_every_stage_gives_what_training_reported(ran, finished, capsys, kind):
    found = again(finished, ran[kind].root, baseline=kind)["stages"]
    assert [each["accuracy"] for each in found] == ran[kind].results["accuracy_matrix"]
    printed = capsys.readouterr().out
    assert printed.count(" yes |") == 3
    assert f"Baseline: {kind}" in printed
    assert "evaluated again" in printed


def test_a_changed_network_is_noticed(copied, finished):
    path = copied / folder_name("joint") / "stage_2.pt"
    content = torch.load(path, weights_only=True)
    content["model"]["submodels.0.head.bias"][0] += 1000
    torch.save(content, path)
    with pytest.raises(UserError, match="does not give what training reported: stage 2"):
        again(finished, copied, baseline="joint")


def test_a_baseline_that_is_not_there_is_named_with_its_command(ran, finished, tmp_path):
    with pytest.raises(UserError, match="is not there or empty") as caught:
        again(finished, ran["joint"].root, baseline="joint", mixmatch=False)
    text = shlex.split(str(caught.value).split("python train_EDE_Net.py ")[1])[0]
    call = command.parse_call(text, [train_EDE_Net.baseline], recipes.NAMES)
    assert (call.keywords["kind"], call.keywords["mixmatch"]) == ("joint", False)
    with pytest.raises(UserError, match="'all' is not a baseline"):
        again(finished, tmp_path, baseline="all")
    with pytest.raises(UserError, match="mixmatch='no'"):
        again(finished, tmp_path, baseline="joint", mixmatch="no")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("stage", [1, 3])
def test_predictions_name_the_task_of_their_class(ran, tmp_path, kind, stage):
    file = tmp_path / "a.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(file)
    found = train_EDE_Net.predict(str(file), checkpoint=str(ran[kind].folder / f"stage_{stage}.pt"), top=9)
    assert len(found) == 3 * stage
    for each in found:
        task = each["output"] // 3
        assert each["of"] == f"task {task + 1} (classes {3 * task}–{3 * task + 2})"
