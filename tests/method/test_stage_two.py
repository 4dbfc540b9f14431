"""Stage two: a balanced mixture, an exemplar memory that is all there is of the old classes, and whole runs."""

import shutil
from dataclasses import replace
from itertools import pairwise

import pytest
import torch

import train_EDE_Net
from datasets.memory import Memory
from datasets.tasks import class_ranges
from models import EDENet, cost
from tests.datasets.test_memory import rows_in, slow_herding, tasks_of
from tests.datasets.test_tasks import BOUNDS, ORDER, image_set
from tests.method.runs import answers, identical, images_of, networks, noting_trainings, rows
from tests.models.networks import changed, joined, same_state
from utils.method import stage_two
from utils.running import checkpoint
from utils.running.artefact import read_record
from utils.running.errors import UserError
from utils.running.options import settings
from utils.running.run import Run

pytestmark = pytest.mark.usefixtures("without_figures")


def run_in(folder, **more):
    return Run(folder / "run", settings({"device": "cpu", **more}), {})


@pytest.mark.parametrize(
    ("old", "new", "size", "expected"), [(10, 10, 64, 32), (5, 15, 64, 16), (30, 1, 8, 7), (1, 20, 8, 1)]
)
def test_a_batch_holds_exemplars_and_current_images_in_proportion_to_their_classes_and_an_epoch_is_one_pass(
    tmp_path, old, new, size, expected
):
    (first, second), _ = tasks_of([[3] * old, [9] * new])
    memory = Memory(per_class=3)
    with first:
        memory.add(first, seed=0)
    with second, run_in(tmp_path, finetune_batch_size=size) as run:
        drawing = stage_two.balanced_batches(run, memory, second)
    for number in range(3):
        exemplars, current = drawing.draw(number)
        assert int(exemplars.labels.max()) < old <= int(current.labels.min())
        assert (len(exemplars.labels), len(current.labels)) == (expected, size - expected)
    seen = torch.cat([drawing.indices(0, number) for number in range(drawing.steps_per_epoch)])
    assert set(seen.tolist()) == set(range(3 * old)), "all exemplars"
    assert len(seen) - expected < 3 * old, "and no second time"


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
        assert net.described["classes_per_task"] == [3] * (t + 1)
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
    train, labels = images_of(finished.options, "train")
    assert same_state(stages["stage_1.pt"], EDENet([fresh["model_0to3_prune.pt"]]))
    for t, each in zip((2, 3), begun, strict=True):
        before, name = stages[f"stage_{t - 1}.pt"], f"model_{3 * t - 3}to{3 * t}_prune.pt"
        made_from = read_record(finished.ede_net / f"stage_{t}.json")["made_from"]
        assert made_from["stage before"] == checkpoint.fingerprint(before.state_dict())
        assert same_state(each.state, EDENet([*before.submodels, fresh[name]]))
        exemplars, current = each.batches.parts
        assert torch.equal(exemplars.images, before.meta["exemplars"]["images"])
        assert rows(current.images, current.labels) == rows(train[labels // 3 == t - 1], labels[labels // 3 == t - 1])
        learned = {name for name in each.state if not name.endswith((".mean", ".std"))}
        assert changed(stages[f"stage_{t}.pt"], each.state) == learned, "all sub-models are trained"
        assert each.evaluate is None, "the last epoch is kept: the test set decides nothing"
    stage_one = {path.name: path.read_bytes() for path in finished.classifier.glob("*.pt")}
    assert stage_one == finished.stage_one_files, "which stay as they were"


def test_heads_only_leaves_everything_else_bit_identical_batch_norm_statistics_included(again, monkeypatch):
    begun = noting_trainings(monkeypatch)
    found = networks(again(finetune="heads"))
    for t, each in zip((2, 3), begun, strict=True):
        heads = {f"submodels.{i}.head.{name}" for i in range(t) for name in ("weight", "bias")}
        assert changed(found[f"stage_{t}.pt"], each.state) == heads


def test_a_sub_model_made_anew_between_two_calls_is_noticed(finished, again, tmp_path):
    folder = shutil.copytree(finished.classifier, tmp_path / "one" / finished.classifier.name)
    for ending in ("pt", "json"):
        shutil.copy(folder / f"model_3to6.{ending}", folder / f"model_3to6_prune.{ending}")
    with pytest.raises(UserError, match=r"stage_2\.json was made from something else: sub-model"):
        again(3, classifier_root=str(tmp_path / "one"))


def test_stage_ones_networks_of_another_protocol_are_refused(again):
    protocols = {"seed": 5, "classes": [*range(8, -1, -1)], "selection": "test"}
    for name, value in protocols.items():
        with pytest.raises(UserError, match=f"was made with {name}="):
            again(**{"class_order" if name == "classes" else name: value})
