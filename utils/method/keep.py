"""Distillation in stage two: what the networks could before they were joined is kept.

Learning without Forgetting (Li & Hoiem 2016, arXiv 1606.09282, section 3): the network as it was answers the new
images, and its answers are kept. Here two networks are, as they were when stage two began: the joined network of the
stage before, of the old classes, and stage one's new sub-model, of the new ones.
"""

from collections.abc import Sequence

import torch
from torch import nn

from datasets.batches import Rows
from utils.method.distill import distillation_loss
from utils.method.mixup import Objective, Outcome
from utils.running.randomness import StepRandom

TEMPERATURE = 2.0  # Li & Hoiem 2016, section 3.2


def kept(objective: Objective, teachers: Sequence[nn.Module], weight: float) -> Objective:
    """`objective` plus weight·T²·KL(teacher ‖ model) over each teacher's outputs, on the very rows that the model saw.

    Both sides are divided by T before the softmax, which is over the teacher's own outputs alone.

    Args:
        teachers: frozen networks; their outputs, side by side, are the model's. They stay in evaluation mode.
    """
    for teacher in teachers:
        teacher.eval().requires_grad_(False)

    def with_teachers(model: nn.Module, batch: list[Rows], random: StepRandom) -> Outcome:
        outcome = objective(model, batch, random)
        with torch.no_grad():
            taught = [teacher(outcome.inputs) for teacher in teachers]
        groups = outcome.logits.split([logits.shape[1] for logits in taught], dim=1)
        losses = [distillation_loss(own, its, TEMPERATURE) for own, its in zip(groups, taught, strict=True)]
        return outcome._replace(loss=outcome.loss + weight * sum(losses))

    return with_teachers
