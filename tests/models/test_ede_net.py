"""The joined network, and the files of both networks."""

import pytest
import torch
from torch import nn

from models import EDENet
from tests.models.networks import changed, joined, network, same_state, state_of
from utils.running import checkpoint, storage
from utils.running.errors import UserError

IMAGES = torch.rand(5, 3, 32, 32, generator=torch.Generator().manual_seed(3))


def test_logits_are_the_sub_models_logits_one_after_the_other_also_when_one_more_joins():
    """Each of an image normalised by its own statistics, and all in the state."""
    net = joined(3, 2)
    net.submodels[1].mean.fill_(0.1)
    before = net(IMAGES)
    net.grow(network(4, (3, 3, 3, 3), seed=1))
    assert torch.equal(net(IMAGES), torch.cat([submodel(IMAGES) for submodel in net.submodels], dim=1))
    assert torch.equal(net(IMAGES)[:, :5], before)
    assert torch.equal(net.features(IMAGES), torch.cat([each.features(IMAGES) for each in net.submodels], dim=1))
    assert (net.num_classes, net.described["classes_per_task"]) == (9, [3, 2, 4])
    assert net.described["widths"] == [[2, 3, 4, 5], [2, 3, 4, 6], [3, 3, 3, 3]]
    assert len(net.state_dict()) == 3 * len(network().state_dict())
    assert len(list(net.parameters())) == 3 * len(list(network().parameters()))


@pytest.mark.parametrize("part", ["heads", "late"])
def test_what_is_not_trained_is_frozen_batch_norm_statistics_included(part):
    net = joined(3, 2)
    net.train_only(part)
    before = state_of(net)
    net.train()(IMAGES).square().sum().backward()
    learning = {name for name, parameter in net.named_parameters() if parameter.grad is not None}
    places = ("head.",) if part == "heads" else ("stages.2.", "stages.3.", "head.")
    trained = tuple(f"submodels.{i}.{place}" for i in (0, 1) for place in places)
    assert learning == {name for name, _ in net.named_parameters() if name.startswith(trained)}
    touched = changed(net, before)
    assert all(name.startswith(trained) for name in touched)
    assert bool(touched) == (part == "late"), "batch-norms of what is trained go on counting"
    net.requires_grad_(True)
    assert all(module.training for module in net.train().modules()), "and thawed they train again"


def test_flip_averaging_is_of_the_file_and_of_evaluation_alone(tmp_path):
    plain, net = joined(3, 2), joined(3, 2)
    straight, mirrored, net.flip_average = net(IMAGES), net(IMAGES.flip(3)), True
    assert torch.equal(net(IMAGES), (straight + mirrored) / 2), "the mean over an image and its mirror image"
    assert torch.equal(checkpoint.load(written(tmp_path / "stage_2.pt", net), EDENet)(IMAGES), net(IMAGES))
    assert torch.equal(net.train()(IMAGES), plain.train()(IMAGES))


# --- files


def written(path, model, without=None, **changed):
    """Writes a network's file, with what belongs to its kind, or something else."""
    more = {"class_names": [], "tasks": [], "image_size": 32, "exemplars": {}, "configuration": {}}
    state = model.state_dict()
    content = {**model.described, **more, "fingerprint": checkpoint.fingerprint(state), "model": state, **changed}
    content.pop(without, None)
    storage.write_bytes(path, checkpoint.packed(model.KIND, content))
    return path


@pytest.mark.parametrize("model", [network(), joined(3, 2)], ids=["classifier", "ede_net"])
def test_a_network_reloads_to_the_same_bits_and_goes_on_training(model, tmp_path):
    again = checkpoint.load(written(tmp_path / "a.pt", model), type(model))
    assert not again.training
    assert same_state(again, model)
    assert torch.equal(again(IMAGES), model(IMAGES))
    assert all(p.is_contiguous(memory_format=torch.channels_last) for p in again.parameters() if p.ndim == 4)
    for each in (model, again):
        each.train()(IMAGES).square().mean().backward()
    gradients = zip(model.parameters(), again.parameters(), strict=True)
    assert all(torch.equal(one.grad, other.grad) for one, other in gradients)


@pytest.mark.parametrize(
    ("model", "wrong"),
    [
        (network(), {"widths": ([10**9] * 4, [2, 3, 4, 0]), "num_classes": (10**9, 0, 4), "format": ("ede-net-1",)}),
        (joined(3, 2), {"widths": ([[10**9] * 4] * 2, [[2, 3, 4, 5]]), "classes_per_task": ([3, 10**9], [3, 2, 5])}),
    ],
    ids=["classifier", "ede_net"],
)
def test_9_a_file_of_another_network_is_refused_before_anything_is_allocated(tmp_path, monkeypatch, model, wrong):
    """Issue 13.9."""
    places = set()
    monkeypatch.setattr(nn.Linear, "reset_parameters", lambda self: places.add(self.weight.device.type))
    for name, value in ((name, value) for name, values in wrong.items() for value in values):
        with pytest.raises(UserError, match=r"a\.pt"):
            checkpoint.load(written(tmp_path / "a.pt", model, **{name: value}), type(model))
    assert places == {"meta"}


def test_14_a_file_without_what_a_network_needs_is_refused(tmp_path):
    """Issue 13.14."""
    of_a_stage = ("widths", "classes_per_task", "model", "class_names", "tasks", "image_size", "exemplars")
    for model, names in ((network(), ("widths", "num_classes", "model")), (joined(3, 2), of_a_stage)):
        for name in names:
            with pytest.raises(UserError, match=name):
                checkpoint.load(written(tmp_path / "a.pt", model, without=name), type(model))
