"""Stage two for one task: join the new sub-model, fine-tune the whole on a balanced mixture, keep exemplars."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from datasets import naming
from datasets.augment import Transform
from datasets.batches import Batches, Part
from datasets.memory import Memory
from datasets.tasks import Split, Task
from models import cost
from models.ede_net import EDENet
from models.resnet import ResNet18
from utils.method import stage_one, training
from utils.method.distill import distilled
from utils.method.mixup import Objective, mixup
from utils.method.training import Progress, Schedule
from utils.running.artefact import Artefact, load_network, read_record
from utils.running.command import command_line
from utils.running.errors import UserError
from utils.running.options import Settings
from utils.running.run import Run

LWF_TEMPERATURE = 2.0  # Li & Hoiem 2016, section 3.2


def begin(settings: Settings, split: Split, **arguments: Any) -> Run:
    """The run of stage two of a split; `arguments` are the call's prune, mixmatch and rehearsal_size."""
    name = f"EDE_Net_{split.dataset}_{split.type}_resnet18_rehearsal_{arguments['rehearsal_size']}"
    shared = {"recipe": settings.recipe, "selection": settings.selection}
    deciding = settings.deciding("run", "update", "memory", "finetune", "prediction")
    configuration = {**split.configuration, **arguments, **shared, **deciding}
    return Run(Path(settings.checkpoint_root) / name, settings, configuration, siblings="EDE_Net_*")


# --- what is joined


@dataclass(frozen=True)
class SubModels:
    """Stage one's networks, which stage two joins and never changes."""

    folder: Path
    compressed: bool  # whether the compressed ones are meant
    command: str  # what makes them, for the error where one is missing
    agreed: dict[str, Any]  # what they have to have been made with, by the names of their records and configurations
    dry: bool  # of a dry run, for which they may still be to be made

    def record(self, task: Task) -> dict[str, Any]:
        """What is recorded of a task's sub-model; in a dry run of one that is still to be made, as good as nothing.

        Raises: `UserError` that prints the command which makes it, if it is not there or was made from something else.
        """
        path = self.folder / f"{stage_one.model_name(task, self.compressed)}.json"
        if not path.is_file():
            if self.dry:
                return {"fingerprint": None, "results": {"test_accuracy": None}, "configuration": None}
            raise UserError(
                f"{path} is not there: stage two needs stage one's networks, which this makes: {self.command}"
            )
        content = read_record(path)
        known = {**content["configuration"], **content["made_from"]}
        for name, mine in {**task.described, **self.agreed}.items():
            if known.get(name) != mine:
                raise UserError(
                    f"{path} was made with {name}={known.get(name)!r}, stage two asks for {mine!r}: give the same, or "
                    f"make it anew in another checkpoint_root with: {self.command}"
                )
        return content

    def load(self, run: Run, task: Task) -> ResNet18:
        """The task's sub-model as stage one left it; in a dry run of one that is still to be made, a fresh one."""
        if self.record(task)["fingerprint"] is None:
            return ResNet18(task.num_classes, run.settings.widths).to(run.device)
        path = self.folder / f"{stage_one.model_name(task, self.compressed)}.pt"
        return load_network(path, ResNet18, device=run.device).without_other(task.num_classes)


def submodels_of(settings: Settings, split: Split, prune: bool, mixmatch: bool, rehearsal_size: int) -> SubModels:
    """Stage one's networks of a split, which have to be of the same data, chosen by the same rule."""
    call = {"split_list": split.bounds, "split_type": split.type, "prune": prune, "mixmatch": mixmatch}
    agreed = {name: getattr(settings, name) for name in ("image_size", "seed", "selection", "validation_fraction")}
    agreed["rehearsal_size"] = 0
    if stage_one.sees_exemplars(settings):
        call["rehearsal_size"] = agreed["rehearsal_size"] = rehearsal_size
    if mixmatch:
        agreed["unlabeled"] = naming.short_name(settings.unlabeled)
    root = settings.classifier_root or settings.checkpoint_root
    theirs = Settings(**{**vars(settings), "checkpoint_root": root, "classifier_root": None})
    command = command_line("train_classifier.py", "train_model", call, theirs)
    return SubModels(stage_one.folder(settings, split, mixmatch), prune, command, agreed, settings.dry_run)


# --- what is learned


