"""Stage one for one task: the temporary network, and the compressed one."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datasets.augment import Transform
from datasets.batches import Batches, Part
from datasets.images import Images
from datasets.memory import Memory, require_room
from datasets.tasks import Task, hold_out
from models import cost
from models.inherit import inherit
from models.resnet import ResNet18, resnet18
from utils.method import training
from utils.method.compression import compress, result
from utils.method.distill import distilled
from utils.method.mixmatch import mixmatch
from utils.method.mixup import Objective, mixup, supervised
from utils.method.others import with_others
from utils.method.training import Schedule
from utils.running.artefact import Artefact
from utils.running.errors import UserError
from utils.running.options import Settings
from utils.running.randomness import derive
from utils.running.run import Run

if TYPE_CHECKING:
    from utils.method.data import Split


def folder(settings: Settings, dataset: str, split_type: str, mixmatch: bool) -> Path:
    """Where stage one of a split lies."""
    root = Path(settings.classifier_root or settings.checkpoint_root)
    return root / f"classifier_{dataset}_{split_type}_resnet18{'_mixmatch' if mixmatch else ''}"


def place(
    settings: Settings, split: "Split", arguments: dict[str, Any], rehearsal_size: int
) -> tuple[Path, Settings, dict[str, Any]]:
    """Where stage one of a split writes, and what decides its results, for a `Run`.

    Raises: `UserError` for exemplars of which stage one cannot know which ones stage two will have.
    """
    if settings.other_weight and settings.other_exemplars:
        if settings.exemplars != "random":
            raise UserError(f'exemplars="{settings.exemplars}" is known after stage two only: give other_exemplars=0')
        require_room(rehearsal_size, split.bounds[-2])
        arguments = {**arguments, "rehearsal_size": rehearsal_size}
    kinds = ("run", "update", "network", "mixmatch", "other", "choice", "compression")
    found = {**split.configuration, **arguments, "recipe": settings.recipe, **settings.deciding(*kinds)}
    return folder(settings, split.dataset, split.type, arguments["mixmatch"]), settings, found


def model_name(task: Task, compressed: bool) -> str:
    """The name of a sub-model's files."""
    return f"model_{task.name}_prune" if compressed else f"model_{task.name}"


@dataclass(frozen=True)
class Foreign:
    """Images that are not the task's: unlabelled ones of another data set, and the exemplars of the tasks before.

    Attributes:
        unlabelled: for MixMatch, or as "other"; None to do without.
        exemplars: as "other"; None to do without.
        size: of the memory that they are from, in all.
    """

    unlabelled: Images | None = None
    exemplars: Images | None = None
    size: int = 0

    def are_other(self, settings: Settings) -> bool:
        """Whether the task's networks have an output for them, see `utils.method.others`."""
        return settings.other_weight > 0 and (self.unlabelled is not None or self.exemplars is not None)


def foreign_images(settings: Settings, memory: Memory, unlabelled: Images | None) -> Foreign:
    """What a task that begins may see beside its own images."""
    if not (settings.other_weight and settings.other_exemplars):
        return Foreign(unlabelled)
    return Foreign(unlabelled, memory.images() if memory.classes else None, memory.size)


def train_temporary(run: Run, task: Task, foreign: Foreign) -> Artefact:
    """Trains the task's temporary ResNet-18, `model_<task>`, with MixMatch where there are unlabelled images."""
    settings = run.settings
    artefact = run.artefact(model_name(task, compressed=False), made_from(task, foreign, settings))
    if not artefact.done:
        seed = derive(settings.seed, task.name, "temporary")
        outputs = task.num_classes + foreign.are_other(settings)
        model = resnet18(outputs, settings.widths, task.mean, task.std, seed).to(run.device)
        loss = objective(task.num_classes, foreign, settings)
        schedule = Schedule.of(settings, settings.epochs, settings.lr)
        train(run, task, foreign, artefact, model, loss, schedule, "training")
    return artefact


def compress_by_distillation(run: Run, task: Task, foreign: Foreign, unpruned: Artefact) -> Artefact:
    """Compresses the task's temporary network step by step into `model_<task>_prune`.

    That is the smallest accepted network, or the unpruned one again if none was accepted.
    """
    settings = run.settings
    name = model_name(task, compressed=True)
    record = {
        **made_from(task, foreign, settings),
        "teacher": unpruned.fingerprint,
        **settings.deciding("compression"),
    }
    artefact = run.artefact(name, record)
    if artefact.done:
        return artefact
    teacher = unpruned.load(ResNet18)
    tried: list[Artefact] = []

    def distil(number: int, widths: tuple[int, ...]) -> tuple[ResNet18, float]:
        round_record = {**record, "round": number, "widths of the round": widths}
        student = run.artefact(f"{name}.round{number}", round_record, run.unfinished)
        if not student.done:
            phase = f"distillation{number}"
            seed = derive(settings.seed, task.name, phase)
            if settings.inherit:
                model = inherit(teacher, widths)
            else:
                model = resnet18(teacher.num_classes, widths, task.mean, task.std, seed).to(run.device)
            loss = objective(task.num_classes, foreign, settings, plain=False)
            loss = distilled(loss, teacher, settings.temperature)
            schedule = Schedule.of(settings, settings.distill_epochs, settings.distill_lr)
            train(run, task, foreign, student, model, loss, schedule, phase)
        tried.append(student)
        return student.load(ResNet18), student.results["selection_accuracy"]

    attempts = compress(teacher, unpruned.results["selection_accuracy"], distil, settings)
    best = result(attempts)
    kept = unpruned if best is None else tried[attempts.index(best)]
    rounds = [{**each.results, "accepted": attempt.accepted} for each, attempt in zip(tried, attempts, strict=True)]
    artefact.save(kept.load(ResNet18), {**kept.results, "rounds": rounds}, task=task.name)
    return artefact


