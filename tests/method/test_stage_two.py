"""Stage two: a balanced mixture, an exemplar memory that is all there is of the old classes, and whole runs."""

import shutil
from collections import Counter
from dataclasses import replace
from itertools import pairwise

import pytest
import torch

import train_classifier
import train_EDE_Net
from datasets.memory import Memory
from datasets.tasks import class_ranges
from models import EDENet, cost
from tests.datasets.test_memory import rows_in, slow_herding, tasks_of
from tests.datasets.test_tasks import BOUNDS, ORDER, image_set
from tests.method.runs import (
    answers,
    identical,
    images_of,
    networks,
    noting_trainings,
    stopping_every,
)
from tests.models.networks import changed, joined, network, same_state, state_of
from utils.method import stage_two
from utils.running.errors import Interrupted, UserError
from utils.running.options import settings
from utils.running.randomness import StepRandom
from utils.running.run import Run

pytestmark = pytest.mark.usefixtures("without_figures")


def run_in(folder, **more):
    options = {"finetune_epochs": 2, "finetune_lr": 1e-2, "amp": "off", "device": "cpu", **more}
    return Run(folder / "run", settings(options), {})


# --- the balanced mixture


def balanced(folder, old, new, size, exemplars=3):
    """Batches of `old` classes' exemplars and `new` classes' images, and the memory."""
    tasks, _ = tasks_of([[exemplars] * old, [9] * new])
    memory = Memory(per_class=exemplars)
    with tasks[0] as task:
        memory.add(task, [range(exemplars)] * old)
    with tasks[1] as task, run_in(folder, finetune_batch_size=size) as run:
        return stage_two.balanced_batches(run, memory, task), memory


@pytest.mark.parametrize(
    ("old", "new", "size", "expected"),
    [(10, 10, 64, 32), (5, 15, 64, 16), (30, 1, 8, 7), (1, 20, 8, 1)],
)
def test_a_batch_holds_exemplars_and_current_images_in_proportion_to_their_classes(tmp_path, old, new, size, expected):
    drawing, _ = balanced(tmp_path, old, new, size)
    for number in range(3):
        exemplars, current = drawing.draw(number)
        assert int(exemplars.labels.max()) < old <= int(current.labels.min())
        assert (len(exemplars.labels), len(current.labels)) == (expected, size - expected)


def test_every_class_is_seen_equally_often(tmp_path):
    drawing, _ = balanced(tmp_path, 4, 2, 12)
    times = Counter()
    for number in range(27):  # 18 passes over the exemplars, 6 over the current images
        times.update(torch.cat([part.labels for part in drawing.draw(number)]).tolist())
    assert times == dict.fromkeys(range(6), 54)


@pytest.mark.parametrize(("exemplars", "size"), [(3, 12), (1, 64)])
def test_an_epoch_is_one_pass_over_the_exemplars(tmp_path, exemplars, size):
    drawing, memory = balanced(tmp_path, 4, 2, size, exemplars)
    seen = torch.cat([drawing.indices(0, number) for number in range(drawing.steps_per_epoch)])
    assert set(seen.tolist()) == set(range(len(memory.images()))), "all of them"
    assert len(seen) - drawing.parts[0].size < len(memory.images()), "and no second time"


# --- remembering, fine-tuning and evaluating


@pytest.fixture
def begun(tmp_path):
    """At the beginning of fine-tuning on the second task: (run, network, memory, tasks), the second task open."""
    tasks, memory = class_ranges(image_set(), image_set(4, seed=1), ORDER, BOUNDS), Memory(10)
    net = EDENet([network(2)])
    with run_in(tmp_path, finetune_batch_size=8, padding=0, finetune_rotation=0.0) as run:
        with tasks[0] as task:
            stage_two.remember(run, net, memory, task)
        net.grow(network(2, (3, 3, 4, 5), seed=1))
        with tasks[1]:
            yield run, net, memory, tasks


def finetuned(begun, **more):
    """The network is fine-tuned with these options changed: returns the training's progress."""
    run, net, memory, tasks = begun
    run.settings = settings({name: value for name, value in vars(run.settings).items() if name != "sequence"} | more)
    stages = stage_two.Stages(run, memory)
    stages.begin(tasks[1], {})
    stages.finetune(net, stage_two.balanced_batches(run, memory, tasks[1]))
    return stages.progress


def test_all_sub_models_are_trained(begun):
    before = state_of(begun[1])
    assert len(finetuned(begun).history) == 2
    assert changed(begun[1], before) == {name for name in before if not name.endswith((".mean", ".std"))}


