"""A training step on another device than the CPU: nothing in it waits for a value, and no tensor is left behind.

The device is PyTorch's "meta", on which tensors have a shape and no values. To read one there is an error, and so is to
compute with it and with a tensor of the CPU; an accelerator would wait, or fail, in the same places.
"""

import pytest
import torch

import datasets.batches
import utils.method.training
import utils.running.randomness
from datasets.augment import Transform
from datasets.batches import Batches, Part
from models import EDENet, resnet18
from utils.method.distill import distilled
from utils.method.mixmatch import mixmatch
from utils.method.mixup import mixup, supervised
from utils.method.training import Schedule, Updates
from utils.running.device import Casting

CLASSES, META = 5, torch.device("meta")
SCHEDULE = Schedule(1, 1e-3, 5e-4, 5.0, evaluate_every=1, evaluate_last=1, save_every=1, amp="off")


class MetaGenerator(torch.Generator):
    """There is none on that device; the CPU's stands in, as no value is drawn there."""

    device = META


@pytest.fixture(autouse=True)
def meta(monkeypatch):
    """What PyTorch lacks on "meta": generators, autocast and Adam as one kernel."""
    plain = utils.running.randomness.generator

    def generator(device, *key):
        return MetaGenerator() if torch.device(device) == META else plain(device, *key)

    for module in (utils.running.randomness, datasets.batches):
        monkeypatch.setattr(module, "generator", generator)
    monkeypatch.setattr(utils.method.training.device, "casting", lambda amp, device: Casting("cpu", None))
    adam = torch.optim.Adam
    monkeypatch.setattr(torch.optim, "Adam", lambda *arguments, fused, **options: adam(*arguments, **options))


def network():
    return resnet18(CLASSES, (2, 3, 4, 5), seed=0).to(META)


def part(where, size=8, labelled=True, views=1):
    images = torch.zeros(20, 3, 32, 32, dtype=torch.uint8, device=where)
    labels = torch.zeros(20, dtype=torch.int64, device=where)
    return Part(images, labels if labelled else None, size, Transform(), views)


MIXMATCH = mixmatch(CLASSES, alpha=0.75, sharpening=0.5, lambda_u=10.0)
KINDS = {
    "supervised": lambda where: (network(), [part(where)], supervised),
    "distillation": lambda where: (
        network(),
        [part(where), part(where, size=4, labelled=False, views=2)],
        distilled(MIXMATCH, network(), 2.0),
    ),
    "stage two": lambda where: (EDENet([network(), network()]), [part(where), part(where)], mixup(2 * CLASSES, 0.75)),
}


@pytest.mark.parametrize(
    ("kind", "where"), [("supervised", "meta"), ("supervised", "cpu"), ("distillation", "meta"), ("stage two", "cpu")]
)
def test_a_step_reads_no_value_and_leaves_no_tensor_on_the_cpu(kind, where):
    model, parts, objective = KINDS[kind](where)
    updates = Updates(model, Batches(parts, 3, key=("test",), device=META), objective, SCHEDULE)
    for number in (0, 2):  # the third begins another pass over the images
        loss = updates.update(number, 1e-3)
    assert (loss.device, loss.shape) == (META, ())
    assert {parameter.grad.device for parameter in model.parameters()} == {META}