def made_from(task: Task, foreign: Foreign, settings: Settings) -> dict[str, Any]:
    """What decides a training of stage one."""
    kinds = ["mixmatch"] if foreign.unlabelled else []
    kinds += ["other"] if foreign.are_other(settings) else []
    deciding = settings.deciding("run", "update", "network", "choice", *kinds)
    del deciding["class_order"]  # the classes themselves are named
    return {
        "task": task.name,
        "classes": list(task.class_names),
        "images": task.fingerprint,
        "test images": task.test.fingerprint() if settings.selection == "test" else None,
        "unlabelled images": foreign.unlabelled and foreign.unlabelled.fingerprint(),
        "exemplars": foreign.exemplars and foreign.exemplars.fingerprint(),
        "rehearsal_size": foreign.size,
        "normalisation": [*task.mean, *task.std],
        **deciding,
    }


def objective(num_classes: int, foreign: Foreign, settings: Settings, plain: bool = True) -> Objective:
    """Stage one's loss: MixMatch where there are unlabelled images; else plain, or mixup for distillation."""
    if foreign.are_other(settings):
        return with_others(num_classes, settings.alpha, settings.other_weight)
    if foreign.unlabelled is not None:
        return mixmatch(num_classes, settings.alpha, settings.sharpening, settings.lambda_u)
    return supervised if plain else mixup(num_classes, settings.alpha)


def batches(run: Run, task: Task, labelled: Images, foreign: Foreign, key: tuple) -> Batches:
    """Stage one's batches of labelled and foreign images; an epoch is one pass over the labelled ones."""
    settings = run.settings
    transform = Transform(settings.padding, settings.rotation, task.mirror)
    labelled = labelled.to(run.data_device)
    size = min(settings.batch_size, len(labelled))
    parts = [Part(labelled.images, labelled.labels, size, transform)]
    if foreign.exemplars is not None:
        old = foreign.exemplars.to(run.data_device)
        parts.append(Part(old.images, old.labels, settings.other_exemplars, transform))
    if foreign.unlabelled is not None:
        images = foreign.unlabelled.images.to(run.data_device)
        views = 1 if foreign.are_other(settings) else settings.unlabeled_views
        parts.append(Part(images, None, settings.unlabeled_batch_size, transform, views))
    return Batches(parts, len(labelled) // size, key, run.device)


def train(
    run: Run,
    task: Task,
    foreign: Foreign,
    artefact: Artefact,
    model: ResNet18,
    loss: Objective,
    schedule: Schedule,
    phase: str,
) -> None:
    """Trains one sub-model and writes it; `phase` tells its random numbers from the task's others'."""
    settings = run.settings
    labelled, held_out = hold_out(task.train, settings.validation_fraction, settings.seed)
    judge = held_out if settings.selection == "validation" else task.test
    labelled, judge, test = (local(images, task) for images in (labelled, judge, task.test))
    judge = judge.to(run.data_device)

    def own(net: ResNet18) -> ResNet18:
        return net.without_other() if foreign.are_other(settings) else net

    progress = training.fit(
        model,
        batches(run, task, labelled, foreign, (settings.seed, task.name, phase)),
        loss,
        schedule,
        run.console,
        f"task {task.name}, {phase}",
        evaluate=lambda net: training.accuracy(own(net), judge),
        judged="held-out" if settings.selection == "validation" else "test",
        artefact=artefact,
    )
    joins = own(model)
    results = {
        "widths": list(joins.widths),
        "parameters": cost.parameters(joins),
        "flops": cost.flops(joins, settings.image_size),
        "selected_epoch": progress.best_epoch + 1,
        "selection_accuracy": progress.best_score,
        "test_accuracy": training.accuracy(joins, test),
        "seconds": progress.seconds,
        "history": progress.history,
    }
    artefact.save(model, results, task=task.name)


def local(images: Images, task: Task) -> Images:
    """The same images with task-local labels."""
    return Images(images.images, images.labels - task.first, images.indices)


def results_of(run: Run, tasks: Sequence[Task], prune: bool) -> list[dict[str, Any]] | None:
    """What is known of every task's networks, for the report; None while other processes are still at work."""
    found = []
    for task in tasks:
        before, after = (run.content(model_name(task, compressed)) for compressed in (False, True))
        if before is None or (prune and after is None):
            return None
        known = {"before": before["results"], "after": after["results"] if prune else None}
        found.append({"task": task.name, "classes": list(task.class_names), **known})
    return found