def test_heads_only_leaves_everything_else_bit_identical_batch_norm_statistics_included(begun):
    before = state_of(begun[1])
    finetuned(begun, finetune="heads")
    assert changed(begun[1], before) == {f"submodels.{i}.head.{name}" for i in (0, 1) for name in ("weight", "bias")}
    assert all(parameter.requires_grad for parameter in begun[1].parameters()), "for the next task"


def test_there_is_a_floor_on_updates(begun):
    run, _, memory, tasks = begun
    steps = stage_two.balanced_batches(run, memory, tasks[1]).steps_per_epoch
    assert finetuned(begun, min_updates=3 * steps - 1).epoch == 3


def test_fine_tuning_sees_the_exemplars_and_the_current_images_and_nothing_else(begun, monkeypatch):
    _, _, memory, tasks = begun
    seen, shares, forward = [], [], EDENet.forward
    monkeypatch.setattr(EDENet, "forward", lambda self, x: seen.append(x) or forward(self, x))
    monkeypatch.setattr(StepRandom, "mixing", lambda self, alpha, count: shares.append(count) or torch.ones(count))
    tasks[1].mirror = False
    finetuned(begun)
    assert set(shares) == {8}, "mixup over the whole batch, here with λ = 1"
    found = {int(row) for x in seen for row in (x[:, 0, 0, 0] * 255).round()}
    exemplars, current = {row for each in rows_in(memory) for row in each}, set(tasks[1].train.indices.tolist())
    assert exemplars <= found <= exemplars | current
    assert found & current


def test_herded_exemplars_are_herded_on_the_grown_networks_features(tmp_path):
    memory, net = Memory(10), joined(2, 1)
    with class_ranges(image_set(), image_set(), ORDER, BOUNDS)[0] as task, run_in(tmp_path, exemplars="herding") as run:
        stage_two.remember(run, net, memory, task)
        for label in (0, 1):
            of_class = task.train.select(task.train.labels == label)
            features = net.features(of_class.images / 255).detach().double()
            assert rows_in(memory)[label] == of_class.indices[slow_herding(features, 5)].tolist()


def test_evaluation_counts_equal_an_obvious_version():
    tasks = class_ranges(image_set(), image_set(20, seed=1), ORDER, [0, 2, 5])
    net, slow = joined(2, 3), {"correct": [], "within": [], "elsewhere": [], "total": []}
    for submodel in net.submodels:  # logits that differ enough to be right and wrong in every way
        submodel.head.weight.data *= 50
    for first, last, test in ((0, 2, tasks[0].test), (2, 5, tasks[1].test)):
        logits = [net(image[None] / 255)[0].tolist() for image in test.images]
        answers = [row.index(max(row)) for row in logits]
        told = [first + row[first:last].index(max(row[first:last])) for row in logits]
        labels = test.labels.tolist()
        slow["correct"].append(sum(a == b for a, b in zip(answers, labels, strict=True)))
        slow["within"].append(sum(a == b for a, b in zip(told, labels, strict=True)))
        slow["elsewhere"].append(sum(not first <= answer < last for answer in answers))
        slow["total"].append(len(labels))
    assert stage_two.evaluate(net, tasks) == slow
    assert 0 < slow["correct"][0] + slow["correct"][1] < slow["within"][0] + slow["within"][1]


# --- whole runs


@pytest.fixture
def again(finished, tmp_path):
    """A copy of the finished run's stage two, from which some stages can be taken, and the call that makes them."""

    def call(*gone, **more):
        folder = tmp_path / finished.ede_net.name
        if gone:
            shutil.copytree(finished.ede_net, folder)
        for number in gone:
            for path in folder.glob(f"stage_{number}.*"):
                path.unlink()
        roots = {"checkpoint_root": str(tmp_path), "classifier_root": str(finished.root), **more}
        train_EDE_Net.train_model(**{**finished.options, **roots}, rehearsal_size=finished.rehearsal)
        return folder

    return call


