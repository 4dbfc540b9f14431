"""What a run would do and how long it would take (`dry_run=True`): counted, and timed on a few real updates.

Nothing is written, and what is finished is not planned again. Times are those of this machine as it is now; of what
cannot be known before, such as how many rounds of compression succeed, the bounds are given.
"""

import time
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from datasets.batches import Batches
from datasets.image_set import ImageSet
from datasets.rehearsal import RehearsalMemory
from datasets.stream import Task, TaskStream
from models import measure
from models.ede_net import EDENet
from models.resnet import resnet18
from utils import checkpoint, device, distributed, report, setup, stage_one, stage_two, tables, training
from utils.distill import distilled
from utils.errors import UserError
from utils.finetune import balanced_batches, exemplar_rows
from utils.mixup import mixup
from utils.recipes import Settings
from utils.setup import Split
from utils.stage_one import TaskImages, schedule, task_file
from utils.updates import Updates

NOTHING = "Dry run: nothing is written. What is finished already has 0 updates."
WARM_UP, TIMED = 2, 5  # updates before the timing, in which memory is allocated and algorithms are chosen; timed ones


def require_no_dry_run(settings: Settings) -> None:
    """Raises `UserError` where only `train_model` has a plan."""
    if settings.dry_run:
        raise UserError("dry_run=True is for train_model() of both scripts and nothing else: leave it out")


def classifiers(
    settings: Settings, train: ImageSet, test: ImageSet, others: ImageSet | None, split: Split, prune: bool
) -> dict:
    """The plan of stage one, printed and returned; `others` are the unlabelled images, None without MixMatch.

    The updates of a round of compression are timed with a student as wide as its teacher, which none is.

    Returns: "tasks", for each "task", "images" (to train on), "updates", "parameters", "flops", "seconds", and
        "round_updates", "round_seconds" of one round of compression (None without); updates and seconds are 0 of what
        is finished. "seconds", the bounds [a, b] of the whole run: with one round for every task, and with all that
        there may be.
    """
    team = distributed.team()
    where = device.choose(settings.device, team.local_rank)
    images_on = torch.device("cpu") if settings.data_device == "cpu" else where
    stream = TaskStream(train, test, split.order, split.bounds, images_on)
    unlabelled = None if others is None else others.images.to(images_on)
    folder, planned, pace = setup.classifier_folder(settings, split, others is not None), [], None
    with device.prepared(where, settings.deterministic):
        for task in stream.tasks:
            images = stage_one.task_images(stream, task, unlabelled, settings)
            pace = pace or _stage_one_pace(images, settings, where)
            epochs, distilling = settings.epochs, settings.distill_epochs if prune else None
            if _finished(task_file(folder, task.name, compressed=False), settings):
                epochs = 0
            if prune and _finished(task_file(folder, task.name, compressed=True), settings):
                distilling = 0
            planned.append(_planned_task(images, settings, pace, epochs, distilling))
    # A round that fails may be followed by one last attempt.
    rounds = settings.max_rounds + 1 if prune and settings.max_rounds else 0
    bounds = [_longest_share(planned, count, team.size) for count in (min(1, rounds), rounds)]
    plan = {"tasks": planned, "seconds": bounds}
    if team.leads:
        print(_classifier_text(plan, settings, team.size, rounds))
    return plan


def _finished(path: Path, settings: Settings) -> bool:
    """Whether the run would go on from this file."""
    return path.is_file() and not settings.restart


def _stage_one_pace(images: TaskImages, settings: Settings, where: torch.device) -> dict[str, float]:
    """Seconds of an update of training and of distillation, and of one image's evaluation."""

    def fresh() -> nn.Module:
        return resnet18(images.num_classes, settings.widths, images.mean, images.std, seed=0).to(where)

    batches = _batches(images, settings, where)
    plain, distilling = (
        stage_one.objective(images.num_classes, images.unlabelled, settings, plain) for plain in (True, False)
    )
    plan = schedule(settings, settings.epochs, settings.lr)
    model = fresh()
    return {
        "training": seconds_per_update(Updates(model, batches, plain, plan)),
        "distillation": seconds_per_update(
            Updates(fresh(), batches, distilled(distilling, model, settings.temperature), plan)
        ),
        "evaluation": _seconds_per_image(model, images.test[0]),
    }


