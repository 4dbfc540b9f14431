"""Knowledge distillation (Hinton et al. 2015, arXiv 1503.02531, section 2), in both stages.

In stage one the unpruned network teaches a compressed one. In stage two it preserves what the networks could do before
they were joined: Learning without Forgetting (Li & Hoiem 2016, arXiv 1606.09282, section 3), in which the network as it
was answers the new images. Two networks answer there: the joined one of the stage before for the old classes, and stage
one's new sub-model for the new ones.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from datasets.batches import Rows
from utils.method.mixup import Objective, Outcome
from utils.running.randomness import StepRandom


def distillation_loss(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """T² · KL(softmax(teacher/T) ‖ softmax(student/T)), mean over rows; logits [N, C] row for row -> scalar."""
    log_q = F.log_softmax(student.float() / temperature, dim=1)
    log_p = F.log_softmax(teacher.float() / temperature, dim=1)
    return F.kl_div(log_q, log_p, reduction="batchmean", log_target=True) * temperature**2


def distilled(
    objective: Objective, teachers: Sequence[nn.Module], temperature: float, weight: float = 1.0
) -> Objective:
    """`objective` plus `weight` times the distillation loss of each teacher, on the very rows that the student saw.

    Args:
        teachers: their outputs, side by side, are the student's, and each softmax is over one teacher's outputs alone.
            They stay in evaluation mode and get no gradient.
    """
    for teacher in teachers:
        teacher.eval().requires_grad_(False)

    def with_teachers(model: nn.Module, batch: list[Rows], random: StepRandom) -> Outcome:
        outcome = objective(model, batch, random)
        with torch.no_grad():
            taught = [teacher(outcome.inputs) for teacher in teachers]
        own = outcome.logits.split([logits.shape[1] for logits in taught], dim=1)
        losses = [distillation_loss(*pair, temperature) for pair in zip(own, taught, strict=True)]
        return outcome._replace(loss=outcome.loss + weight * sum(losses))

    return with_teachers
