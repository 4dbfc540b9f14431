"""Stage two for one task: join the new sub-model, fine-tune the whole on a balanced mixture, keep exemplars."""

from pathlib import Path

from datasets.augment import Transform
from datasets.batches import Batches
from datasets.rehearsal import RehearsalMemory, herding_order, random_order
from datasets.stream import Task, TaskStream
from models import measure
from models.ede_net import EDENet
from models.resnet import ResNet18
from utils import checkpoint, metrics, training
from utils.distributed import wait_for_file
from utils.errors import UserError
from utils.finetune import balanced_batches
from utils.mixup import mixup
from utils.recipes import Settings
from utils.run import Run
from utils.setup import StageOne
from utils.stage_one import schedule, task_file


def transform(stream: TaskStream, settings: Settings) -> Transform:
    """Crop, flip and rotation of stage two; no mirror images of digits."""
    return Transform(settings.padding, settings.finetune_rotation, stream.mirror)


def stage_file(folder: Path, index: int) -> Path:
    """Where the EDE-Net after task `index` (0-based) lies."""
    return folder / f"stage_{index + 1}.pt"


def previous(run: Run, task: Task) -> tuple[EDENet, RehearsalMemory]:
    """The network and the memory as stage two left them after the task before: always from its file, never later."""
    size = run.configuration.get("rehearsal_size", 0)  # baselines without a memory have none
    if task.index == 0:
        return EDENet(), RehearsalMemory(size)
    path = stage_file(run.folder, task.index - 1)
    net = checkpoint.load_ede_net(path, run.device)
    if net.meta.get("task") != task.index or net.num_classes != task.first:
        raise UserError(
            f"{path} holds stage {net.meta.get('task')} with {net.num_classes} classes, expected stage {task.index} "
            f"with {task.first}: delete it to make it anew"
        )
    return net, RehearsalMemory(size, net.meta["exemplars"])


def new_submodel(run: Run, stage_one: StageOne, task: Task) -> tuple[ResNet18, str]:
    """The task's sub-model from stage one's folder, and its fingerprint.

    Raises: `UserError` that prints the command which makes it, if it is not there or has other classes.
    """
    path = task_file(stage_one.folder, task.name, stage_one.prune)
    if not path.is_file():
        raise UserError(
            f"{path} is not there: stage two needs the sub-models of stage one, which this makes: {stage_one.command}"
        )
    model, content = checkpoint.load_classifier(path, run.device)
    if content.get("task") != task.name or model.num_classes != task.num_classes:
        raise UserError(
            f"{path} was trained for {content.get('task')}, expected {task.name}: make it anew with {stage_one.command}"
        )
    return model, content["fingerprint"]


def grown_from(folder: Path, stage_one: StageOne | None, task: Task, run: Run) -> bool:
    """Whether the task's stage is in `folder` and was grown from the stage before and the sub-model there are now.

    Args:
        stage_one: None for a baseline that joins no sub-models.
    """
    path = stage_file(folder, task.index)
    if not path.exists():
        return False
    stage = checkpoint.read(path, "ede_net")
    before = stage_file(folder, task.index - 1)
    if task.index and not (
        before.exists() and checkpoint.read(before, "ede_net")["fingerprint"] == stage.get("previous")
    ):
        return False
    return stage_one is None or stage.get("submodels", [])[-1:] == [new_submodel(run, stage_one, task)[1]]


def finished(run: Run, stage_one: StageOne | None, task: Task) -> bool:
    """Whether the task's stage is there.

    Raises: `UserError` if it was grown from another stage or sub-model than are there now.
    """
    path = stage_file(run.folder, task.index)
    if not path.exists():
        return False
    if not grown_from(run.folder, stage_one, task, run):
        raise UserError(
            f"{path} was grown from another stage or sub-model than are there now: begin "
            f"{run.configuration.get('baseline', 'stage two')} anew with restart=True, or give another checkpoint_root"
        )
    run.console.say(f"stage {task.index + 1}: done before, {path.name} is there")
    return True


def adopt(run: Run, stage_one: StageOne | None, stream: TaskStream) -> None:
    """Goes on from the stages of another run that began alike and from the same sub-models."""
    run.adopt(
        "baseline_*" if "baseline" in run.configuration else "EDE_Net_*",
        files=lambda index, name: [stage_file(run.folder, index).name],
        fits=lambda folder, index: grown_from(folder, stage_one, stream.tasks[index], run),
    )