def _batches(images: TaskImages, settings: Settings, where: torch.device) -> Batches:
    return stage_one.batches(images.labelled, images.unlabelled, images.transform, settings, ("dry run",), where)


def seconds_per_update(updates: Updates) -> float:
    """The mean over a few updates, at a learning rate of 0."""
    updates.model.train()
    for number in range(WARM_UP):
        float(updates.update(number, 0.0))
    begun = time.monotonic()
    for number in range(WARM_UP, WARM_UP + TIMED):
        loss = updates.update(number, 0.0)
    float(loss)  # waits for the device
    return (time.monotonic() - begun) / TIMED


def _seconds_per_image(model: nn.Module, images: Tensor) -> float:
    images = images[: training.EVALUATION_BATCH]
    model.eval()
    begun = time.monotonic()
    training.outputs(model, images, next(model.parameters()).device).sum().item()
    return (time.monotonic() - begun) / len(images)


def _planned_task(
    images: TaskImages, settings: Settings, pace: dict[str, float], epochs: int, round_epochs: int | None
) -> dict:
    """One task's entry; `round_epochs` are those of a round of compression, None without."""
    model = resnet18(images.num_classes, settings.widths)
    steps = _batches(images, settings, torch.device("cpu")).steps_per_epoch

    def seconds(kind: str, epochs: int) -> float:
        if epochs == 0:
            return 0.0
        plan = schedule(settings, epochs, settings.lr)
        judged = sum(plan.evaluates(epoch) for epoch in range(epochs)) * len(images.judge[0]) + len(images.test[0])
        return epochs * steps * pace[kind] + judged * pace["evaluation"]

    compresses = round_epochs is not None
    return {
        "task": images.name,
        "images": len(images.labelled[0]),
        "parameters": measure.parameters(model),
        "flops": measure.flops(model, settings.image_size),
        "updates": epochs * steps,
        "seconds": seconds("training", epochs),
        "round_updates": round_epochs * steps if compresses else None,
        "round_seconds": seconds("distillation", round_epochs) if compresses else None,
    }


def _longest_share(planned: Sequence[dict], rounds: int, processes: int) -> float:
    """Seconds of the process that takes longest, where each takes every n-th task."""
    seconds = [task["seconds"] + rounds * (task["round_seconds"] or 0) for task in planned]
    return max(sum(seconds[rank::processes]) for rank in range(processes))


def _classifier_text(plan: dict, settings: Settings, processes: int, rounds: int) -> str:
    header = ["task (classes)", "images", "parameters", "FLOPs", "updates", "time", "updates a round", "time a round"]
    rows = [
        [
            task["task"].replace("to", " to "),
            task["images"],
            tables.parameters(task["parameters"]),
            tables.flops(task["flops"]),
            task["updates"],
            tables.duration(task["seconds"]),
            task["round_updates"],
            tables.duration(task["round_seconds"]),
        ]
        for task in plan["tasks"]
    ]
    low, high = (tables.duration(seconds) for seconds in plan["seconds"])
    bounds = (
        f"; with compression, from {low} (one round a task) to {high} ({rounds} trainings a task)" if rounds else ""
    )
    total = tables.duration(_longest_share(plan["tasks"], 0, processes))
    shared = f", shared by {processes} processes" if processes > 1 else ""
    return "\n".join(
        [
            f"# Stage one would train widths {report.widths(settings.widths)}, recipe {settings.recipe}. {NOTHING}",
            "",
            tables.markdown_table(header, rows),
            "",
            f"Expected, from {TIMED} updates timed now: {total} of training{shared}{bounds}."
            if plan["seconds"][1]
            else "All of it is finished.",
            "",
        ]
    )


