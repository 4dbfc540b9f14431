"""Knowledge distillation: the loss, and teachers that see what the student sees and are never changed."""

import math

import pytest
import torch

from tests.method.linear import Linear, images, rows
from tests.models.networks import joined, network, same_state, state_of
from utils.method.distill import distillation_loss, distilled
from utils.method.mixmatch import mixmatch
from utils.method.mixup import mixup, supervised
from utils.method.stage_two import objective as stage_two_objective
from utils.running.options import settings
from utils.running.randomness import StepRandom


def logits(seed):
    return torch.randn(6, 4, generator=torch.Generator().manual_seed(seed)) * 3


def slow_loss(student, teacher, temperature):
    """T²·Σ_c p·log(p/q), p the teacher's and q the student's softened probabilities, mean over rows."""
    total = 0.0
    for s, t in zip(student.tolist(), teacher.tolist(), strict=True):
        q = [math.exp(value / temperature) for value in s]
        p = [math.exp(value / temperature) for value in t]
        q, p = [value / sum(q) for value in q], [value / sum(p) for value in p]
        total += sum(b * math.log(b / a) for a, b in zip(q, p, strict=True))
    return temperature**2 * total / len(student)


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_the_loss_equals_a_slow_version(temperature):
    found = distillation_loss(logits(0), logits(1), temperature)
    assert float(found) == pytest.approx(slow_loss(logits(0), logits(1), temperature), rel=1e-5)


@pytest.mark.parametrize(
    ("objective", "batch"),
    [
        (supervised, [rows(7)]),
        (mixup(4, 0.75), [rows(5), rows(3, 1)]),
        (mixmatch(4, 0.75, 0.5, 10.0), [rows(6), rows(5, 1, views=2)]),
    ],
    ids=["supervised", "mixup", "mixmatch"],
)
@pytest.mark.parametrize(("outputs", "weight"), [([4], 1.0), ([1, 3], 3.0)])
def test_each_teacher_sees_the_rows_of_the_student_in_the_same_order(objective, batch, outputs, weight):
    """And teaches its own outputs, which have a softmax of their own."""
    student, teachers = Linear(0), [Linear(1 + i, classes=count) for i, count in enumerate(outputs)]
    alone = objective(student, batch, StepRandom("cpu", 0))
    together = distilled(objective, teachers, 2.0, weight)(student, batch, StepRandom("cpu", 0))
    for teacher in teachers:
        (taught,) = teacher.seen
        assert torch.equal(taught, alone.inputs)
    torch.testing.assert_close(together.logits, student(alone.inputs))
    pairs = zip(student(alone.inputs).split(outputs, dim=1), teachers, strict=True)
    slow = sum(slow_loss(own, teacher(alone.inputs), 2.0) for own, teacher in pairs)
    assert float((together.loss - alone.loss).detach()) == pytest.approx(weight * slow, rel=1e-3, abs=1e-5)


def test_teaching_leaves_the_teacher_as_it_was():
    student, teacher = network(4, seed=1).train(), network(4).train()
    before, modes = state_of(teacher), []
    teacher.register_forward_hook(lambda module, *_: modes.append({each.training for each in module.modules()}))
    x, u = rows(6), rows(5, 1, views=2)
    x.views[:], u.views[:] = [images(6, 0, 32)], [images(5, seed, 32) for seed in (1, 2)]
    objective = distilled(mixmatch(4, 0.75, 0.5, 10.0), [teacher], 2.0)
    objective(student, [x, u], StepRandom("cpu", 0)).loss.backward()
    assert modes == [{False}], "in evaluation mode"
    assert same_state(before, teacher)
    assert all(parameter.grad is None for parameter in teacher.parameters())
    assert all(parameter.grad is not None for parameter in student.parameters())


def test_stage_two_teaches_by_the_networks_as_it_began():
    net, batch, key = joined(2, 2, 3), [rows(4), rows(3)], StepRandom("cpu", "step")
    for part in batch:
        part.views[:] = [images(len(part.labels), size=16)]
    taught = stage_two_objective(net, settings({"finetune_distillation": 3.0, "finetune_mixup": False}))
    plain = mixup(7, 0.0)
    inputs = torch.cat([part.views[0] for part in batch])
    before = net(inputs).detach().split([4, 3], dim=1)
    assert taught(net, batch, key).loss.item() == pytest.approx(plain(net, batch, key).loss.item(), rel=1e-5)
    with torch.no_grad():
        net.submodels[0].head.weight[0] *= 20
    slow = sum(slow_loss(*pair, 2.0) for pair in zip(net(inputs).split([4, 3], dim=1), before, strict=True))
    added = taught(net, batch, key).loss.item() - plain(net, batch, key).loss.item()
    assert added == pytest.approx(3 * slow, rel=1e-3)
    assert all(parameter.requires_grad for parameter in net.parameters())
