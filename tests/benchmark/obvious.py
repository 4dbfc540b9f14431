"""The obvious way of doing what the repository does: PIL images one by one, a DataLoader, plain tensors."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from datasets import augment
from datasets.augment import Transform
from datasets.catalog import CATALOG
from datasets.images import Images
from models import ResNet18, resnet18
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
    with_amp,
)
from tests.benchmark.training import fit, mixmatch_batches, mixmatch_objective, stage_one_comparison
from utils.method import training
from utils.method.training import Schedule
from utils.results import tables
from utils.running import device
from utils.running.randomness import generator

MEAN, STD = CATALOG["cifar100"].mean, CATALOG["cifar100"].std
TEST_SHARE = 0.2  # CIFAR-100 has 100 test images a class beside 500 to train on


def pil_transforms(plan: Plan, normalise: bool) -> transforms.Compose:
    """Stage one's augmentation by torchvision, of one PIL image."""
    settings = plan.settings
    steps = [
        transforms.RandomCrop(32, settings.padding),
        transforms.RandomHorizontalFlip(),
        transforms.RandomRotation(settings.rotation),
        transforms.ToTensor(),
    ]
    return transforms.Compose([*steps, transforms.Normalize(MEAN, STD)] if normalise else steps)


def augmentation_figures(plan: Plan) -> list[Figure]:
    """Images a second: the batched pipeline over torchvision's transforms of PIL images, in one process.

    Either side makes normalised float images of bytes. The batched one picks its rows and joins nothing; the PIL images
    are there before, and are not joined into batches.
    """
    settings = plan.settings
    rows, count = settings.batch_size, settings.batch_size * plan.batches
    images, transform = noise(count, plan), Transform(settings.padding, settings.rotation)
    mean, std = (torch.tensor(values, device=plan.device).view(3, 1, 1) for values in (MEAN, STD))
    order = torch.randperm(count).to(plan.device)
    pictures = [Image.fromarray(array) for array in _arrays(images[: plan.pictures])]
    one_by_one = pil_transforms(plan, normalise=True)

    def batched() -> None:
        for number, chosen in enumerate(order.split(rows)):
            random = generator(plan.device, "benchmark", "augment", number)
            values = augment.draw(rows, transform, random)
            augment.apply(images.index_select(0, chosen), values, transform).sub_(mean).div_(std)

    def pil() -> None:
        for picture in pictures:
            one_by_one(picture)

    ours, theirs = alternate([batched, pil], plan)
    ours, theirs = [time / count for time in ours], [time / len(pictures) for time in theirs]
    details = {"images_per_second": 1000 / milliseconds(ours), "images_per_second_pil": 1000 / milliseconds(theirs)}
    meaning = "images a second, batched / by torchvision's transforms of PIL images"
    return [Figure("augmentation", meaning, quotients(theirs, ours), at_least=25.0, details=details)]


class Pictures(Dataset):
    """Images as torchvision's data sets give them: (`views` transformed copies of one image, its label)."""

    def __init__(self, images: Tensor, classes: Tensor, transform: transforms.Compose, views: int = 1):
        self.arrays, self.classes = _arrays(images), classes.tolist()
        self.transform, self.views = transform, views

    def __len__(self) -> int:
        return len(self.arrays)

    def __getitem__(self, index: int) -> tuple[list[Tensor], int]:
        picture = Image.fromarray(self.arrays[index])
        return [self.transform(picture) for _ in range(self.views)], self.classes[index]