def ede_net(
    settings: Settings, train: ImageSet, test: ImageSet, split: Split, rehearsal_size: int, prune: bool, mixmatch: bool
) -> dict:
    """The plan of stage two, printed and returned.

    Sub-models that stage one has not made yet are taken to be as wide as the temporary networks, which gives too long
    a time where they will be compressed. The second task's updates are timed, the others taken to be in proportion to
    FLOPs.

    Returns: "stages", for each "task", "exemplars" (of old classes), "updates", "parameters", "flops", "seconds", 0 of
        what is finished; and "seconds" of all.
    """
    where = device.choose(settings.device)
    images_on = torch.device("cpu") if settings.data_device == "cpu" else where
    stream = TaskStream(train, test, split.order, split.bounds, images_on)
    folder = setup.stage_one_folder(settings, split, mixmatch)
    files = [task_file(folder, task.name, prune) for task in stream.tasks]
    widths = [checkpoint.read(path, "classifier")["widths"] if path.is_file() else settings.widths for path in files]
    memory, pace, stages = RehearsalMemory(rehearsal_size), None, []
    finished = setup.ede_net_folder(settings, split, rehearsal_size)
    for task in stream.tasks:
        stream.begin(task)
        seen = stream.tasks[: task.index + 1]
        net = EDENet.from_widths(widths[: len(seen)], [each.num_classes for each in seen])
        flops, updates = measure.flops(net, settings.image_size), 0
        if task.index > 0:
            rows = exemplar_rows(settings.finetune_batch_size, task.first, task.num_classes)
            steps = -(-sum(map(len, memory.lists)) // rows)
            if not _finished(stage_two.stage_file(finished, task.index), settings):
                updates = max(settings.finetune_epochs, -(-settings.min_updates // steps)) * steps
            pace = pace or _stage_two_pace(net.to(where), memory, stream, task, settings, where) / flops
        stages.append(
            {
                "task": task.name,
                "exemplars": sum(map(len, memory.lists)),
                "updates": updates,
                "parameters": measure.parameters(net),
                "flops": flops,
                "seconds": updates * flops * (pace or 0.0),
            }
        )
        images, count = stream.training_images(task), memory.per_class(task.last)
        each = torch.bincount(images.labels - task.first, minlength=task.num_classes).tolist()
        memory.add_task(images, [range(min(count, there)) for there in each])
    plan = {"stages": stages, "seconds": sum(stage["seconds"] for stage in stages)}
    assumed = sum(not path.is_file() for path in files)
    if distributed.team().leads:
        print(_ede_net_text(plan, settings, assumed))
    return plan


def _stage_two_pace(
    net: EDENet, memory: RehearsalMemory, stream: TaskStream, task: Task, settings: Settings, where: torch.device
) -> float:
    """Seconds of an update of the joined network."""
    batches = balanced_batches(
        stream.exemplars(memory.lists, memory.size),
        task.first,
        stream.training_images(task),
        task.num_classes,
        settings.finetune_batch_size,
        stage_two.transform(stream, settings),
        key=("dry run",),
        device=where,
    )
    if settings.finetune == "heads":
        net.train_heads_only()
    plan = schedule(settings, settings.finetune_epochs, settings.finetune_lr)
    with device.prepared(where, settings.deterministic):
        return seconds_per_update(Updates(net, batches, mixup(net.num_classes, settings.alpha), plan))


def _ede_net_text(plan: dict, settings: Settings, assumed: int) -> str:
    header = ["task (classes)", "exemplars", "parameters", "FLOPs", "updates", "time"]
    rows = [
        [
            stage["task"].replace("to", " to "),
            stage["exemplars"],
            tables.parameters(stage["parameters"]),
            tables.flops(stage["flops"]),
            stage["updates"],
            tables.duration(stage["seconds"]),
        ]
        for stage in plan["stages"]
    ]
    note = (
        f" {assumed} sub-models are not there yet: taken to be {report.widths(settings.widths)} wide, as before "
        f"compression."
        if assumed
        else ""
    )
    return "\n".join(
        [
            f"# Stage two would fine-tune, recipe {settings.recipe}. {NOTHING}",
            "",
            tables.markdown_table(header, rows),
            "",
            f"Expected, from {TIMED} updates timed now: {tables.duration(plan['seconds'])}, in one process.{note}"
            if plan["seconds"]
            else "All of it is finished.",
            "",
        ]
    )
