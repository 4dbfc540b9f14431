"""Stage one for one task: the temporary network, and what every training of stage one has in common."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datasets.augment import Transform
from datasets.batches import Batches, Part
from datasets.images import Images
from datasets.memory import Memory
from datasets.tasks import Split, Task, hold_out
from models import cost
from models.resnet import ResNet18
from utils.method import training
from utils.method.mixmatch import mixmatch
from utils.method.mixup import Objective, mixup, supervised
from utils.method.others import with_others
from utils.method.training import Schedule
from utils.running.artefact import Artefact
from utils.running.errors import UserError
from utils.running.options import Settings
from utils.running.randomness import derive
from utils.running.run import Run


def folder(settings: Settings, split: Split, mixmatch: bool) -> Path:
    """Where stage one of a split lies."""
    root = Path(settings.classifier_root or settings.checkpoint_root)
    return root / f"classifier_{split.dataset}_{split.type}_resnet18{'_mixmatch' if mixmatch else ''}"


def begin(settings: Settings, split: Split, arguments: dict[str, Any], rehearsal_size: int) -> Run:
    """The run of stage one of a split; `arguments` are what results say beside the options."""
    if sees_exemplars(settings):
        arguments = {**arguments, "rehearsal_size": rehearsal_size}
    deciding = settings.deciding("run", "update", "network", "start", "mixmatch", "other", "choice", "compression")
    configuration = {**split.configuration, **arguments, "recipe": settings.recipe, **deciding}
    return Run(folder(settings, split, arguments["mixmatch"]), settings, configuration, siblings="classifier_*")


def sees_exemplars(settings: Settings) -> bool:
    """Whether stage one learns from the exemplars of the tasks before, as "other".

    Raises: `UserError` for exemplars of which it cannot know which ones stage two will have.
    """
    if not settings.other_weight or not settings.other_exemplars:
        return False
    if settings.exemplars != "random":
        raise UserError(f'exemplars="{settings.exemplars}" is known after stage two only: give other_exemplars=0')
    return True


def model_name(task: Task, compressed: bool) -> str:
    """The name of a sub-model's files."""
    return f"model_{task.name}_prune" if compressed else f"model_{task.name}"


@dataclass(frozen=True)
class Foreign:
    """Images that are not the task's; None where there are none."""

    unlabelled: Images | None = None  # of another data set, for MixMatch or as "other"
    exemplars: Images | None = None  # of the tasks before, as "other"
    size: int = 0  # of the memory that the exemplars are from, in all
    other: bool = False  # whether the task's networks have an output for all of these, see `utils.method.others`


def foreign_images(settings: Settings, memory: Memory, unlabelled: Images | None) -> Foreign:
    """What a task that begins may see beside its own images."""
    if not settings.other_weight:
        return Foreign(unlabelled)
    size = memory.size if settings.other_exemplars else 0
    exemplars = memory.images() if size and memory.classes else None
    return Foreign(unlabelled, exemplars, size, other=unlabelled is not None or exemplars is not None)


def train_temporary(run: Run, task: Task, foreign: Foreign, before: Artefact | None = None) -> Artefact:
    """Trains the task's temporary ResNet-18, `model_<task>`, see `objective`.

    It begins with fresh weights, or for `warm_epochs` with those of the network `before`, all but the head's.
    """
    settings = run.settings
    wanted, epochs = made_from(task, foreign, settings), settings.epochs
    if before is not None:
        wanted |= {**settings.deciding("start"), "begun with": before.fingerprint}
        epochs = settings.warm_epochs
    artefact = run.artefact(model_name(task, compressed=False), wanted)
    if not artefact.done:
        model = fresh(task, task.num_classes + foreign.other, settings.widths, settings.seed, "temporary")
        if before is not None:
            model.begin_with(before.load(ResNet18))
        loss = objective(task.num_classes, foreign, settings)
        train(artefact, task, foreign, model, loss, Schedule(settings, epochs, settings.lr), "training")
    return artefact