def balanced_batches(run: Run, memory: Memory, task: Task) -> Batches:
    """Batches of exemplars of the old classes and the task's images in which every class is seen equally often.

    An epoch is one pass over the exemplars.
    """
    settings = run.settings
    exemplars, current = (images.to(run.data_device) for images in (memory.images(), task.train))
    rows = exemplar_rows(settings.finetune_batch_size, task.first, task.num_classes)
    transform = Transform(settings.padding, settings.finetune_rotation, task.mirror)
    parts = [
        Part(exemplars.images, exemplars.labels, rows, transform),
        Part(current.images, current.labels, settings.finetune_batch_size - rows, transform),
    ]
    return Batches(parts, -(-len(exemplars) // rows), (settings.seed, task.name, "finetune"), run.device)


def exemplar_rows(batch_size: int, old: int, new: int) -> int:
    """How many rows of a batch are exemplars: batch_size·old/(old+new), to the nearest, leaving one for either kind."""
    return min(batch_size - 1, max(1, round(batch_size * old / (old + new))))


def objective(net: EDENet, settings: Settings) -> Objective:
    """The loss of stage two, for the network as it is before the first update.

    Mixup over the joined batches and cross-entropy over all outputs; `finetune_distillation` preserves what the
    sub-models had learned, see `utils.method.distill`.
    """
    loss = mixup(net.num_classes, settings.alpha if settings.finetune_mixup else 0.0)
    if settings.finetune_distillation == 0:
        return loss
    *old, new = copy.deepcopy(net.submodels)
    return distilled(loss, [EDENet(old), new], LWF_TEMPERATURE, settings.finetune_distillation)


# --- what is kept


def remember(run: Run, net: EDENet, memory: Memory, task: Task) -> None:
    """Chooses the exemplars of a task that ends, once, and shortens the lists of the classes before."""
    features = partial(training.outputs, net.features, where=next(net.parameters()).device)
    memory.add(task, run.settings.seed, features if run.settings.exemplars == "herding" else None)


class Stages:
    """The networks after each task, every one made from the one before, with what each remembers.

    Args:
        run: whose files they are.
        memory: for their exemplars.
        network: their class.
    """

    def __init__(self, run: Run, memory: Memory, network: type[EDENet] = EDENet):
        self.run, self.memory, self.network = run, memory, network
        self.artefacts: list[Artefact] = []
        self.progress = Progress()  # of the current stage's training, if there is one

    def begin(self, task: Task, made_from: dict[str, Any], name: str | None = None) -> Artefact:
        """Begins the next stage, `stage_<t>` unless named, and returns it: it may be done already.

        Args:
            made_from: what decides it, beside the stage before.
        """
        before = self.artefacts[-1].fingerprint if self.artefacts else None
        name = name or f"stage_{task.index + 1}"
        self.current = self.run.artefact(name, {**made_from, "stage before": before})  # the stage that was begun last
        self.artefacts.append(self.current)
        self.progress = Progress()
        return self.current

    def resume(self) -> EDENet:
        """The network as it was after the task before, whose exemplars the memory takes up; or an empty one."""
        if len(self.artefacts) == 1:
            return self.network(flip_average=self.run.settings.flip_average)
        return self.load(self.artefacts[-2])

    def load(self, stage: Artefact) -> EDENet:
        """The network of a stage, whose exemplars the memory takes up."""
        net = stage.load(self.network)
        self.memory.load_state_dict(net.meta["exemplars"], net.num_classes)
        return net

    def finetune(self, net: EDENet, batches: Batches) -> int:
        """Trains the joined network to the last epoch, all of it or the part that `finetune` names.

        Returns: how many updates that were.
        """
        settings = self.run.settings
        epochs = max(settings.finetune_epochs, -(-settings.min_updates // batches.steps_per_epoch))
        if settings.finetune != "all":
            net.train_only(settings.finetune)
        schedule, title = Schedule(settings, epochs, settings.finetune_lr), f"stage two, {self.current.name}"
        self.progress = training.fit(net, batches, objective(net, settings), schedule, self.current, title)
        net.requires_grad_(True)
        return self.progress.epoch * batches.steps_per_epoch

    def save(self, net: EDENet, tasks: Sequence[Task], **more: Any) -> None:
        """Evaluates the network on the test images of the tasks so far and writes it with its exemplars.

        Args:
            more: what else the results hold.
        """
        run = self.run
        results = {
            **evaluate(net, tasks),
            "widths": net.described["widths"],
            "parameters": cost.parameters(net),
            "flops": cost.flops(net, run.settings.image_size),
            "seconds": self.progress.seconds,
            "history": self.progress.history,
            **more,
        }
        content = {
            "tasks": [[task.name, task.first, task.last] for task in tasks],
            "class_names": [name for task in tasks for name in task.class_names],
            "image_size": run.settings.image_size,
            "exemplars": self.memory.state_dict(),
        }
        net.meta = {**content, "configuration": run.configuration}
        self.current.save(net, results, **content)
        seen = 100 * sum(results["correct"]) / sum(results["total"])
        run.console.curves("test accuracy", tasks[-1].last, {"all classes seen": seen})


def made_from(settings: Settings, task: Task, submodels: SubModels, memory: Memory) -> dict[str, Any]:
    """What decides the network after a task, beside the stage before."""
    return {
        **task.described,
        **settings.deciding("run", "memory", "prediction", *(["update", "finetune"] if task.index > 0 else [])),
        "sub-model": submodels.record(task)["fingerprint"],
        "exemplars in all": memory.size,
        "exemplars of a class": memory.per_class,
    }


def evaluate(net: EDENet, tasks: Sequence[Task]) -> dict[str, list[int]]:
    """Counts, for each task, its test images: `correct` among all outputs, `within` its own outputs (told the task),
    taken for a class `elsewhere`, and in `total`."""
    found: dict[str, list[int]] = {"correct": [], "within": [], "elsewhere": [], "total": []}
    for task in tasks:
        logits = training.predictions(net, task.test.images)
        labels = task.test.labels.to(logits.device)
        predicted = logits.argmax(dim=1)
        within = logits[:, task.first : task.last].argmax(dim=1) + task.first
        found["correct"].append(int((predicted == labels).sum()))
        found["within"].append(int((within == labels).sum()))
        found["elsewhere"].append(int(((predicted < task.first) | (predicted >= task.last)).sum()))
        found["total"].append(len(labels))
    return found
