"""The baselines: what each is trained on, one network whose head grows, and sub-models that are merely joined."""

import shutil
from types import SimpleNamespace

import pytest
import torch

import train_EDE_Net
from models import cost, resnet18
from tests.method.runs import (
    BOUNDS,
    answers,
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
from utils.running.errors import UserError

pytestmark = pytest.mark.usefixtures("without_figures")

ONE_NETWORK = ("finetune", "replay", "joint")
KINDS = (*ONE_NETWORK, "concatenate")


def folder_in(root, kind):
    return root / f"baseline_{kind}_cifar100_s0-t3_resnet18_mixmatch{'_rehearsal_31' * (kind == 'replay')}"


def run(finished, root, kind, **more):
    options = {**finished.options, "classifier_root": str(finished.root), "rehearsal_size": finished.rehearsal, **more}
    return train_EDE_Net.baseline(kind, **options, checkpoint_root=str(root))


@pytest.fixture(scope="module")
def ran(finished, tmp_path_factory):
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
        kept = networks(ran[kind].folder)[f"stage_{task}.pt"].meta["exemplars"]
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
        assert begun.schedule.epochs == 2, "stage one's passes"
        for name, value in (nets[t - 1].state_dict() if t > 0 else {}).items():
            grown = begun.state[name]
            assert torch.equal(grown[: BOUNDS[t]] if ".head." in name else grown, value)


def test_the_first_task_begins_as_stage_one_does_and_is_the_same_for_all_that_train_one_network(ran):
    first, second = ([networks(ran[kind].folder)[f"stage_{t}.pt"] for kind in ONE_NETWORK] for t in (1, 2))
    assert same_state(first[0], first[1])
    assert same_state(first[0], first[2])
    assert not same_state(second[0], second[1])
    assert not same_state(second[1], second[2])


def test_concatenated_logits_are_the_sub_models_side_by_side_and_nothing_is_trained(ran, finished):
    net, x = networks(ran["concatenate"].folder)["stage_3.pt"], torch.rand(5, 3, 32, 32)
    models = [model for name, model in networks(finished.classifier).items() if "prune" in name]
    assert torch.equal(net(x), torch.cat([model(x) for model in models], dim=1))
    assert all(same_state(mine, theirs) for mine, theirs in zip(net.submodels, models, strict=True))
    assert ran["concatenate"].trained == []


@pytest.mark.parametrize("kind", KINDS)
def test_the_results_are_those_of_a_slow_recount(ran, finished, kind):
    images, labels = images_of(finished.options, "test")
    for t, net in enumerate(networks(ran[kind].folder).values()):
        right = torch.tensor(answers(net, images)) == labels
        row = [float(right[labels // 3 == i].double().mean()) * 100 for i in range(t + 1)]
        assert ran[kind].results["accuracy_matrix"][t] == pytest.approx(row)


def test_baselines_interrupted_anywhere_end_up_the_same(ran, finished, tmp_path, monkeypatch):
    stopping_every(monkeypatch, 4)
    for kind in ("replay", "joint"):
        assert until_it_ends(lambda kind=kind: run(finished, tmp_path, kind)) >= 2
        assert identical(folder_in(tmp_path, kind), ran[kind].folder)


def test_a_stage_grown_from_another_is_refused(ran, finished, tmp_path):
    for kind in ("finetune", "joint"):
        shutil.copytree(ran[kind].folder, folder_in(tmp_path, kind))
    run(finished, tmp_path, "finetune", restart=True, seed=1, split_list=[0, 3, 6, 9])
    for ending in ("pt", "json"):
        (folder_in(tmp_path, "joint") / f"stage_1.{ending}").unlink()
        shutil.copy(folder_in(tmp_path, "finetune") / f"stage_1.{ending}", folder_in(tmp_path, "joint"))
    with pytest.raises(UserError, match=r"stage_1\.json was made from something else: baseline"):
        run(finished, tmp_path, "joint")


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("finetune", {"prune": False, "rehearsal_size": 99, "selection": "test", "finetune_epochs": 9, "percent": 0.1}),
        ("joint", {"exemplars": "herding", "validation_fraction": 0.3, "evaluate_every": 1, "distill_epochs": 7}),
        ("concatenate", {"rehearsal_size": 99, "epochs": 9, "finetune_lr": 1.0, "amp": "bfloat16"}),
    ],
    ids=str,
)
def test_options_that_mean_nothing_to_a_kind_may_be_anything(ran, finished, tmp_path, kind, options):
    shutil.copytree(ran[kind].folder, folder_in(tmp_path, kind))
    assert run(finished, tmp_path, kind, **options)["accuracy_matrix"] == ran[kind].results["accuracy_matrix"]


def test_concatenation_without_stage_one_prints_the_command_that_makes_it(finished, tmp_path):
    with pytest.raises(UserError, match=r"python train_classifier\.py"):
        run(finished, tmp_path, "concatenate", classifier_root=None)
