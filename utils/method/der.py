"""DER, dynamically expandable representation (Yan et al. 2021, arXiv 2103.16788), without its masks: a baseline.

A task adds a feature extractor and freezes those before. One linear layer over all features side by side is trained
on the task's images and the exemplars, with an auxiliary loss on the new features; its new rows are aligned to the
old ones afterwards.
"""

import torch
import torch.nn.functional as F
from torch import nn

from datasets.batches import Rows
from datasets.images import Images
from datasets.tasks import Task
from models.der import DERNet, WithAuxiliary
from models.resnet import resnet18
from utils.method import stage_one, training
from utils.method.mixup import Objective, Outcome, mix, soft_cross_entropy
from utils.method.training import Progress, Schedule
from utils.running.artefact import Artefact
from utils.running.randomness import StepRandom, derive
from utils.running.run import Run

AUXILIARY_WEIGHT = 1.0  # λ_a of eq. 6


def with_auxiliary(first: int, last: int, alpha: float) -> Objective:
    """Cross-entropy over all classes, and over the new ones `first` … `last`−1 with all old ones as one (eq. 6).

    Pairs are mixed as in `utils.method.mixup`.
    """

    def objective(model: nn.Module, batch: list[Rows], random: StepRandom) -> Outcome:
        (rows,) = batch
        inputs, targets = rows.views[0], F.one_hot(rows.labels, last).to(rows.views[0].dtype)
        inputs, targets = mix(inputs, targets, random.permutation(len(inputs)), random.mixing(alpha, len(inputs)))
        logits, auxiliary = model(inputs)
        loss = soft_cross_entropy(logits, targets)
        if first:
            old = targets[:, :first].sum(dim=1, keepdim=True)
            loss = loss + AUXILIARY_WEIGHT * soft_cross_entropy(auxiliary, torch.cat([old, targets[:, first:]], dim=1))
        return Outcome(loss, inputs, logits)

    return objective


def learn(run: Run, artefact: Artefact, net: DERNet, task: Task, labelled: Images, unlabelled: None) -> Progress:
    """Learns a task: expands the network, trains it as stage one trains, to the last epoch, and aligns it."""
    settings = run.settings
    seed = derive(settings.seed, task.name, "temporary")
    fresh = resnet18(task.num_classes, settings.widths, task.mean, task.std, seed)
    net.expand(fresh, derive(settings.seed, task.name, "head"))
    net.to(run.device)
    progress = training.fit(
        WithAuxiliary(net, task.num_classes, derive(settings.seed, task.name, "auxiliary")),
        stage_one.batches(run, task, labelled, stage_one.Foreign(), (settings.seed, task.name, "baseline")),
        with_auxiliary(task.first, task.last, settings.alpha),
        Schedule.of(settings, settings.epochs, settings.lr),
        run.console,
        f"task {task.index + 1} ({task.name})",
        artefact=artefact,
    )
    net.requires_grad_(True)
    if task.index > 0:
        net.align(task.first)
    return progress
