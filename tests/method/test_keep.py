"""Distillation in stage two against a slow, obvious version."""

import math

import pytest
import torch

from datasets.batches import Rows
from models.ede_net import EDENet
from models.resnet import resnet18
from utils.method.keep import kept
from utils.method.mixup import mixup
from utils.method.stage_two import objective as joined_objective
from utils.running.options import settings as settings_of
from utils.running.randomness import StepRandom

WEIGHT, TEMPERATURE = 3.0, 2.0


def networks():
    old = [resnet18(2, (4, 4, 4, 4), seed=seed) for seed in (0, 1)]
    return EDENet(old).eval(), resnet18(3, (4, 4, 4, 4), seed=2).eval()


def student() -> EDENet:
    return EDENet(resnet18(classes, (4, 4, 4, 4), seed=seed) for seed, classes in ((3, 2), (4, 2), (5, 3))).eval()


def batch() -> list[Rows]:
    random = torch.Generator().manual_seed(0)
    return [Rows([torch.rand(count, 3, 8, 8, generator=random)], torch.arange(count)) for count in (4, 3)]


def softmax(values):
    powers = [math.exp(value / TEMPERATURE) for value in values]
    return [power / sum(powers) for power in powers]


def slow_distillation(inputs, logits, teachers) -> float:
    """T² · Σ p·log(p/q), group after group and row after row; mean over rows."""
    total = 0.0
    for row, image in zip(logits.tolist(), inputs, strict=True):
        start = 0
        for teacher in teachers:
            taught = softmax(teacher(image[None])[0].tolist())
            own = softmax(row[start : start + len(taught)])
            total += sum(p * math.log(p / q) for p, q in zip(taught, own, strict=True))
            start += len(taught)
    return TEMPERATURE**2 * total / len(inputs)


@pytest.mark.parametrize("alpha", [0.0, 0.75])
def test_both_groups_of_outputs_are_taught(alpha):
    net, teachers = student(), networks()
    plain = mixup(7, alpha)
    without = plain(net, batch(), StepRandom("cpu", "step"))
    outcome = kept(plain, teachers, WEIGHT)(net, batch(), StepRandom("cpu", "step"))
    expected = without.loss.item() + WEIGHT * slow_distillation(without.inputs, without.logits, teachers)
    assert outcome.loss.item() == pytest.approx(expected, rel=1e-4)


def test_without_mixup_the_rows_are_as_they_are():
    outcome = mixup(7, 0.0)(student(), batch(), StepRandom("cpu", "step"))
    assert torch.equal(outcome.inputs, torch.cat([rows.views[0] for rows in batch()]))


def test_stage_two_teaches_by_the_network_as_it_began():
    net = student()
    settings = settings_of({"finetune_distillation": WEIGHT, "finetune_mixup": False})
    objective = joined_objective(net, settings)
    at_first = objective(net, batch(), StepRandom("cpu", "step"))
    plain = mixup(7, 0.0)(net, batch(), StepRandom("cpu", "step"))
    assert at_first.loss.item() == pytest.approx(plain.loss.item(), rel=1e-5)  # nothing to learn from oneself
    with torch.no_grad():
        net.submodels[0].head.weight.add_(1.0)
        net.submodels[0].head.weight[0] *= 2
    moved, plain = (each(net, batch(), StepRandom("cpu", "step")).loss for each in (objective, mixup(7, 0.0)))
    assert moved > plain
    assert all(parameter.requires_grad for parameter in net.parameters())
