"""Stage one for one task: its images, the temporary network, and the compressed one."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from datasets.augment import Transform
from datasets.batches import Batches, Part
from datasets.stream import Task, TaskStream, hold_out
from models import measure
from models.resnet import ResNet18, resnet18
from utils import checkpoint, compress, training
from utils.distill import distilled
from utils.errors import UserError
from utils.mixmatch import mixmatch
from utils.mixup import Objective, mixup, supervised
from utils.randomness import derive
from utils.recipes import Settings
from utils.run import Run


@dataclass(frozen=True)
class TaskImages:
    """What stage one may see of one task. All labels are task-local.

    Attributes:
        name: of the task, in file names: "0to10", "mnist".
        labelled: uint8 [N, 3, H, W] and int64 [N], to train on.
        judge: the images that choose the epoch and judge compression: held out, or the test's with selection="test".
        test: for the report.
        unlabelled: uint8 [M, 3, H, W], or None without MixMatch.
        transform: augmentation of this data set in stage one.
        mean, std: its normalisation.
    """

    name: str
    num_classes: int
    labelled: tuple[Tensor, Tensor]
    judge: tuple[Tensor, Tensor]
    test: tuple[Tensor, Tensor]
    unlabelled: Tensor | None
    transform: Transform
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


def task_file(folder: Path, name: str, compressed: bool) -> Path:
    """Where a task's sub-model lies."""
    return folder / f"model_{name}{'_prune' if compressed else ''}.pt"


def task_images(stream: TaskStream, task: Task, unlabelled: Tensor | None, settings: Settings) -> TaskImages:
    """Opens a task: its training images, a tenth of each class held out, and its test images."""
    stream.begin(task)
    labelled, held_out = hold_out(stream.training_images(task), settings.validation_fraction, settings.seed)
    test = stream.test_images(task)
    judge = held_out if settings.selection == "validation" else test
    local = [(images.images, images.labels - task.first) for images in (labelled, judge, test)]
    transform = Transform(settings.padding, settings.rotation, stream.mirror)
    return TaskImages(task.name, task.num_classes, *local, unlabelled, transform, stream.mean, stream.std)


def objective(num_classes: int, unlabelled: Tensor | None, settings: Settings, plain: bool = True) -> Objective:
    """Stage one's loss: MixMatch where there are unlabelled images; else plain, or mixup for distillation."""
    if unlabelled is not None:
        return mixmatch(num_classes, settings.alpha, settings.sharpening, settings.lambda_u)
    return supervised if plain else mixup(num_classes, settings.alpha)


