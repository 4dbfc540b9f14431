"""What trainings cost beside their bare passes and updates, joint sub-models beside one, all beside the obvious way."""

import contextlib
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from types import SimpleNamespace

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from datasets.augment import Transform
from datasets.batches import Batches, Part
from models import EDENet, ResNet18
from tests.benchmark.figure import CLASSES, Figure, Plan, Widths, alternate, figure, noise
from utils.method import training
from utils.method.distill import distilled
from utils.method.mixmatch import mixmatch, mixmatch_loss, sharpen
from utils.method.mixup import Objective, mix, mixup
from utils.method.stage_two import exemplar_rows
from utils.method.training import Schedule
from utils.results import tables
from utils.running import device
from utils.running.console import Console
from utils.running.options import Settings

Pass = tuple[nn.Module, Tensor, bool]  # forward: of which network, of which rows, and whether a gradient follows


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


def passes_of(epoch: Epoch, *teachers: nn.Module) -> list[list[Pass]]:
    """Runs an epoch; returns the forward passes of each of its steps, in order."""
    passes, steps = [], epoch.batches.steps_per_epoch

    def note(model: nn.Module, inputs: tuple[Tensor]) -> None:
        rows = inputs[0].detach().clone(memory_format=torch.contiguous_format)
        passes.append((model, rows, torch.is_grad_enabled()))

    hooks = [model.register_forward_pre_hook(note) for model in (epoch.model, *teachers)]
    epoch()
    for hook in hooks:
        hook.remove()
    each = len(passes) // steps
    return [passes[step * each :][:each] for step in range(steps)]


def bare(model: nn.Module, steps: list[list[Pass]], plan: Plan) -> None:
    """Nothing but the forward passes of these steps, their backward passes and updates, on rows that are there."""
    settings, cast_to = plan.settings, device.casting(plan.settings.amp, plan.device)
    optimizer = torch.optim.Adam(model.parameters(), lr=settings.lr, weight_decay=settings.weight_decay, fused=True)
    model.train()
    for passes in steps:
        logits = []
        with torch.autocast(plan.device.type, cast_to, enabled=cast_to is not None):
            for net, rows, gradient in passes:
                with torch.set_grad_enabled(gradient):
                    found = net(rows)
                if gradient:
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
    images, labels = noise(steps * rows, plan), None
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
    return ResNet18(CLASSES, widths, seed=seed).to(plan.device)


def joined(count: int, plan: Plan) -> EDENet:
    """So many compressed sub-models."""
    return EDENet(network(plan.compressed, plan, seed) for seed in range(count))


def training_figures(plan: Plan) -> Iterator[Figure]:
    """Every kind of training beside its bare steps."""
    narrow, wide, compressed = map(tables.widths, (plan.narrow, plan.wide, plan.compressed))
    teacher, student = network(plan.narrow, plan, seed=1), stage_one(network(plan.compressed, plan), plan.steps, plan)
    student = replace(student, objective=distilled(student.objective, [teacher], plan.settings.temperature))
    meaning = "epoch as training.fit runs it / its bare forward, backward and optimiser steps"
    for name, at_most, epoch, *teachers in (
        (f"stage one {narrow}", 1.05, stage_one(network(plan.narrow, plan), plan.steps, plan)),
        (f"stage one {wide}", 1.02, stage_one(network(plan.wide, plan), 1, plan)),
        (f"distillation {compressed} from {narrow}", 1.06, student, teacher),
        (f"stage two 3 of {compressed}", 1.06, stage_two(joined(3, plan), plan.steps, plan)),
    ):
        steps = passes_of(epoch, *teachers)
        works = epoch, partial(bare, epoch.model, steps, plan)
        yield figure(name, meaning, *alternate(plan, *((work, len(steps)) for work in works)), at_most)


