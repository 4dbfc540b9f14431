"""Knowledge distillation: the loss, and teachers that see what the student sees and are never changed."""

import math

import pytest
import torch

from tests.method.linear import Linear, images, rows, slow_softmax
from tests.models.networks import joined, network, same_state, state_of
from utils.method.distill import distilled
from utils.method.mixmatch import mixmatch
from utils.method.mixup import mixup, supervised
from utils.method.stage_two import objective as stage_two_objective
from utils.running.options import settings
from utils.running.randomness import StepRandom


def slow_loss(student, teacher, temperature):
    """T²·Σ_c p·log(p/q), p the teacher's and q the student's softened probabilities, mean over rows."""
    total = 0.0
    for rows_of_both in zip((student / temperature).tolist(), (teacher / temperature).tolist(), strict=True):
        q, p = map(slow_softmax, rows_of_both)
        total += sum(b * math.log(b / a) for a, b in zip(q, p, strict=True))
    return temperature**2 * total / len(student)


@pytest.mark.parametrize(
    ("objective", "batch"),
    [
        (supervised, [rows(7)]),
        (mixup(4, 0.75), [rows(5), rows(3, 1)]),
        (mixmatch(4, 0.75, 0.5, 10.0), [rows(6), rows(5, 1, views=2)]),
    ],
    ids=["supervised", "mixup", "mixmatch"],
)
def test_the_teacher_sees_the_rows_of_the_student_in_the_same_order_and_the_loss_equals_a_slow_version(
    objective, batch
):
    student, teacher = Linear(0), Linear(1)
    alone = objective(student, batch, StepRandom("cpu", 0))
    together = distilled(objective, [teacher], 3.0)(student, batch, StepRandom("cpu", 0))
    (taught,) = teacher.seen
    assert torch.equal(taught, alone.inputs)
    torch.testing.assert_close(together.logits, student(alone.inputs))
    slow = slow_loss(student(alone.inputs), teacher(alone.inputs), 3.0)
    assert float((together.loss - alone.loss).detach()) == pytest.approx(slow, rel=1e-3)


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


@pytest.mark.parametrize(("mixed", "alpha"), [(True, 0.75), (False, 0.0)])
def test_stage_two_is_taught_by_the_networks_as_it_began_each_by_its_own_outputs(mixed, alpha):
    net, begun, batch = joined(2, 2, 3), joined(2, 2, 3), [rows(4), rows(3)]
    for part in batch:
        part.views[:] = [images(len(part.labels), size=16)]
    options = [{"finetune_mixup": mixed, "finetune_distillation": weight} for weight in (0.0, 3.0)]
    plain, taught = (stage_two_objective(net, settings(each)) for each in options)
    net.submodels[0].head.weight.data[0] *= 20
    wanted, untaught, found = (each(net, batch, StepRandom("cpu", 0)) for each in (mixup(7, alpha), plain, taught))
    assert untaught.loss.item() == wanted.loss.item()
    both = (each(found.inputs).split([4, 3], dim=1) for each in (net, begun))
    slow = sum(slow_loss(*pair, 2.0) for pair in zip(*both, strict=True))
    assert (found.loss - wanted.loss).item() == pytest.approx(3 * slow, rel=1e-3)
    assert all(parameter.requires_grad for parameter in net.parameters())
