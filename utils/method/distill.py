"""Knowledge distillation (Hinton et al. 2015, arXiv 1503.02531, section 2)."""

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


def distilled(objective: Objective, teacher: nn.Module, temperature: float) -> Objective:
    """`objective` plus the distillation loss from `teacher` on the very rows the student saw, in the same order.

    The teacher stays in evaluation mode and gets no gradient.
    """
    teacher.eval().requires_grad_(False)

    def with_teacher(model: nn.Module, batch: list[Rows], random: StepRandom) -> Outcome:
        outcome = objective(model, batch, random)
        with torch.no_grad():
            taught = teacher(outcome.inputs)
        return outcome._replace(loss=outcome.loss + distillation_loss(outcome.logits, taught, temperature))

    return with_teacher