def submodel_figures(plan: Plan) -> Iterator[Figure]:
    """A training step of t sub-models over t steps of one: what joining them costs."""
    images = torch.rand(plan.settings.finetune_batch_size, 3, 32, 32).to(plan.device)
    for count in (2, 5, 10):
        models = (joined(count, plan), 10 // count), (joined(1, plan), 10)
        works = ((partial(bare, model, [[(model, images, True)]] * steps, plan), 10) for model, steps in models)
        meaning = f"training step of {count} sub-models / {count} steps of one"
        yield figure(f"{count} sub-models {tables.widths(plan.compressed)}", meaning, *alternate(plan, *works), 1.05)


class Pictures(Dataset):
    """Images uint8 [N, 3, 32, 32] as torchvision's data sets give them: `views` augmentations of one, and its label."""

    def __init__(self, images: Tensor, plan: Plan, views: int = 1):
        self.arrays, self.views = images.permute(0, 2, 3, 1).contiguous().cpu().numpy(), views
        crop, flip = transforms.RandomCrop(32, plan.settings.padding), transforms.RandomHorizontalFlip()
        rotation = transforms.RandomRotation(plan.settings.rotation)
        self.transform = transforms.Compose([crop, flip, rotation, transforms.ToTensor()])

    def __len__(self) -> int:
        return len(self.arrays)

    def __getitem__(self, index: int) -> tuple[list[Tensor], int]:
        picture = Image.fromarray(self.arrays[index])
        return [self.transform(picture) for _ in range(self.views)], index % CLASSES


def obvious(model: nn.Module, steps: int, plan: Plan) -> Callable[[], None]:
    """An epoch of stage one the obvious way: PIL images one by one, a DataLoader, float32, contiguous tensors, one
    forward pass for the labelled rows and one for each view of the unlabelled ones."""
    settings, where = plan.settings, plan.device
    optimizer = torch.optim.Adam(model.parameters(), lr=settings.lr, weight_decay=settings.weight_decay)

    def loader(size: int, views: int = 1) -> DataLoader:
        return DataLoader(Pictures(noise(steps * size, plan), plan, views), size, shuffle=True)

    labelled = loader(settings.batch_size)
    unlabelled = loader(settings.unlabeled_batch_size, settings.unlabeled_views)

    def epoch() -> None:
        for ((x,), classes), (views, _) in zip(labelled, unlabelled, strict=True):
            x, classes, views = x.to(where), classes.to(where), [view.to(where) for view in views]
            with torch.no_grad():
                guess = torch.stack([model(view).softmax(dim=1) for view in views]).mean(dim=0)
                guess = sharpen(guess, settings.sharpening)
            inputs = torch.cat([x, *views])
            targets = torch.cat([F.one_hot(classes, CLASSES).float(), *[guess] * len(views)])
            share = np.random.default_rng().beta(settings.alpha, settings.alpha, len(inputs))
            share = torch.from_numpy(np.maximum(share, 1 - share)).float().to(where)
            inputs, targets = mix(inputs, targets, torch.randperm(len(inputs), device=where), share)
            logits = torch.cat([model(rows) for rows in inputs.split([len(x), *map(len, views)])])
            loss = mixmatch_loss(logits, targets, len(x), settings.lambda_u)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), settings.clip_norm)
            optimizer.step()
            loss.item()

    return epoch


def augmentation_figures(plan: Plan) -> Iterator[Figure]:
    """Time per image: batches as a training draws them, over torchvision's transforms of PIL images, in one process."""
    drawn = part(40, plan.settings.batch_size, plan.settings.rotation, plan)
    batches = Batches([drawn], 40, key=("benchmark", "augmentation"))
    pictures = Pictures(drawn.images[: 4 * drawn.size], plan)

    def batched() -> None:
        for number in range(40):
            batches.draw(number)

    def one_by_one() -> None:
        for number in range(len(pictures)):
            pictures[number]

    meaning = "time per image augmented, in batches / by torchvision's transforms of PIL images"
    works = (batched, len(drawn.images)), (one_by_one, len(pictures))
    yield figure("augmentation", meaning, *alternate(plan, *works), 1 / 25)


def epoch_figures(plan: Plan) -> Iterator[Figure]:
    """A whole epoch of stage one over one the obvious way, neither with an evaluation."""
    meaning = "epoch of stage one / one the obvious way, in float32"
    for widths, steps, at_most in ((plan.narrow, plan.steps, 0.6), (plan.wide, 1, 0.9)):
        plain = ResNet18(CLASSES, widths).to(plan.device)
        works = stage_one(network(widths, plan), steps, plan), obvious(plain, steps, plan)
        times = alternate(plan, *((work, steps) for work in works))
        yield figure(f"epoch {tables.widths(widths)}", meaning, *times, at_most)