def batches(
    labelled: tuple[Tensor, Tensor],
    unlabelled: Tensor | None,
    transform: Transform,
    settings: Settings,
    key: tuple,
    device: torch.device,
) -> Batches:
    """Labelled and, with MixMatch, unlabelled images in several views; an epoch passes the labelled ones once."""
    images, labels = labelled
    size = min(settings.batch_size, len(images))
    parts = [Part(images, labels, size, transform)]
    if unlabelled is not None:
        parts.append(Part(unlabelled, None, settings.unlabeled_batch_size, transform, settings.unlabeled_views))
    return Batches(parts, len(images) // size, key, device)


def schedule(settings: Settings, epochs: int, lr: float) -> training.Schedule:
    """A training's schedule with what all of them share."""
    return training.Schedule(
        lr=lr,
        weight_decay=settings.weight_decay,
        clip_norm=settings.clip_norm,
        amp=settings.amp,
        compile=settings.compile,
        epochs=epochs,
        evaluate_every=settings.evaluate_every,
        evaluate_last=settings.evaluate_last,
        save_every=settings.save_every,
    )


def _judged(data: TaskImages, model: nn.Module) -> float:
    return training.accuracy(model, *data.judge)


def _train(
    run: Run,
    data: TaskImages,
    model: ResNet18,
    path: Path,
    loss: Objective,
    plan: training.Schedule,
    phase: str,
    title: str,
) -> dict:
    """Trains and writes one sub-model; the file's `results` say how it went."""
    progress = training.fit(
        model,
        batches(
            data.labelled,
            data.unlabelled,
            data.transform,
            run.settings,
            key=(run.settings.seed, data.name, phase),
            device=run.device,
        ),
        loss,
        plan,
        run.console,
        title,
        evaluate=lambda net: _judged(data, net),
        judged="held-out" if run.settings.selection == "validation" else "test",
        unfinished=run.unfinished / f"{data.name}_{phase}.pt",
    )
    results = {
        "widths": list(model.widths),
        "parameters": measure.parameters(model),
        "flops": measure.flops(model, run.settings.image_size),
        "selected_epoch": progress.best_epoch + 1,
        "selection_accuracy": progress.best_score,
        "test_accuracy": training.accuracy(model, *data.test),
        "seconds": progress.seconds,
        "history": progress.history,
    }
    content = {"task": data.name, "results": results, "configuration": run.configuration}
    checkpoint.write_classifier(path, model, content)
    run.forget(f"{data.name}_{phase}.")
    return results


def train_temporary(run: Run, data: TaskImages) -> None:
    """Trains the task's temporary ResNet-18 and writes `model_<a>to<b>.pt`."""
    settings, title = run.settings, f"task {data.name}, training"
    path = task_file(run.folder, data.name, compressed=False)

    def make() -> None:
        seed = derive(settings.seed, data.name, "temporary")
        model = resnet18(data.num_classes, settings.widths, data.mean, data.std, seed).to(run.device)
        _train(
            run,
            data,
            model,
            path,
            objective(data.num_classes, data.unlabelled, settings),
            schedule(settings, settings.epochs, settings.lr),
            "training",
            title,
        )
        run.forget(f"{data.name}_")  # rounds of compression that another network taught

    run.once(path, make, title)
    run.forget(f"{data.name}_training.")


def compress_by_distillation(run: Run, data: TaskImages) -> None:
    """Compresses the task's temporary network step by step and writes `model_<a>to<b>_prune.pt`.

    The file holds the smallest accepted network, or the unpruned one if none was accepted.
    """
    settings, name = run.settings, data.name
    path = task_file(run.folder, name, compressed=True)

    def distil(number: int, widths: tuple[int, ...]) -> tuple[ResNet18, float]:
        phase, title = f"distillation{number}", f"task {name}, compression {number} to {'-'.join(map(str, widths))}"
        finished = run.unfinished / f"{name}_round{number}.pt"

        def train() -> None:
            seed = derive(settings.seed, name, phase)
            model = resnet18(data.num_classes, widths, data.mean, data.std, seed).to(run.device)
            loss = objective(data.num_classes, data.unlabelled, settings, plain=False)
            _train(
                run,
                data,
                model,
                finished,
                distilled(loss, teacher, settings.temperature),
                schedule(settings, settings.distill_epochs, settings.distill_lr),
                phase,
                title,
            )

        run.once(finished, train, title)
        model, content = checkpoint.load_classifier(finished, run.device)
        tried.append(content["results"])
        return model, content["results"]["selection_accuracy"]

    def make() -> None:
        attempts = compress.compress(teacher, unpruned["results"]["selection_accuracy"], distil, settings)
        best = compress.result(attempts)
        results = unpruned["results"] if best is None else tried[attempts.index(best)]
        rounds = [{**result, "accepted": attempt.accepted} for result, attempt in zip(tried, attempts, strict=True)]
        checkpoint.write_classifier(
            path,
            teacher if best is None else best.model,
            {
                "task": data.name,
                "teacher": unpruned["fingerprint"],
                "results": results,
                "rounds": rounds,
                "configuration": run.configuration,
            },
        )

    tried: list[dict] = []
    source = task_file(run.folder, name, compressed=False)
    teacher, unpruned = checkpoint.load_classifier(source, run.device)
    if unpruned.get("task") != name or teacher.num_classes != data.num_classes:
        raise UserError(f"{source} was trained for {unpruned.get('task')}, expected {name}: delete it to make it anew")
    if path.exists() and checkpoint.read(path, "classifier").get("teacher") != unpruned["fingerprint"]:
        raise UserError(f"{path} was taught by another network than {source} holds now: delete it to make it anew")
    run.once(path, make, f"task {name}, compression")
    run.forget(f"{name}_")
