"""What a training costs beside its forward passes, backward passes and updates."""

import contextlib
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from datasets.augment import Transform
from datasets.batches import Batches, Part
from models import EDENet, resnet18
from tests.benchmark.figure import (
    CLASSES,
    Figure,
    Plan,
    Widths,
    alternate,
    labels,
    milliseconds,
    noise,
    quotients,
)
from utils.method import training
from utils.method.distill import distilled
from utils.method.mixmatch import mixmatch
from utils.method.mixup import Objective, mixup
from utils.method.stage_two import exemplar_rows
from utils.method.training import Schedule
from utils.results import tables
from utils.running import device
from utils.running.console import Console
from utils.running.options import Settings

OVERHEAD = "epoch as training.fit runs it / its bare forward, backward and optimiser steps"


@dataclass(frozen=True)
class Comparison:
    """One kind of training: `epoch` is one of `steps` steps as `training.fit` runs it, `bare` its bare steps."""

    model: nn.Module
    teacher: nn.Module | None
    steps: int
    epoch: Callable[[], object]
    bare: Callable[[], object]

    def figure(self, name: str, at_most: float, plan: Plan) -> Figure:
        """The epoch over the bare steps."""
        epoch, bare = alternate([self.epoch, self.bare], plan)
        details = {
            "ms_per_step": milliseconds(epoch, self.steps),
            "ms_per_bare_step": milliseconds(bare, self.steps),
        }
        return Figure(name, OVERHEAD, quotients(epoch, bare), at_most=at_most, details=details)


def adam(model: nn.Module, settings: Settings) -> torch.optim.Adam:
    """The optimiser of `training.fit`."""
    return torch.optim.Adam(model.parameters(), lr=settings.lr, weight_decay=settings.weight_decay, fused=True)


def ready(rows: int, plan: Plan) -> Tensor:
    """Rows as augmentation would leave them: float32 [rows, 3, 32, 32] in [0, 1] on the device."""
    return torch.rand(rows, 3, 32, 32).to(plan.device)


def soft_targets(rows: int, classes: int, plan: Plan) -> Tensor:
    """Targets [rows, classes] whose rows sum to 1, on the device."""
    return torch.rand(rows, classes).softmax(dim=1).to(plan.device)


def bare_steps(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    steps: int,
    parts: Sequence[Tensor],
    targets: Tensor,
    amp: str,
    guessed: Tensor | None = None,
    taught: tuple[nn.Module, Tensor] | None = None,
) -> None:
    """Nothing but forward passes, backward passes and updates, on tensors that are ready.

    Args:
        parts: the rows of each forward pass that gets a gradient; `targets`: of all of them.
        guessed: the rows whose labels are guessed, in a forward pass without gradient.
        taught: a teacher and the rows that it sees, in a forward pass without gradient.
    """
    casting = device.casting(amp, targets.device)
    model.train()
    for _ in range(steps):
        if guessed is not None:
            with torch.no_grad(), casting.autocast():
                model(guessed)
        with casting.autocast():
            loss = F.cross_entropy(torch.cat([model(rows) for rows in parts]).float(), targets)
            if taught is not None:
                teacher, rows = taught
                with torch.no_grad():
                    teacher(rows)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()


def fit(model: nn.Module, batches: Batches, objective: Objective, settings: Settings) -> None:
    """One epoch of the repository's training loop, which says nothing and evaluates nothing."""
    with contextlib.redirect_stdout(io.StringIO()):
        training.fit(model, batches, objective, Schedule.of(settings, 1, settings.lr), Console(), "benchmark")


def mixmatch_batches(steps: int, plan: Plan) -> Batches:
    """An epoch of so many batches of labelled and unlabelled images, augmented as in stage one."""
    settings = plan.settings
    transform = Transform(settings.padding, settings.rotation)
    images = noise(steps * settings.batch_size, plan)
    unlabelled = noise(2 * steps * settings.unlabeled_batch_size, plan)
    parts = [
        Part(images, labels(len(images), plan), settings.batch_size, transform),
        Part(unlabelled, None, settings.unlabeled_batch_size, transform, settings.unlabeled_views),
    ]
    return Batches(parts, steps, key=("benchmark", "stage one"))


