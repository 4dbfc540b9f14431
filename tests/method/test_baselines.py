"""The baselines: what each is trained on, one network whose head grows, DER, and sub-models that are merely joined."""

from types import SimpleNamespace

import pytest
import torch

import train_EDE_Net
from models import EDENet, ResNet18, cost
from tests.method import runs
from tests.method.runs import BOUNDS, identical, images_of, networks, rows, same_exemplars
from tests.method.test_der import head_rows
from tests.models.networks import changed, same_state

pytestmark = pytest.mark.usefixtures("without_figures")

ONE_NETWORK = ("finetune", "replay", "joint")


def run(finished, root, kind, **more):
    roots = {"classifier_root": str(finished.root), "checkpoint_root": str(root)}
    options = {**finished.options, **roots, "epochs": 1, **more}
    return train_EDE_Net.baseline(kind, **options, rehearsal_size=finished.rehearsal)


@pytest.fixture(scope="module")
def ran(finished, without_figures, tmp_path_factory):
    """All kinds, finished: folder, results, and what every training was given."""
    root, found = tmp_path_factory.mktemp("baselines"), {}
    for kind in (*ONE_NETWORK, "der", "concatenate"):
        with pytest.MonkeyPatch.context() as patch:
            trained = runs.noting_trainings(patch)
            results = run(finished, root, kind)
        [folder] = root.glob(f"baseline_{kind}_*")
        found[kind] = SimpleNamespace(folder=folder, results=results, trained=trained)
    return found


@pytest.mark.parametrize("kind", [*ONE_NETWORK, "der"])
def test_what_each_is_trained_on(ran, finished, kind):
    images, labels = images_of(finished.options, "train")
    for task, trained in enumerate(ran[kind].trained):
        chosen = (labels >= BOUNDS[task]) & (labels < BOUNDS[task + 1])  # all of them: nothing is held out
        if kind == "joint":
            chosen = labels < BOUNDS[task + 1]
        if kind in ("replay", "der") and task > 0:
            before = networks(ran[kind].folder)[f"stage_{task}.pt"].meta["exemplars"]
            assert len(before["indices"]) == 31 // BOUNDS[task] * BOUNDS[task]
            chosen[before["indices"]] = True
        labelled, *unlabelled = trained.batches.parts
        assert rows(labelled.images, labelled.labels) == rows(images[chosen], labels[chosen])
        for part in unlabelled:
            assert torch.equal(part.images, images_of(finished.options, "train", "cifar10")[0])
            assert (part.labels, part.views) == (None, 2)
        assert len(unlabelled) == (kind != "der")
        assert (trained.evaluate, trained.schedule.epochs) == (None, 1), "stage one's passes, the last epoch is kept"


def test_the_memory_of_replay_and_der_is_that_of_stage_two_and_no_other_has_one(ran, finished):
    theirs = networks(finished.ede_net)
    for name in theirs:
        assert same_exemplars(networks(ran["replay"].folder)[name], theirs[name])
        assert same_exemplars(networks(ran["der"].folder)[name], theirs[name])
    for kind in ("finetune", "joint", "concatenate"):
        assert all(net.meta["exemplars"] == {} for net in networks(ran[kind].folder).values())


@pytest.mark.parametrize("kind", ONE_NETWORK)
def test_one_network_goes_on_from_task_to_task_with_a_head_that_grows(ran, kind):
    nets, results = [*networks(ran[kind].folder).values()], ran[kind].results
    assert same_state(nets[0], networks(ran["joint"].folder)["stage_1.pt"]), "the first task is the same for all"
    for t, (net, begun) in enumerate(zip(nets, ran[kind].trained, strict=True)):
        assert net.described == {"classes_per_task": [BOUNDS[t + 1]], "widths": [[4, 6, 8, 10]], "flip_average": False}
        assert results["parameters"][t] == cost.parameters(ResNet18(BOUNDS[t + 1], (4, 6, 8, 10)))
        for name, value in (nets[t - 1].state_dict() if t > 0 else {}).items():
            grown = begun.state[name]
            assert torch.equal(grown[: BOUNDS[t]] if ".head." in name else grown, value)


def test_der_freezes_what_it_has_and_is_counted_again_as_reported(ran, finished):
    first, second, _ = networks(ran["der"].folder).values()
    before = first.submodels[0].state_dict()
    old, new = (changed(submodel, before) for submodel in second.submodels)
    assert old == {"head.weight", "head.bias"}, "nor any statistic"
    assert new == before.keys() - {"mean", "std"}, "the newest began with the weights of the one before, and learned"
    lengths = head_rows(second).norm(dim=1)
    assert lengths[3:].mean().item() == pytest.approx(lengths[:3].mean().item(), rel=1e-5), "the new rows are aligned"
    assert all(parameter.requires_grad for parameter in second.parameters())
    train_EDE_Net.evaluate(str(ran["der"].folder), data_root=finished.options["data_root"])


def test_concatenated_logits_are_the_sub_models_side_by_side_and_nothing_is_trained(ran, finished):
    net, x = EDENet.load(ran["concatenate"].folder / "stage_3.pt"), torch.rand(5, 3, 32, 32)
    models = [*networks(finished.classifier, "*_prune").values()]
    assert torch.equal(net(x), torch.cat([model(x) for model in models], dim=1))
    assert ran["concatenate"].trained == []


@pytest.mark.parametrize("kind", ["replay", "der"])
def test_a_baseline_interrupted_anywhere_ends_up_the_same(ran, finished, tmp_path, monkeypatch, kind):
    runs.stopping_every(monkeypatch, 3)
    assert "saved after epoch" in runs.until_it_ends(lambda: run(finished, tmp_path, kind))[0]
    assert identical(ran[kind].folder, next(tmp_path.glob("baseline_*")))
