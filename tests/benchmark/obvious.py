"""The obvious way of doing what the repository does: PIL images one by one, a DataLoader, plain tensors."""

from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from datasets.augment import Transform
from datasets.batches import Batches, Part
from models import ResNet18
from tests.benchmark.figure import CLASSES, Figure, Plan, Widths, alternate, noise
from tests.benchmark.training import network, stage_one
from utils.method.mixmatch import mixmatch_loss, sharpen
from utils.method.mixup import mix
from utils.results import tables


class Pictures(Dataset):
    """Images as torchvision's data sets give them: (`views` copies of one image, augmented as in stage one; its label).

    Args:
        images: uint8 [N, 3, 32, 32].
    """

    def __init__(self, images: Tensor, plan: Plan, views: int = 1):
        self.arrays, self.views = images.permute(0, 2, 3, 1).contiguous().cpu().numpy(), views
        self.transform = transforms.Compose(
            [
                transforms.RandomCrop(32, plan.settings.padding),
                transforms.RandomHorizontalFlip(),
                transforms.RandomRotation(plan.settings.rotation),
                transforms.ToTensor(),
            ]
        )

    def __len__(self) -> int:
        return len(self.arrays)

    def __getitem__(self, index: int) -> tuple[list[Tensor], int]:
        picture = Image.fromarray(self.arrays[index])
        return [self.transform(picture) for _ in range(self.views)], index % CLASSES


class Obvious:
    """Stage one the obvious way: float32, contiguous tensors, one forward pass for the labelled rows and one for each
    view of the unlabelled ones."""

    def __init__(self, widths: Widths, steps: int, plan: Plan):
        settings = plan.settings
        self.settings, self.device = settings, plan.device
        self.model = ResNet18(CLASSES, widths).to(plan.device)
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=settings.lr, weight_decay=settings.weight_decay)
        labelled = Pictures(noise(steps * settings.batch_size, plan), plan)
        unlabelled = Pictures(noise(steps * settings.unlabeled_batch_size, plan), plan, settings.unlabeled_views)
        self.labelled = DataLoader(labelled, settings.batch_size, shuffle=True)
        self.unlabelled = DataLoader(unlabelled, settings.unlabeled_batch_size, shuffle=True)

    def epoch(self) -> None:
        """One pass over the labelled images, with as many batches of the others."""
        for ((x,), classes), (views, _) in zip(self.labelled, self.unlabelled, strict=True):
            loss = self.loss(x.to(self.device), classes.to(self.device), [view.to(self.device) for view in views])
            self.optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(self.model.parameters(), self.settings.clip_norm)
            self.optimizer.step()
            loss.item()

    def loss(self, x: Tensor, classes: Tensor, views: list[Tensor]) -> Tensor:
        """MixMatch's loss of one batch."""
        with torch.no_grad():
            guess = torch.stack([self.model(view).softmax(dim=1) for view in views]).mean(dim=0)
            guess = sharpen(guess, self.settings.sharpening)
        inputs = torch.cat([x, *views])
        targets = torch.cat([F.one_hot(classes, CLASSES).float(), *[guess] * len(views)])
        share = np.random.default_rng().beta(self.settings.alpha, self.settings.alpha, len(inputs))
        share = torch.from_numpy(np.maximum(share, 1 - share)).float().to(self.device)
        inputs, targets = mix(inputs, targets, torch.randperm(len(inputs), device=self.device), share)
        logits = torch.cat([self.model(rows) for rows in inputs.split([len(x), *map(len, views)])])
        return mixmatch_loss(logits, targets, len(x), self.settings.lambda_u)


def augmentation_figures(plan: Plan) -> Iterator[Figure]:
    """Time per image: batches as a training draws them, over torchvision's transforms of PIL images, in one process."""
    size = plan.settings.batch_size
    images, transform = noise(40 * size, plan), Transform(plan.settings.padding, plan.settings.rotation)
    batches = Batches([Part(images, None, size, transform)], 40, key=("benchmark", "augmentation"))
    pictures = Pictures(images[: 4 * size], plan)

    def batched() -> None:
        for number in range(40):
            batches.draw(number)

    def one_by_one() -> None:
        for number in range(len(pictures)):
            pictures[number]

    meaning = "time per image augmented, in batches / by torchvision's transforms of PIL images"
    works = (batched, len(images)), (one_by_one, len(pictures))
    yield Figure("augmentation", meaning, *alternate(plan, *works), 1 / 25)


def epoch_figures(plan: Plan) -> Iterator[Figure]:
    """A whole epoch of stage one over one the obvious way, neither with an evaluation."""
    for widths, steps, at_most in ((plan.narrow, plan.steps, 0.6), (plan.wide, 1, 0.9)):
        works = stage_one(network(widths, plan), steps, plan), Obvious(widths, steps, plan).epoch
        times = alternate(plan, *((work, steps) for work in works))
        meaning = "epoch of stage one / one the obvious way, in float32"
        yield Figure(f"epoch {tables.widths(widths)}", meaning, *times, at_most)
