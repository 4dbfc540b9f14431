"""Stage one for one task: the temporary network, and the compressed one."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from datasets.augment import Transform
from datasets.batches import Batches, Part
from datasets.images import Images
from datasets.tasks import Task, hold_out
from models import cost
from models.resnet import ResNet18, resnet18
from utils.method import training
from utils.method.compression import compress, result
from utils.method.distill import distilled
from utils.method.mixmatch import mixmatch
from utils.method.mixup import Objective, mixup, supervised
from utils.method.training import Schedule
from utils.running.artefact import Artefact
from utils.running.options import Settings
from utils.running.randomness import derive
from utils.running.run import Run


def folder(settings: Settings, dataset: str, split_type: str, mixmatch: bool) -> Path:
    """Where stage one of a split lies."""
    root = Path(settings.classifier_root or settings.checkpoint_root)
    return root / f"classifier_{dataset}_{split_type}_resnet18{'_mixmatch' if mixmatch else ''}"


def model_name(task: Task, compressed: bool) -> str:
    """The name of a sub-model's files."""
    return f"model_{task.name}_prune" if compressed else f"model_{task.name}"


def train_temporary(run: Run, task: Task, unlabelled: Images | None) -> Artefact:
    """Trains the task's temporary ResNet-18, `model_<task>`, with MixMatch where there are unlabelled images."""
    settings = run.settings
    artefact = run.artefact(model_name(task, compressed=False), made_from(task, unlabelled, settings))
    if not artefact.done:
        seed = derive(settings.seed, task.name, "temporary")
        model = resnet18(task.num_classes, settings.widths, task.mean, task.std, seed).to(run.device)
        loss = objective(task.num_classes, unlabelled, settings)
        schedule = Schedule.of(settings, settings.epochs, settings.lr)
        train(run, task, unlabelled, artefact, model, loss, schedule, "training")
    return artefact


def compress_by_distillation(run: Run, task: Task, unlabelled: Images | None, unpruned: Artefact) -> Artefact:
    """Compresses the task's temporary network step by step into `model_<task>_prune`.

    That is the smallest accepted network, or the unpruned one again if none was accepted.
    """
    settings = run.settings
    name = model_name(task, compressed=True)
    record = {
        **made_from(task, unlabelled, settings),
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
            model = resnet18(task.num_classes, widths, task.mean, task.std, seed).to(run.device)
            loss = objective(task.num_classes, unlabelled, settings, plain=False)
            loss = distilled(loss, teacher, settings.temperature)
            schedule = Schedule.of(settings, settings.distill_epochs, settings.distill_lr)
            train(run, task, unlabelled, student, model, loss, schedule, phase)
        tried.append(student)
        return student.load(ResNet18), student.results["selection_accuracy"]

    attempts = compress(teacher, unpruned.results["selection_accuracy"], distil, settings)
    best = result(attempts)
    kept = unpruned if best is None else tried[attempts.index(best)]
    rounds = [{**each.results, "accepted": attempt.accepted} for each, attempt in zip(tried, attempts, strict=True)]
    artefact.save(kept.load(ResNet18), {**kept.results, "rounds": rounds}, task=task.name)
    return artefact


def made_from(task: Task, unlabelled: Images | None, settings: Settings) -> dict[str, Any]:
    """What decides a training of stage one."""
    deciding = settings.deciding("run", "update", "network", "choice", *(["mixmatch"] if unlabelled else []))
    del deciding["class_order"]  # the classes themselves are named
    return {
        "task": task.name,
        "classes": list(task.class_names),
        "images": task.fingerprint,
        "test images": task.test.fingerprint() if settings.selection == "test" else None,
        "unlabelled images": unlabelled and unlabelled.fingerprint(),
        "normalisation": [*task.mean, *task.std],
        **deciding,
    }


def objective(num_classes: int, unlabelled: Images | None, settings: Settings, plain: bool = True) -> Objective:
    """Stage one's loss: MixMatch where there are unlabelled images; else plain, or mixup for distillation."""
    if unlabelled is not None:
        return mixmatch(num_classes, settings.alpha, settings.sharpening, settings.lambda_u)
    return supervised if plain else mixup(num_classes, settings.alpha)


def batches(run: Run, task: Task, labelled: Images, unlabelled: Images | None, key: tuple) -> Batches:
    """Stage one's batches of labelled and unlabelled images; an epoch is one pass over the labelled ones."""
    settings = run.settings
    transform = Transform(settings.padding, settings.rotation, task.mirror)
    labelled = labelled.to(run.data_device)
    size = min(settings.batch_size, len(labelled))
    parts = [Part(labelled.images, labelled.labels, size, transform)]
    if unlabelled is not None:
        images = unlabelled.images.to(run.data_device)
        parts.append(Part(images, None, settings.unlabeled_batch_size, transform, settings.unlabeled_views))
    return Batches(parts, len(labelled) // size, key, run.device)


def train(
    run: Run,
    task: Task,
    unlabelled: Images | None,
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
    progress = training.fit(
        model,
        batches(run, task, labelled, unlabelled, (settings.seed, task.name, phase)),
        loss,
        schedule,
        run.console,
        f"task {task.name}, {phase}",
        evaluate=lambda net: training.accuracy(net, judge),
        judged="held-out" if settings.selection == "validation" else "test",
        artefact=artefact,
    )
    results = {
        "widths": list(model.widths),
        "parameters": cost.parameters(model),
        "flops": cost.flops(model, settings.image_size),
        "selected_epoch": progress.best_epoch + 1,
        "selection_accuracy": progress.best_score,
        "test_accuracy": training.accuracy(model, test),
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
