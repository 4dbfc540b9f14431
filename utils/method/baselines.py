"""What EDE-Net stands against: one network that learns all tasks, DER, and sub-models that are merely joined.

The one network is stage one's temporary ResNet-18. It goes on from task to task with a head that grows, and is trained
in every task as stage one trains: the same loop, loss and passes. The last epoch is kept. So nothing is held out: all
training images at hand are trained on.

DER, dynamically expandable representation (Yan et al. 2021, arXiv 2103.16788), here without its masks, adds a feature
extractor in every task and freezes those before, see `models.der`. One linear layer over all features side by side is
trained on the task's images and the exemplars, with an auxiliary loss on the new features.
"""

from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from datasets.batches import Rows
from datasets.images import Images, joined
from datasets.memory import Memory
from datasets.tasks import Split, Task
from models.der import DERNet, WithAuxiliary
from models.ede_net import EDENet
from utils.method import data, stage_one, training
from utils.method.mixup import Objective, Outcome, mix, soft_cross_entropy
from utils.method.stage_one import Foreign
from utils.method.stage_two import Stages, submodels_of
from utils.method.training import Progress, Schedule
from utils.running.options import Settings
from utils.running.randomness import StepRandom, derive
from utils.running.run import Run

# The options that decide each kind, by `Settings.deciding`, beside the data.
DECIDING = {
    "finetune": ("run", "update", "network", "mixmatch", "prediction"),
    "replay": ("run", "update", "network", "mixmatch", "memory", "prediction"),
    "joint": ("run", "update", "network", "mixmatch", "prediction"),
    "der": ("run", "update", "network", "memory", "prediction"),
    "concatenate": ("run", "prediction"),
}
WITH_MEMORY = ("replay", "der")


class Baseline:
    """A baseline of one kind on a split; arguments as in `train_EDE_Net.baseline`.

    Attributes:
        memory: for the exemplars; its size is 0 where none are kept.
        network: the class of the network.
        submodels: what is merely joined, or None.
    """

    def __init__(self, settings: Settings, split: Split, kind: str, prune: bool, mixmatch: bool, rehearsal_size: int):
        self.settings, self.kind = settings, kind
        self.memory = Memory(rehearsal_size if kind in WITH_MEMORY else 0)
        self.network = DERNet if kind == "der" else EDENet
        self.submodels, self.unlabelled, self.seen = None, None, []
        mixmatch = mixmatch and kind != "der"
        found = {**split.configuration, "baseline": kind, "mixmatch": mixmatch, "recipe": settings.recipe}
        if kind == "concatenate":
            self.submodels = submodels_of(settings, split, prune, mixmatch, rehearsal_size)
            found |= {"prune": prune, "selection": settings.selection}
        elif mixmatch:
            self.unlabelled, described = data.unlabelled(settings)
            found |= described
        self._name = f"baseline_{kind}_{split.dataset}_{split.type}_resnet18{'_mixmatch' if mixmatch else ''}"
        if self.memory.size:
            self._name += f"_rehearsal_{rehearsal_size}"
            found["rehearsal_size"] = rehearsal_size
        self._configuration = {**found, **settings.deciding(*DECIDING[kind])}

    def begin(self) -> Run:
        """The baseline's run."""
        folder = Path(self.settings.checkpoint_root) / self._name
        return Run(folder, self.settings, self._configuration, siblings="baseline_*")

    def made_from(self, task: Task) -> dict[str, Any]:
        """What decides the network after a task, beside the stage before."""
        return {
            "baseline": self.kind,
            **task.described,
            **self.settings.deciding(*DECIDING[self.kind]),
            "unlabelled images": self.unlabelled and self.unlabelled.fingerprint(),
            "normalisation": [*task.mean, *task.std],
            "sub-model": self.submodels and self.submodels.record(task)["fingerprint"],
            "rehearsal_size": self.memory.size,
        }

    def see(self, task: Task) -> None:
        """Keeps a task's training images for joint training, which the protocol forbids."""
        if self.kind == "joint":
            self.seen.append(task.train)

    def images(self, task: Task) -> Images:
        """What is trained on in a task, with global labels."""
        if self.kind == "joint":
            everything = joined(self.seen)
            return everything.select(everything.indices.argsort())
        if self.memory.size and task.index > 0:
            return joined([task.train, self.memory.images()])
        return task.train

    def learn(self, stages: Stages, net: EDENet, task: Task) -> Progress:
        """Learns a task as stage one trains, over all classes seen so far, to the last epoch.

        The one network is fresh for the first task; then its head grows by the task's classes. DER's is expanded, and
        aligned in the end. To "concatenate", nothing is trained.
        """
        if self.submodels:
            net.grow(self.submodels.load(stages.run, task))
            return Progress()
        run, settings, foreign = stages.run, self.settings, Foreign(self.unlabelled)
        fresh = stage_one.fresh(task, task.num_classes, settings.widths, settings.seed, "temporary")
        rows = derive(settings.seed, task.name, "head")
        if self.kind == "der":
            net.expand(fresh, rows)
            model = WithAuxiliary(net, task.num_classes, derive(settings.seed, task.name, "auxiliary"))
            loss = with_auxiliary(task.first, task.last, settings.alpha)
        else:
            if task.index == 0:
                net.grow(fresh)
            else:
                net.submodels[0].grow_head(task.num_classes, rows)
            model, loss = net, stage_one.objective(net.num_classes, foreign, settings)
        progress = training.fit(
            model.to(run.device),
            stage_one.batches(run, task, self.images(task), foreign, "baseline"),
            loss,
            Schedule(settings, settings.epochs, settings.lr),
            stages.current,
            f"task {task.index + 1} ({task.name})",
        )
        net.requires_grad_(True)
        if self.kind == "der" and task.index > 0:
            net.align(task.first)
        return progress


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