def finetune(run: Run, net: EDENet, memory: RehearsalMemory, stream: TaskStream, task: Task) -> training.Progress:
    """Trains the joined network on exemplars of the old classes and the current task's images, to the last epoch."""
    settings = run.settings
    exemplars = stream.exemplars(memory.lists, memory.size)
    batches = balanced_batches(
        exemplars,
        task.first,
        stream.training_images(task),
        task.num_classes,
        settings.finetune_batch_size,
        transform(stream, settings),
        key=(settings.seed, task.name, "finetune"),
        device=run.device,
    )
    return fit_joined(run, net, batches, f"stage two, task {task.index + 1} ({task.name})", f"finetune_{task.name}")


def fit_joined(run: Run, net: EDENet, batches: Batches, title: str, name: str) -> training.Progress:
    """Mixup over the joined batches and cross-entropy over all outputs, all sub-models or the heads alone."""
    settings = run.settings
    if run.team.size > settings.finetune_batch_size:
        raise UserError(
            f"a batch of {settings.finetune_batch_size} images cannot be shared by {run.team.size} processes: start "
            f"fewer, or give a larger finetune_batch_size"
        )
    epochs = max(settings.finetune_epochs, -(-settings.min_updates // batches.steps_per_epoch))
    if settings.finetune == "heads":
        net.train_heads_only()
    progress = training.fit(
        net,
        batches,
        mixup(net.num_classes, settings.alpha, run.team),
        schedule(settings, epochs, settings.finetune_lr),
        run.console,
        title,
        unfinished=run.unfinished / f"{name}.pt",
        team=run.team,
    )
    net.requires_grad_(True)
    return progress


def remember(net: EDENet, memory: RehearsalMemory, stream: TaskStream, task: Task, settings: Settings) -> None:
    """Chooses the exemplars of a task that ends, once, and shortens the lists of the classes before."""
    images, count = stream.training_images(task), memory.per_class(task.last)
    orders = []
    for label in range(task.first, task.last):
        of_class = images.select(images.labels == label)
        if settings.exemplars == "herding":
            features = training.outputs(net.features, of_class.images, next(net.parameters()).device)
            orders.append(herding_order(features, count))
        else:
            orders.append(random_order(len(of_class), (settings.seed, "exemplars", label))[:count])
    memory.add_task(images, orders)


def accuracy_row(net: EDENet, stream: TaskStream, task: Task) -> tuple[list[int], list[int]]:
    """For each task so far: test images taken for the right class among all seen, and test images in all."""
    correct, total = [], []
    for seen in stream.tasks[: task.index + 1]:
        test = stream.test_images(seen)
        correct.append(training.count_correct(net, test.images, test.labels))
        total.append(len(test))
    return correct, total


def write_stage(
    run: Run,
    net: EDENet,
    memory: RehearsalMemory,
    stream: TaskStream,
    task: Task,
    progress: training.Progress | None,
    source: str | None,
) -> None:
    """Evaluates the network on the test images of all classes seen and writes `stage_<t>.pt`.

    Of several processes the first does so, and the others wait for it.

    Args:
        progress: of the training; None where there was none, as for the first task.
        source: the fingerprint of the task's sub-model as stage one left it; None where none was joined.
    """
    if run.team.leads:
        correct, total = accuracy_row(net, stream, task)
        seen = metrics.percentage(sum(correct), sum(total))
        run.console.scalars.add("test accuracy", task.last, {"all classes seen": seen})
        results = {
            "correct": correct,
            "total": total,
            "widths": [list(widths) for widths in net.widths],
            "parameters": measure.parameters(net),
            "flops": measure.flops(net, run.settings.image_size),
            "seconds": progress.seconds if progress else 0.0,
            "history": progress.history if progress else [],
        }
        checkpoint.write_ede_net(
            stage_file(run.folder, task.index),
            net,
            {
                "task": task.index + 1,
                "dataset": stream.name,
                "image_size": run.settings.image_size,
                "class_names": stream.class_names[: task.last],
                "class_order": stream.order[: task.last],
                "exemplars": memory.lists,
                "previous": net.meta.get("fingerprint"),
                "submodels": [*net.meta.get("submodels", []), *([] if source is None else [source])],
                "results": results,
                "configuration": run.configuration,
            },
        )
    run.team.meet()
    if not run.team.leads:
        wait_for_file(stage_file(run.folder, task.index))


def all_results(run: Run, stream: TaskStream) -> list[dict]:
    """The results of every stage, from their files."""
    return [checkpoint.read(stage_file(run.folder, task.index), "ede_net")["results"] for task in stream.tasks]