def mixmatch_objective(settings: Settings) -> Objective:
    """Stage one's loss."""
    return mixmatch(CLASSES, settings.alpha, settings.sharpening, settings.lambda_u)


def stage_one_comparison(plan: Plan, widths: Widths, steps: int, teacher_widths: Widths | None = None) -> Comparison:
    """MixMatch, with distillation if there is a teacher."""
    settings = plan.settings
    model = resnet18(CLASSES, widths, seed=0).to(plan.device)
    objective, teacher, taught = mixmatch_objective(settings), None, None
    guessed = ready(settings.unlabeled_batch_size * settings.unlabeled_views, plan)
    inputs = ready(settings.batch_size + len(guessed), plan)
    if teacher_widths is not None:
        teacher = resnet18(CLASSES, teacher_widths, seed=1).to(plan.device)
        objective = distilled(objective, teacher, settings.temperature)
        taught = teacher, inputs
    passes = max(1, round(len(inputs) / settings.batch_size))
    parts = [inputs[part::passes].contiguous() for part in range(passes)]
    targets = soft_targets(len(inputs), CLASSES, plan)

    def bare() -> None:
        bare_steps(model, adam(model, settings), steps, parts, targets, settings.amp, guessed, taught)

    return Comparison(
        model, teacher, steps, partial(fit, model, mixmatch_batches(steps, plan), objective, settings), bare
    )


def stage_two_comparison(plan: Plan) -> Comparison:
    """Fine-tuning of the joined network on exemplars and current images."""
    settings, steps, old = plan.settings, plan.narrow_steps, (plan.joined - 1) * CLASSES
    model = EDENet(resnet18(CLASSES, plan.compressed, seed=number) for number in range(plan.joined)).to(plan.device)
    size = settings.finetune_batch_size
    rows, transform = exemplar_rows(size, old, CLASSES), Transform(settings.padding, settings.finetune_rotation)
    exemplars, current = noise(rows * steps, plan), noise(steps * size, plan)
    parts = [
        Part(exemplars, labels(len(exemplars), plan, old), rows, transform),
        Part(current, old + labels(len(current), plan), size - rows, transform),
    ]
    batches = Batches(parts, steps, key=("benchmark", "stage two"))
    inputs, targets = ready(size, plan), soft_targets(size, model.num_classes, plan)

    def bare() -> None:
        bare_steps(model, adam(model, settings), steps, [inputs], targets, settings.amp)

    return Comparison(
        model, None, steps, partial(fit, model, batches, mixup(model.num_classes, settings.alpha), settings), bare
    )


def stage_one_figures(plan: Plan) -> list[Figure]:
    """MixMatch beside its bare steps, for a narrow and for a wide network."""
    return [
        stage_one_comparison(plan, widths, steps).figure(f"stage one {tables.widths(widths)}", at_most, plan)
        for widths, steps, at_most in ((plan.narrow, plan.narrow_steps, 1.05), (plan.wide, plan.wide_steps, 1.02))
    ]


def distillation_figures(plan: Plan) -> list[Figure]:
    """Distillation beside its bare steps, which the teacher's forward pass is one of."""
    comparison = stage_one_comparison(plan, plan.compressed, plan.narrow_steps, teacher_widths=plan.narrow)
    name = f"distillation {tables.widths(plan.compressed)} from {tables.widths(plan.narrow)}"
    return [comparison.figure(name, 1.06, plan)]


def stage_two_figures(plan: Plan) -> list[Figure]:
    """Fine-tuning beside its bare steps."""
    name = f"stage two {plan.joined} of {tables.widths(plan.compressed)}"
    return [stage_two_comparison(plan).figure(name, 1.06, plan)]
