"""Knowledge distillation: the loss, and a teacher that sees what the student sees and is never changed."""

import math

import pytest
import torch

from tests.method.linear import Linear, images, rows
from tests.models.networks import network, same_state, state_of
from utils.method.distill import distillation_loss, distilled
from utils.method.mixmatch import mixmatch
from utils.method.mixup import mixup, supervised
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


@pytest.mark.parametrize("temperature", [1.0, 2.0, 4.0])
def test_the_loss_equals_a_slow_version(temperature):
    found = distillation_loss(logits(0), logits(1), temperature)
    assert float(found) == pytest.approx(slow_loss(logits(0), logits(1), temperature), rel=1e-5)
    assert float(distillation_loss(logits(0) + 5, logits(0), temperature)) == pytest.approx(0, abs=1e-5)


OBJECTIVES = {
    "supervised": (supervised, [rows(7)]),
    "mixup of two parts": (mixup(4, 0.75), [rows(5), rows(3, 1)]),
    "mixmatch": (mixmatch(4, 0.75, 0.5, 10.0), [rows(6), rows(5, 1, views=2)]),
    "mixmatch, even": (mixmatch(4, 0.75, 0.5, 10.0), [rows(8), rows(4, 1, views=2)]),
}


@pytest.mark.parametrize("name", OBJECTIVES)
def test_the_teacher_sees_the_rows_of_the_student_in_the_same_order(name):
    objective, batch = OBJECTIVES[name]
    student, teacher = Linear(0), Linear(1)
    outcome = distilled(objective, teacher, 2.0)(student, batch, StepRandom("cpu", 0))
    (taught,) = teacher.seen
    assert len(taught) == len(outcome.logits)
    for row in range(len(taught)):
        torch.testing.assert_close(outcome.logits[row], student(taught[row : row + 1])[0])


@pytest.mark.parametrize("name", OBJECTIVES)
def test_the_loss_is_the_objectives_plus_the_distillation_of_every_row(name):
    objective, batch = OBJECTIVES[name]
    student, teacher = Linear(0), Linear(1)
    alone = objective(student, batch, StepRandom("cpu", 0))
    together = distilled(objective, teacher, 2.0)(student, batch, StepRandom("cpu", 0))
    slow = slow_loss(student(alone.inputs), teacher(alone.inputs), 2.0)
    assert float((together.loss - alone.loss).detach()) == pytest.approx(slow, rel=1e-3)


def test_teaching_leaves_the_teacher_as_it_was():
    student, teacher = network(4, seed=1).train(), network(4).train()
    before, modes = state_of(teacher), []
    teacher.register_forward_hook(lambda module, *_: modes.append({each.training for each in module.modules()}))
    x, u = rows(6), rows(5, 1, views=2)
    x.views[:], u.views[:] = [images(6, 0, 32)], [images(5, seed, 32) for seed in (1, 2)]
    objective = distilled(mixmatch(4, 0.75, 0.5, 10.0), teacher, 2.0)
    for number in range(2):
        objective(student, [x, u], StepRandom("cpu", number)).loss.backward()
    assert modes == [{False}] * 2, "in evaluation mode at every step"
    assert same_state(before, teacher)
    assert all(parameter.grad is None for parameter in teacher.parameters())
    assert all(parameter.grad is not None for parameter in student.parameters())


def test_under_autocast_the_loss_is_computed_in_full_precision():
    """Binary cross-entropy, which is not the usual loss, fails there."""
    objective, batch = OBJECTIVES["mixmatch"]
    full = distilled(objective, Linear(1), 2.0)(Linear(0), batch, StepRandom("cpu", 0)).loss
    with torch.autocast("cpu", torch.bfloat16):
        cast = distilled(objective, Linear(1), 2.0)(Linear(0), batch, StepRandom("cpu", 0))
    assert (cast.logits.dtype, cast.loss.dtype) == (torch.bfloat16, torch.float32)
    assert float(cast.loss.detach()) == pytest.approx(float(full.detach()), rel=0.05)