def test_a_run_joins_shrinks_and_counts_as_its_files_say(finished):
    nets, results = [*networks(finished.ede_net).values()], finished.stage_two
    images, labels = images_of(finished.options, "test")
    for t, net in enumerate(nets):
        assert net.classes_per_task == [3] * (t + 1)
        assert (results["parameters"][t], results["flops"][t]) == (cost.parameters(net), cost.flops(net))
        found = answers(net, images)
        row = [float((found == labels)[labels // 3 == i].double().mean()) * 100 for i in range(t + 1)]
        assert results["accuracy_matrix"][t] == pytest.approx(row)
        assert results["seen_accuracy"][t] == pytest.approx(sum(row) / len(row)), "tasks of equal size"
    train, train_labels = images_of(finished.options, "train")
    kept = [net.meta["exemplars"] for net in nets]
    assert [torch.bincount(each["labels"]).tolist() for each in kept] == [[10] * 3, [5] * 6, [3] * 9]
    for earlier, later in pairwise(kept):
        for label in range(int(earlier["labels"].max()) + 1):
            before, now = (each["indices"][each["labels"] == label].tolist() for each in (earlier, later))
            assert before[: len(now)] == now
            assert len(set(now)) == len(now)
    for each in kept:
        assert torch.equal(each["images"], train[each["indices"]])
        assert torch.equal(each["labels"], train_labels[each["indices"]])


def test_the_first_stage_is_the_first_sub_model_and_stage_ones_files_stay_as_they_were(finished):
    [first], [submodel] = (
        networks(*each).values() for each in ((finished.ede_net, "stage_1"), (finished.classifier, "model_0to3_prune"))
    )
    assert same_state(first.submodels[0], submodel)
    assert {path.name: path.read_bytes() for path in finished.classifier.glob("*.pt")} == finished.stage_one_files


def test_a_stage_is_made_from_the_stage_before_and_a_fresh_sub_model_and_no_old_image(finished, again, monkeypatch):
    """Stages 2 and 3 of three, with noise in place of the first task's training images, the exemplars' included."""
    cut = class_ranges

    def noisy(train, test, *rest):
        noise = torch.randint(0, 256, train.images.shape, generator=torch.Generator().manual_seed(0)).byte()
        images = torch.where((train.labels < 3).view(-1, 1, 1, 1), noise, train.images)
        found = cut(replace(train, images=images), test, *rest)
        for task, true in zip(found, cut(train, test, *rest), strict=True):
            assert (task.fingerprint == true.fingerprint) == (task.index > 0)
            task.fingerprint = true.fingerprint
        return found

    monkeypatch.setattr("datasets.tasks.class_ranges", noisy)
    begun = noting_trainings(monkeypatch)
    assert identical(again(2, 3), finished.ede_net)
    stages, fresh = networks(finished.ede_net), networks(finished.classifier, "*_prune")
    for t, each in zip((2, 3), begun, strict=True):
        name = f"model_{3 * t - 3}to{3 * t}_prune.pt"
        assert same_state(each.state, EDENet([*stages[f"stage_{t - 1}.pt"].submodels, fresh[name]]))
        assert each.evaluate is None, "the last epoch is kept: the test set decides nothing"


def test_a_sub_model_made_anew_between_two_calls_is_noticed(finished, again, tmp_path, monkeypatch):
    """The unfinished training of the old one would come out under the fingerprint of the new one."""
    stopping_every(monkeypatch, 1)
    with pytest.raises(Interrupted):
        again(2, 3)
    monkeypatch.undo()
    shutil.copytree(finished.classifier, tmp_path / "one" / finished.classifier.name)
    other = {**finished.options, "checkpoint_root": str(tmp_path / "two"), "max_rounds": 0}
    train_classifier.train_model(**{**other, "split_list": [0, 3, 6], "split_type": None})
    for ending in ("pt", "json"):
        made = next((tmp_path / "two").rglob(f"model_3to6_prune.{ending}"))
        shutil.copy(made, tmp_path / "one" / finished.classifier.name)
    with pytest.raises(UserError, match=r"stage_2\.training\.pt was made from something else: sub-model"):
        again(classifier_root=str(tmp_path / "one"))


def test_without_stage_ones_network_the_command_that_makes_it_is_printed(again, tmp_path):
    with pytest.raises(
        UserError, match=r"model_0to3_prune\.json is not there.*python train_classifier\.py 'train_model"
    ):
        again(classifier_root=str(tmp_path / "nowhere"))


@pytest.mark.parametrize("other", [{"seed": 5}, {"class_order": [*range(8, -1, -1)]}, {"selection": "test"}], ids=str)
def test_stage_ones_networks_of_another_protocol_are_refused(again, other):
    name = "classes" if "class_order" in other else next(iter(other))
    with pytest.raises(UserError, match=f"was made with {name}="):
        again(**other)
