"""The baselines: what each is trained on, one network whose head grows, and sub-models that are merely joined."""

from types import SimpleNamespace

import pytest
import torch

import train_EDE_Net
from models import EDENet, cost, resnet18
from tests.method.runs import (
    BOUNDS,
    identical,
    images_of,
    networks,
    noting_trainings,
    rows,
    same_exemplars,
    stopping_every,
    until_it_ends,
)
from tests.models.networks import same_state

pytestmark = pytest.mark.usefixtures("without_figures")

ONE_NETWORK = ("finetune", "replay", "joint")
KINDS = (*ONE_NETWORK, "concatenate")


def folder_in(root, kind):
    return root / f"baseline_{kind}_cifar100_s0-t3_resnet18_mixmatch{'_rehearsal_31' * (kind == 'replay')}"


def run(finished, root, kind, **more):
    roots = {"classifier_root": str(finished.root), "checkpoint_root": str(root)}
    options = {**finished.options, **roots, "epochs": 1, **more}
    return train_EDE_Net.baseline(kind, **options, rehearsal_size=finished.rehearsal)


@pytest.fixture(scope="module")
def ran(finished, without_figures, tmp_path_factory):
    """All four kinds, finished: folder, results, and what every training was given."""
    root, found = tmp_path_factory.mktemp("baselines"), {}
    for kind in KINDS:
        with pytest.MonkeyPatch.context() as patch:
            trained = noting_trainings(patch)
            results = run(finished, root, kind)
        found[kind] = SimpleNamespace(folder=folder_in(root, kind), results=results, trained=trained)
    return found


@pytest.mark.parametrize("kind", ONE_NETWORK)
@pytest.mark.parametrize("task", range(3))
def test_what_each_is_trained_on(ran, finished, kind, task):
    images, labels = images_of(finished.options, "train")
    chosen = (labels >= BOUNDS[task]) & (labels < BOUNDS[task + 1])  # all of them: nothing is held out
    if kind == "joint":
        chosen = labels < BOUNDS[task + 1]
    if kind == "replay" and task > 0:
        kept = EDENet.load(ran[kind].folder / f"stage_{task}.pt").meta["exemplars"]
        assert len(kept["indices"]) == 31 // BOUNDS[task] * BOUNDS[task]
        chosen[kept["indices"]] = True
    labelled, unlabelled = ran[kind].trained[task].batches.parts
    assert rows(labelled.images, labelled.labels) == rows(images[chosen], labels[chosen])
    assert torch.equal(unlabelled.images, images_of(finished.options, "train", "cifar10")[0])
    assert (unlabelled.labels, unlabelled.views) == (None, 2)


def test_the_memory_of_replay_is_that_of_stage_two_and_no_other_has_one(ran, finished):
    theirs = networks(finished.ede_net)
    for name, mine in networks(ran["replay"].folder).items():
        assert same_exemplars(mine, theirs[name])
    for kind in ("finetune", "joint", "concatenate"):
        assert all(net.meta["exemplars"] == {} for net in networks(ran[kind].folder).values())


@pytest.mark.parametrize("kind", ONE_NETWORK)
def test_one_network_goes_on_from_task_to_task_with_a_head_that_grows(ran, kind):
    nets, results = [*networks(ran[kind].folder).values()], ran[kind].results
    for t, (net, begun) in enumerate(zip(nets, ran[kind].trained, strict=True)):
        assert net.classes_per_task == [BOUNDS[t + 1]]
        assert net.widths == [(4, 6, 8, 10)]
        assert results["parameters"][t] == cost.parameters(resnet18(BOUNDS[t + 1], (4, 6, 8, 10)))
        assert begun.evaluate is None, "the last epoch is kept"
        assert begun.schedule.epochs == 1, "stage one's passes"
        for name, value in (nets[t - 1].state_dict() if t > 0 else {}).items():
            grown = begun.state[name]
            assert torch.equal(grown[: BOUNDS[t]] if ".head." in name else grown, value)


def test_the_first_task_begins_as_stage_one_does_and_is_the_same_for_all_that_train_one_network(ran):
    first, second = ([EDENet.load(ran[kind].folder / f"stage_{t}.pt") for kind in ONE_NETWORK] for t in (1, 2))
    assert same_state(first[0], first[1])
    assert same_state(first[0], first[2])
    assert not same_state(second[0], second[1])
    assert not same_state(second[1], second[2])


def test_concatenated_logits_are_the_sub_models_side_by_side_and_nothing_is_trained(ran, finished):
    net, x = EDENet.load(ran["concatenate"].folder / "stage_3.pt"), torch.rand(5, 3, 32, 32)
    models = [*networks(finished.classifier, "*_prune").values()]
    assert torch.equal(net(x), torch.cat([model(x) for model in models], dim=1))
    assert all(same_state(mine, theirs) for mine, theirs in zip(net.submodels, models, strict=True))
    assert ran["concatenate"].trained == []


@pytest.mark.parametrize("kind", ["replay", "der"])
def test_a_baseline_interrupted_anywhere_ends_up_the_same(finished, tmp_path, monkeypatch, kind):
    two_tasks = {"split_list": [0, 3, 6], "split_type": "s0-t2"}
    run(finished, tmp_path / "undisturbed", kind, **two_tasks)
    stopping_every(monkeypatch, 3)
    assert "saved after epoch" in until_it_ends(lambda: run(finished, tmp_path / "stopped", kind, **two_tasks))[0]
    one, other = (next(tmp_path.glob(f"{name}/baseline_*")) for name in ("undisturbed", "stopped"))
    assert identical(one, other)