def made_from(task: Task, foreign: Foreign, settings: Settings) -> dict[str, Any]:
    """What decides a training of stage one."""
    kinds = ["mixmatch"] * bool(foreign.unlabelled) + ["other"] * foreign.other
    return {
        **task.described,
        **settings.deciding("run", "update", "network", "choice", *kinds),
        "unlabelled images": foreign.unlabelled and foreign.unlabelled.fingerprint(),
        "exemplars": foreign.exemplars and foreign.exemplars.fingerprint(),
        "rehearsal_size": foreign.size,
        "normalisation": [*task.mean, *task.std],
    }


def fresh(task: Task, outputs: int, widths: Sequence[int], seed: int, phase: str) -> ResNet18:
    """A network that normalises as the task's images need it; its weights are a function of seed, task and phase."""
    return ResNet18(outputs, widths, task.mean, task.std, derive(seed, task.name, phase))


def objective(num_classes: int, foreign: Foreign, settings: Settings, mixed: bool = False) -> Objective:
    """Stage one's loss: of an "other" output if there is one, else MixMatch where there are unlabelled images, else
    plain, or with mixup where that is asked."""
    if foreign.other:
        return with_others(num_classes, settings.alpha, settings.other_weight)
    if foreign.unlabelled is not None:
        return mixmatch(num_classes, settings.alpha, settings.sharpening, settings.lambda_u)
    return mixup(num_classes, settings.alpha) if mixed else supervised


def batches(run: Run, task: Task, labelled: Images, foreign: Foreign, phase: str) -> Batches:
    """Stage one's batches of labelled and foreign images; an epoch is one pass over the labelled ones."""
    settings, place = run.settings, run.data_device
    transform = Transform(settings.padding, settings.rotation, task.mirror)
    labelled = labelled.to(place)
    size = min(settings.batch_size, len(labelled))
    parts = [Part(labelled.images, labelled.labels, size, transform)]
    if foreign.exemplars is not None:
        old = foreign.exemplars.to(place)
        parts.append(Part(old.images, old.labels, settings.other_exemplars, transform))
    if foreign.unlabelled is not None:
        views = 1 if foreign.other else settings.unlabeled_views
        images = foreign.unlabelled.images.to(place)
        parts.append(Part(images, None, settings.unlabeled_batch_size, transform, views))
    return Batches(parts, len(labelled) // size, (settings.seed, task.name, phase), run.device)


def train(
    artefact: Artefact, task: Task, foreign: Foreign, model: ResNet18, loss: Objective, schedule: Schedule, phase: str
) -> None:
    """Trains one sub-model and writes it; `phase` tells its random numbers from the task's others'."""
    run, settings = artefact.run, schedule.settings
    labelled, held_out = hold_out(task.train, settings.validation_fraction, settings.seed)
    judge = held_out if settings.selection == "validation" else task.test
    labelled, judge, test = (
        Images(images.images, images.labels - task.first, images.indices) for images in (labelled, judge, task.test)
    )
    judge = judge.to(run.data_device)
    progress = training.fit(
        model.to(run.device),
        batches(run, task, labelled, foreign, phase),
        loss,
        schedule,
        artefact,
        f"task {task.name}, {phase}",
        evaluate=lambda net: training.accuracy(net.without_other(task.num_classes), judge),
    )
    submodel = model.without_other(task.num_classes)
    results = {
        "widths": list(submodel.widths),
        "parameters": cost.parameters(submodel),
        "flops": cost.flops(submodel, settings.image_size),
        "selected_epoch": progress.best_epoch + 1,
        "selection_accuracy": progress.best_score,
        "test_accuracy": training.accuracy(submodel, test),
        "seconds": progress.seconds,
        "history": progress.history,
    }
    artefact.save(model, results, task=task.name)


def results_of(run: Run, tasks: Sequence[Task], prune: bool) -> list[dict[str, Any]] | None:
    """What is known of every task's networks, for the report; None while other processes are still at work."""
    found = []
    for task in tasks:
        names = model_name(task, compressed=False), model_name(task, compressed=True)
        before, after = (run.recorded(name).get(name) for name in names)
        if before is None or (prune and after is None):
            return None
        known = {"before": before["results"], "after": after["results"] if prune else None}
        found.append({"task": task.name, "classes": list(task.class_names), **known})
    return found
