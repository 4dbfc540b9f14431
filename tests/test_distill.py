"""Knowledge distillation: the loss, and a teacher that sees what the student sees and is never changed."""

import copy
import math

import pytest
import torch
from torch import nn

from datasets.augment import Transform
from datasets.batches import Batches, Part, Rows
from models import resnet18
from utils.console import Console
from utils.distill import distillation_loss, distilled
from utils.mixmatch import mixmatch
from utils.mixup import mixup, supervised
from utils.randomness import StepRandom
from utils.training import Schedule, fit

CLASSES = 3


def logits(seed, rows=6):
    return torch.randn(rows, CLASSES, generator=torch.Generator().manual_seed(seed)) * 3


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


def test_the_divergence_goes_from_the_teacher_to_the_student():
    assert slow_loss(logits(0), logits(1), 2.0) != pytest.approx(slow_loss(logits(1), logits(0), 2.0), rel=0.01)


@pytest.mark.parametrize("temperature", [1.0, 2.0, 4.0])
def test_equal_logits_cost_nothing(temperature):
    assert float(distillation_loss(logits(0), logits(0), temperature)) == pytest.approx(0, abs=1e-6)
    assert float(distillation_loss(logits(0) + 5, logits(0), temperature)) == pytest.approx(0, abs=1e-5)


def test_gradients_keep_their_size_at_every_temperature():
    """The purpose of T² (Hinton et al. 2015, section 2): at high temperatures they tend to (student − teacher) / C."""
    sizes = []
    for temperature in (20.0, 40.0):
        student = (logits(0) * 0.1).requires_grad_()
        distillation_loss(student, logits(1) * 0.1, temperature).backward()
        sizes.append(float(student.grad.norm()))
    assert sizes[0] == pytest.approx(sizes[1], rel=0.05)


class Linear(nn.Module):
    """Logits that depend on a row alone; remembers every batch it saw."""

    def __init__(self, seed):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(48, CLASSES, generator=torch.Generator().manual_seed(seed)))
        self.seen = []

    def forward(self, x):
        self.seen.append(x.detach().clone())
        return x.flatten(1) @ self.weight


def rows(count, seed, labelled=True, views=1):
    generator = torch.Generator().manual_seed(seed)
    pictures = [torch.rand(count, 3, 4, 4, generator=generator) for _ in range(views)]
    return Rows(pictures, torch.arange(count) % CLASSES if labelled else None)


OBJECTIVES = {
    "supervised": (supervised, [rows(7, 0)]),
    "mixup": (mixup(CLASSES, 0.75), [rows(7, 0)]),
    "mixup of two parts": (mixup(CLASSES, 0.75), [rows(5, 0), rows(3, 1)]),
    "mixmatch": (mixmatch(CLASSES, 0.75, 0.5, 10.0), [rows(6, 0), rows(5, 1, labelled=False, views=2)]),
    "mixmatch, even": (mixmatch(CLASSES, 0.75, 0.5, 10.0), [rows(8, 0), rows(4, 1, labelled=False, views=2)]),
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


@pytest.mark.parametrize("name", OBJECTIVES)
def test_a_student_that_equals_its_teacher_pays_for_its_objective_only(name):
    objective, batch = OBJECTIVES[name]
    alone = objective(Linear(0), batch, StepRandom("cpu", 0)).loss
    together = distilled(objective, Linear(0), 2.0)(Linear(0), batch, StepRandom("cpu", 0)).loss
    assert float((together - alone).detach()) == pytest.approx(0, abs=1e-5)


def test_the_teacher_gets_no_gradient():
    objective, batch = OBJECTIVES["mixmatch"]
    student, teacher = Linear(0), Linear(1)
    distilled(objective, teacher, 2.0)(student, batch, StepRandom("cpu", 0)).loss.backward()
    assert teacher.weight.grad is None
    assert student.weight.grad is not None


@pytest.mark.parametrize("amp", ["off", "bfloat16"])
def test_training_a_student_leaves_the_teacher_as_it_was(amp):
    generator = torch.Generator().manual_seed(0)
    pictures = torch.randint(0, 256, (12, 3, 32, 32), generator=generator).byte()
    teacher = resnet18(CLASSES, (3, 4, 5, 6), seed=0).train()
    before = copy.deepcopy(teacher.state_dict())
    modes = []
    teacher.register_forward_hook(lambda module, inputs, output: modes.append({m.training for m in module.modules()}))
    parts = [
        Part(pictures, torch.arange(12) % CLASSES, 4, Transform()),
        Part(pictures, None, 2, Transform(), views=2),
    ]
    student = resnet18(CLASSES, (2, 3, 4, 5), seed=1)
    started = copy.deepcopy(student.state_dict())
    fit(
        student,
        Batches(parts, 3, (0,)),
        distilled(mixmatch(CLASSES, 0.75, 0.5, 10.0), teacher, 2.0),
        Schedule(1e-2, 5e-4, 5.0, amp, epochs=2, evaluate_every=1, evaluate_last=1, save_every=1),
        Console(quiet=True),
        "test",
        evaluate=lambda model: 0.0,
    )
    assert modes == [{False}] * 6, "in evaluation mode at every step"
    assert all(torch.equal(before[name], value) for name, value in teacher.state_dict().items())
    assert all(parameter.grad is None for parameter in teacher.parameters())
    assert not torch.equal(started["head.weight"], student.state_dict()["head.weight"])


def test_under_bfloat16_autocast_the_loss_is_computed_in_full_precision():
    objective, batch = OBJECTIVES["mixmatch"]
    student, teacher = Linear(0), Linear(1)
    full = distilled(objective, teacher, 2.0)(student, batch, StepRandom("cpu", 0)).loss
    with torch.autocast("cpu", torch.bfloat16):
        cast = distilled(objective, teacher, 2.0)(student, batch, StepRandom("cpu", 0))
    assert cast.logits.dtype == torch.bfloat16
    assert cast.loss.dtype == torch.float32
    assert float(cast.loss.detach()) == pytest.approx(float(full.detach()), rel=0.05)
    cast.loss.backward()
    assert torch.isfinite(student.weight.grad).all()