class ObviousMixMatch:
    """Stage one the obvious way: float32, contiguous tensors, one forward pass for the labelled rows and one for each
    view of the unlabelled ones, and an evaluation of the test images after every epoch.

    The network normalises, as ours does, so that either side does it once.
    """

    def __init__(self, plan: Plan, widths: Widths, steps: int):
        settings = plan.settings
        self.settings, self.device = settings, plan.device
        self.model = ResNet18(CLASSES, widths, MEAN, STD).to(plan.device)
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=settings.lr, weight_decay=settings.weight_decay)
        moved = pil_transforms(plan, normalise=False)
        train, test = steps * settings.batch_size, evaluated_images(plan, steps)
        unlabelled = noise(steps * settings.unlabeled_batch_size, plan)
        parts = {
            "labelled": Pictures(noise(train, plan), labels(train, plan), moved),
            "unlabelled": Pictures(unlabelled, labels(len(unlabelled), plan), moved, settings.unlabeled_views),
            "test": Pictures(test.images, test.labels, transforms.ToTensor()),
        }
        sizes = {"unlabelled": settings.unlabeled_batch_size}
        self.loaders = {
            name: DataLoader(
                part, sizes.get(name, settings.batch_size), shuffle=name != "test", drop_last=name != "test"
            )
            for name, part in parts.items()
        }

    def epoch(self) -> tuple[float, float]:
        """One pass over the labelled images and an evaluation: the mean loss and the percentage correct."""
        self.model.train()
        endless, total = self._unlabelled(), 0.0
        for (x,), classes in self.loaders["labelled"]:
            loss = self.loss(x.to(self.device), classes.to(self.device), [u.to(self.device) for u in next(endless)])
            self.optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(self.model.parameters(), self.settings.clip_norm)
            self.optimizer.step()
            total += loss.item()
        return total / len(self.loaders["labelled"]), self.accuracy()

    def loss(self, x: Tensor, classes: Tensor, views: list[Tensor]) -> Tensor:
        """MixMatch's loss of one batch."""
        settings = self.settings
        with torch.no_grad():
            guess = torch.stack([self.model(view).softmax(dim=1) for view in views]).mean(dim=0)
            guess = guess ** (1 / settings.sharpening)
            guess = guess / guess.sum(dim=1, keepdim=True)
        inputs = torch.cat([x, *views])
        targets = torch.cat([F.one_hot(classes, CLASSES).float(), *[guess] * len(views)])
        share = np.random.default_rng().beta(settings.alpha, settings.alpha, len(inputs))
        share = torch.from_numpy(np.maximum(share, 1 - share)).float().to(self.device)
        order = torch.randperm(len(inputs), device=self.device)
        inputs = share.view(-1, 1, 1, 1) * inputs + (1 - share.view(-1, 1, 1, 1)) * inputs[order]
        targets = share.view(-1, 1) * targets + (1 - share.view(-1, 1)) * targets[order]
        labelled, *others = inputs.split([len(x), *map(len, views)])
        loss_x = F.cross_entropy(self.model(labelled), targets[: len(x)])
        logits_u = torch.cat([self.model(view) for view in others])
        loss_u = F.mse_loss(logits_u.softmax(dim=1), targets[len(x) :])
        return loss_x + settings.lambda_u * loss_u

    @torch.no_grad()
    def accuracy(self) -> float:
        """Percent correct of the test images, in batches of the training's size."""
        self.model.eval()
        correct = total = 0
        for (x,), classes in self.loaders["test"]:
            found = self.model(x.to(self.device)).argmax(dim=1)
            correct += (found == classes.to(self.device)).sum().item()
            total += len(classes)
        return 100.0 * correct / total

    def _unlabelled(self) -> Iterator[list[Tensor]]:
        while True:
            for views, _ in self.loaders["unlabelled"]:
                yield views


def evaluated_images(plan: Plan, steps: int) -> Images:
    """As many test images as go with the training images of so many steps."""
    count = max(1, round(TEST_SHARE * steps * plan.settings.batch_size))
    return Images(noise(count, plan), labels(count, plan), torch.arange(count))


def evaluated_share(plan: Plan) -> float:
    """What share of a training's epochs the recipe evaluates."""
    settings = plan.settings
    schedule = Schedule.of(settings, settings.epochs, settings.lr)
    return sum(schedule.evaluates(epoch) for epoch in range(settings.epochs)) / settings.epochs


def epoch_figures(plan: Plan) -> list[Figure]:
    """A whole epoch of stage one, its share of the evaluations included, over one the obvious way."""
    return [
        figure
        for widths, steps, at_most in ((plan.narrow, plan.narrow_steps, 0.6), (plan.wide, plan.wide_steps, 0.9))
        for figure in _epochs(plan, widths, steps, at_most)
    ]


def _epochs(plan: Plan, widths: Widths, steps: int, at_most: float) -> Iterator[Figure]:
    """The figure in the precision of a run; in float32, if that is another; and what of the latter is bare steps."""
    settings, float32 = plan.settings, with_amp(plan.settings, "off")
    cast = device.casting(settings.amp, plan.device).dtype is not None
    model = resnet18(CLASSES, widths, MEAN, STD, seed=0).to(plan.device)
    batches, objective = mixmatch_batches(steps, plan), mixmatch_objective(settings)
    trained = [settings, float32] if cast else [settings]
    works = [partial(fit, model, batches, objective, precision) for precision in trained]
    evaluation = partial(training.accuracy, model, evaluated_images(plan, steps))
    bare = stage_one_comparison(replace(plan, settings=float32), widths, steps).bare
    obvious = ObviousMixMatch(plan, widths, steps).epoch
    *epochs, evaluations, bares, obvious_epochs = alternate([*works, evaluation, bare, obvious], plan)
    share, name = evaluated_share(plan), f"epoch {tables.widths(widths)}"

    def figure(label: str, meaning: str, times: list[float], bound: float | None) -> Figure:
        details = {
            "ms_per_step": milliseconds(times, steps),
            "ms_per_step_obvious": milliseconds(obvious_epochs, steps),
            "evaluated_epochs": share,
        }
        meaning = f"{meaning} / one the obvious way, in float32, with one"
        return Figure(f"{name}, {label}", meaning, quotients(times, obvious_epochs), at_most=bound, details=details)

    for precision, bound, times in zip(trained, (at_most, None), epochs, strict=False):
        ours = [epoch + share * once for epoch, once in zip(times, evaluations, strict=True)]
        yield figure(f'amp="{precision.amp}"', f"epoch of stage one with {share:.2f} evaluations", ours, bound)
    yield figure("bare float32 steps", "an epoch's bare forward, backward and optimiser steps", bares, None)


def _arrays(images: Tensor) -> np.ndarray:
    """uint8 [N, 32, 32, 3], as torchvision's data sets hold images."""
    return images.permute(0, 2, 3, 1).contiguous().cpu().numpy()
