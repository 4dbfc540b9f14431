"""The joined network, and the files of both networks."""

import pytest
import torch
from torch import nn

from models import EDENet, ResNet18
from tests.models.networks import changed, joined, network, same_state, state_of
from utils.running import checkpoint, storage
from utils.running.errors import UserError

IMAGES = torch.rand(5, 3, 32, 32, generator=torch.Generator().manual_seed(3))


def test_logits_are_the_sub_models_logits_one_after_the_other():
    net = joined(3, 2, 4)
    logits = net(IMAGES)
    assert logits.shape == (5, 9)
    assert torch.equal(net.features(IMAGES), torch.cat([each.features(IMAGES) for each in net.submodels], dim=1))
    for submodel, offset in zip(net.submodels, (0, 3, 5), strict=True):
        assert torch.equal(logits[:, offset : offset + submodel.num_classes], submodel(IMAGES))


def test_growing_keeps_the_outputs_of_the_tasks_before():
    net = joined(3)
    before = net(IMAGES)
    net.grow(network(2, (3, 3, 3, 3), seed=1))
    assert torch.equal(net(IMAGES)[:, :3], before)
    assert (net.num_classes, net.classes_per_task) == (5, [3, 2])
    assert net.widths == [(2, 3, 4, 5), (3, 3, 3, 3)]
    assert len(net.state_dict()) == 2 * len(network().state_dict()), "every sub-model is in the state"
    assert len(list(net.parameters())) == 2 * len(list(network().parameters()))


def test_every_sub_model_normalises_by_its_own_statistics_also_from_a_state():
    net, other = joined(3, 2), joined(3, 2)
    net.submodels[1].mean.fill_(0.1)
    assert not torch.equal(net(IMAGES)[:, 3:], other(IMAGES)[:, 3:])
    assert torch.equal(net(IMAGES)[:, :3], other(IMAGES)[:, :3])
    other.load_state_dict(net.state_dict())
    assert torch.equal(net(IMAGES), other(IMAGES))


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


def test_flip_average_is_the_mean_over_an_image_and_its_mirror_image(tmp_path):
    plain, net = joined(3, 2), joined(3, 2)
    net.flip_average = True
    assert torch.equal(net(IMAGES), (plain(IMAGES) + plain(IMAGES.flip(3))) / 2)
    assert torch.equal(reloaded(written(tmp_path / "stage_2.pt", net.eval()), net)(IMAGES), net(IMAGES))
    assert torch.equal(net.train()(IMAGES), plain.train()(IMAGES)), "in training the image alone"


def test_a_discriminant_is_of_the_file_and_goes_when_the_next_task_joins(tmp_path):
    plain, net = joined(3, 2), joined(3, 2)
    net.discriminant = nn.Linear(5 + 6, 5)
    torch.testing.assert_close(net(IMAGES), plain(IMAGES) + net.discriminant(plain.features(IMAGES)))
    assert torch.equal(reloaded(written(tmp_path / "stage_2.pt", net), net)(IMAGES), net(IMAGES))
    net.grow(network(2, seed=5))
    assert torch.equal(net(IMAGES)[:, :5], plain(IMAGES))


# --- files


def written(path, model):
    """Writes a network's file, with what belongs to its kind."""
    more = {"class_names": [], "tasks": [], "image_size": 32, "exemplars": {}, "configuration": {}}
    state = model.state_dict()
    content = {**model.described, **more, "fingerprint": checkpoint.fingerprint(state), "model": state}
    storage.write_bytes(path, checkpoint.packed(model.KIND, content))
    return path


def reloaded(path, model):
    return checkpoint.load(path, type(model))


@pytest.fixture(params=["classifier", "ede_net"])
def model(request):
    return network() if request.param == "classifier" else joined(3, 2)


def test_a_network_reloads_to_the_same_bits_and_goes_on_training(model, tmp_path):
    again = reloaded(written(tmp_path / "a.pt", model), model)
    assert not again.training
    assert same_state(again, model)
    assert torch.equal(again(IMAGES), model(IMAGES))
    assert all(p.is_contiguous(memory_format=torch.channels_last) for p in again.parameters() if p.ndim == 4)
    for each in (model, again):
        each.train()(IMAGES).square().mean().backward()
    gradients = zip(model.parameters(), again.parameters(), strict=True)
    assert all(torch.equal(one.grad, other.grad) for one, other in gradients)


@pytest.mark.parametrize(
    ("kind", "described"),
    [
        *[(ResNet18, {"widths": each}) for each in ([10**9] * 4, [2, 3, 4], [2, 3, 4, 0])],
        *[(ResNet18, {"num_classes": each}) for each in (10**9, 0, 4)],
        *[(EDENet, {"widths": each}) for each in ([[10**9] * 4] * 2, [[2, 3, 4, 5]], [])],
        *[(EDENet, {"classes_per_task": each}) for each in ([3, 10**9], [3, 2, 5])],
    ],
    ids=str,
)
def test_a_file_that_describes_another_network_is_refused_before_anything_is_allocated(
    tmp_path, monkeypatch, kind, described
):
    model, places = network() if kind is ResNet18 else joined(3, 2), set()
    path = written(tmp_path / "a.pt", model)
    content = {**checkpoint.read(path, model.KIND), **described}
    monkeypatch.setattr(nn.Linear, "reset_parameters", lambda self: places.add(self.weight.device.type))
    with pytest.raises(UserError, match=r"a\.pt"):
        checkpoint.built(content, path, kind)
    assert places <= {"meta"}
