"""What a training costs beside its forward passes, backward passes and updates, and what joining sub-models costs."""

import contextlib
import io
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from types import SimpleNamespace
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from datasets.augment import Transform
from datasets.batches import Batches, Part
from models import EDENet, resnet18
from tests.benchmark.figure import CLASSES, Figure, Plan, Widths, alternate, noise
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


@dataclass(frozen=True)
class Epoch:
    """One epoch of the repository's training loop when called, which says nothing and evaluates nothing."""

    model: nn.Module
    batches: Batches
    objective: Objective
    settings: Settings

    def __call__(self) -> None:
        schedule = Schedule(self.settings, 1, self.settings.lr)
        run = SimpleNamespace(dry=False, console=Console())
        unsaved = SimpleNamespace(run=run, saved_training=lambda: None, save_training=lambda content: None)
        with contextlib.redirect_stdout(io.StringIO()):
            training.fit(self.model, self.batches, self.objective, schedule, unsaved, "benchmark")


class Pass(NamedTuple):
    """A forward pass: of which network, of which rows, and whether a gradient follows."""

    model: nn.Module
    rows: Tensor
    gradient: bool


def passes_of(epoch: Epoch, teacher: nn.Module | None = None) -> list[list[Pass]]:
    """Runs an epoch; returns the forward passes of each of its steps, in order."""
    passes, steps = [], epoch.batches.steps_per_epoch

    def note(model: nn.Module, inputs: tuple[Tensor]) -> None:
        rows = inputs[0].detach().clone(memory_format=torch.contiguous_format)
        passes.append(Pass(model, rows, torch.is_grad_enabled()))

    hooks = [model.register_forward_pre_hook(note) for model in (epoch.model, teacher) if model is not None]
    epoch()
    for hook in hooks:
        hook.remove()
    each = len(passes) // steps
    return [passes[step * each :][:each] for step in range(steps)]


def bare(model: nn.Module, steps: list[list[Pass]], plan: Plan) -> None:
    """Nothing but the forward passes of these steps, their backward passes and updates, on rows that are there."""
    settings, casting = plan.settings, device.casting(plan.settings.amp, plan.device)
    optimizer = torch.optim.Adam(model.parameters(), lr=settings.lr, weight_decay=settings.weight_decay, fused=True)
    model.train()
    for passes in steps:
        logits = []
        with casting.autocast():
            for each in passes:
                with torch.set_grad_enabled(each.gradient):
                    found = each.model(each.rows)
                if each.gradient:
                    logits.append(found)
                else:
                    torch.clear_autocast_cache()  # as `guess_labels` does
        logits = torch.cat(logits).float()
        loss = F.cross_entropy(logits, torch.arange(len(logits), device=plan.device) % logits.shape[1])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()


def part(steps: int, rows: int, degrees: float, plan: Plan, classes: range | None = None, views: int = 1) -> Part:
    """As many images as these steps draw, and labels of these classes, if any."""
    images = noise(steps * rows, plan)
    labels = None
    if classes is not None:
        labels = classes.start + torch.arange(len(images), device=plan.device) % len(classes)
    return Part(images, labels, rows, Transform(plan.settings.padding, degrees), views)


def stage_one(model: nn.Module, steps: int, plan: Plan) -> Epoch:
    """An epoch of MixMatch."""
    settings = plan.settings
    parts = [
        part(steps, settings.batch_size, settings.rotation, plan, range(CLASSES)),
        part(steps, settings.unlabeled_batch_size, settings.rotation, plan, views=settings.unlabeled_views),
    ]
    objective = mixmatch(CLASSES, settings.alpha, settings.sharpening, settings.lambda_u)
    return Epoch(model, Batches(parts, steps, key=("benchmark", "stage one")), objective, settings)


def stage_two(model: EDENet, steps: int, plan: Plan) -> Epoch:
    """An epoch of fine-tuning the joined network on exemplars and current images."""
    settings, size, classes = plan.settings, plan.settings.finetune_batch_size, model.num_classes
    old = classes - CLASSES
    rows = exemplar_rows(size, old, CLASSES)
    parts = [
        part(steps, rows, settings.finetune_rotation, plan, range(old)),
        part(steps, size - rows, settings.finetune_rotation, plan, range(old, classes)),
    ]
    objective = mixup(classes, settings.alpha)
    return Epoch(model, Batches(parts, steps, key=("benchmark", "stage two")), objective, settings)


def network(widths: Widths, plan: Plan, seed: int = 0) -> nn.Module:
    """A task's network on the device."""
    return resnet18(CLASSES, widths, seed=seed).to(plan.device)


def joined(count: int, plan: Plan) -> EDENet:
    """So many compressed sub-models."""
    return EDENet(network(plan.compressed, plan, seed) for seed in range(count))


def training_figures(plan: Plan) -> Iterator[Figure]:
    """Every kind of training beside its bare steps."""

    def over_bare(name: str, epoch: Epoch, at_most: float, teacher: nn.Module | None = None) -> Figure:
        steps = passes_of(epoch, teacher)
        works = (epoch, len(steps)), (partial(bare, epoch.model, steps, plan), len(steps))
        meaning = "epoch as training.fit runs it / its bare forward, backward and optimiser steps"
        return Figure(name, meaning, *alternate(plan, *works), at_most)

    narrow, compressed = tables.widths(plan.narrow), tables.widths(plan.compressed)
    yield over_bare(f"stage one {narrow}", stage_one(network(plan.narrow, plan), plan.steps, plan), 1.05)
    yield over_bare(f"stage one {tables.widths(plan.wide)}", stage_one(network(plan.wide, plan), 1, plan), 1.02)
    teacher, student = network(plan.narrow, plan, seed=1), stage_one(network(plan.compressed, plan), plan.steps, plan)
    student = replace(student, objective=distilled(student.objective, [teacher], plan.settings.temperature))
    yield over_bare(f"distillation {compressed} from {narrow}", student, 1.06, teacher)
    yield over_bare(f"stage two 3 of {compressed}", stage_two(joined(3, plan), plan.steps, plan), 1.06)


def submodel_figures(plan: Plan) -> Iterator[Figure]:
    """A training step of t sub-models over t steps of one: what joining them costs."""
    images = torch.rand(plan.settings.finetune_batch_size, 3, 32, 32).to(plan.device)
    for count in (2, 5, 10):
        works = []
        for size, steps in ((count, 10 // count), (1, 10)):
            model = joined(size, plan)
            works.append((partial(bare, model, [[Pass(model, images, True)]] * steps, plan), 10))
        meaning = f"training step of {count} sub-models / {count} steps of one"
        yield Figure(f"{count} sub-models {tables.widths(plan.compressed)}", meaning, *alternate(plan, *works), 1.05)
