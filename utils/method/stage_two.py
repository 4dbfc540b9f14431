"""Stage two for one task: join the new sub-model, fine-tune the whole on a balanced mixture, keep exemplars."""

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datasets import naming
from datasets.augment import Transform
from datasets.batches import Batches, Part
from datasets.images import Images
from datasets.memory import Memory, herding_order, random_orders
from datasets.tasks import Task
from models import cost
from models.ede_net import EDENet
from models.resnet import ResNet18, resnet18
from utils.method import stage_one, training
from utils.method.keep import kept
from utils.method.mixup import Objective, mixup
from utils.method.training import Progress, Schedule
from utils.running import checkpoint
from utils.running.artefact import Artefact, read_record
from utils.running.errors import UserError
from utils.running.options import Settings, command_line
from utils.running.run import Run

if TYPE_CHECKING:
    from utils.method.data import Split


def place(settings: Settings, split: "Split", **arguments: Any) -> tuple[Path, Settings, dict[str, Any]]:
    """Where stage two of a split writes, and what decides its results, for a `Run`.

    Args:
        arguments: of the call: prune, mixmatch and rehearsal_size.
    """
    size = arguments["rehearsal_size"]
    folder = Path(settings.checkpoint_root) / f"EDE_Net_{split.dataset}_{split.type}_resnet18_rehearsal_{size}"
    deciding = settings.deciding("run", "update", "memory", "finetune", "prediction")
    shared = {"recipe": settings.recipe, "selection": settings.selection}
    return folder, settings, {**split.configuration, **arguments, **shared, **deciding}


class SubModels:
    """Stage one's networks, which stage two joins and never changes.

    Args:
        folder: where they lie.
        compressed: whether the compressed ones are meant.
        command: what makes them, for the error where one is missing.
        agreed: what they have to have been made with, by the names of their records and configurations.
    """

    def __init__(self, folder: Path, compressed: bool, command: str, agreed: dict[str, Any]):
        self.folder, self.compressed, self.command, self.agreed = folder, compressed, command, agreed
        self.configuration: dict[str, Any] | None = None  # of stage one, once a record has been read

    def record(self, task: Task, dry: bool = False) -> dict[str, Any]:
        """What is recorded of a task's sub-model; in a dry run of one that is still to be made, as good as nothing.

        Raises: `UserError` that prints the command which makes it, if it is not there or was made from something else.
        """
        path = self.folder / f"{stage_one.model_name(task, self.compressed)}.json"
        if not path.is_file():
            if dry:
                return {"fingerprint": "none yet", "results": {"test_accuracy": None}}
            raise UserError(
                f"{path} is not there: stage two needs stage one's networks, which this makes: {self.command}"
            )
        content = read_record(path)
        agreed = {"classes": list(task.class_names), "images": task.fingerprint, **self.agreed}
        for name, mine in agreed.items():
            theirs = {**content["configuration"], **content["made_from"]}.get(name)
            if theirs != mine:
                raise UserError(
                    f"{path} was made with {name}={theirs!r}, stage two asks for {mine!r}: give the same, or make it "
                    f"anew in another checkpoint_root with: {self.command}"
                )
        self.configuration = content["configuration"]
        return content

    def load(self, run: Run, task: Task) -> ResNet18:
        """The task's sub-model as stage one left it; in a dry run of one that is still to be made, a fresh one."""
        wanted = self.record(task, run.dry)["fingerprint"]
        path = self.folder / f"{stage_one.model_name(task, self.compressed)}.pt"
        if run.dry and not path.is_file():
            return resnet18(task.num_classes, run.settings.widths, task.mean, task.std, seed=0).to(run.device)
        content = checkpoint.read(path, ResNet18.KIND, run.device)
        if content["fingerprint"] != wanted:
            raise UserError(f"{path} is not the network that its record was written with: make it anew: {self.command}")
        model = ResNet18.built(content, path)
        return model.without_other() if model.num_classes > task.num_classes else model


def submodels_of(settings: Settings, split: "Split", prune: bool, mixmatch: bool, rehearsal_size: int) -> SubModels:
    """Stage one's networks of a split, which have to be of the same data, chosen by the same rule."""
    call = {"split_list": split.bounds, "split_type": split.type, "prune": prune, "mixmatch": mixmatch}
    root = settings.classifier_root or settings.checkpoint_root
    theirs = Settings(**{**vars(settings), "checkpoint_root": root, "classifier_root": None})
    if settings.other_weight and settings.other_exemplars:
        call["rehearsal_size"] = rehearsal_size
    agreed = {name: getattr(settings, name) for name in ("image_size", "seed", "selection", "validation_fraction")}
    agreed["rehearsal_size"] = call.get("rehearsal_size", 0)  # stage one saw exemplars of this memory, or none
    if mixmatch:
        agreed["unlabeled"] = naming.short_name(settings.unlabeled)
    return SubModels(
        stage_one.folder(settings, split.dataset, split.type, mixmatch),
        prune,
        command_line("train_classifier.py", "train_model", call, theirs),
        agreed,
    )


def stage(run: Run, task: Task, before: Artefact | None, submodels: SubModels, memory: Memory) -> Artefact:
    """The EDE-Net after a task, `stage_<t>`: what it is made from, and whether it is done.

    Args:
        before: the stage of the task before.
        memory: an empty one.
    """
    return run.artefact(name(task), made_from(run, task, before, submodels, memory))


def made_from(run: Run, task: Task, before: Artefact | None, submodels: SubModels, memory: Memory) -> dict[str, Any]:
    """What decides the network after a task."""
    record = {
        "task": task.name,
        "classes": list(task.class_names),
        "images": task.fingerprint,
        "sub-model": submodels.record(task, run.dry)["fingerprint"],
        "stage before": before and before.fingerprint,
        "exemplars in all": memory.size,
        "exemplars of a class": memory.per_class,
        **run.settings.deciding("run", "memory", "prediction", *(["update", "finetune"] if task.index > 0 else [])),
    }
    del record["class_order"]  # the classes themselves are named
    return record


def after(run: Run, before: Artefact | None, memory: Memory, network: type[EDENet] = EDENet) -> EDENet:
    """The network as stage two left it after the task before, whose exemplars the memory takes up; or an empty one."""
    if before is None:
        return network(flip_average=run.settings.flip_average)
    net = before.load(network)
    memory.load_state_dict(net.meta["exemplars"], net.meta["tasks"][-1][2])
    return net


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


def exemplar_batches(run: Run, memory: Memory, tasks: Sequence[Task]) -> Batches:
    """Batches of exemplars alone, as many of each task, each task's augmented in its own way; an epoch is one pass."""
    settings = run.settings
    exemplars = [memory.images(task.first, task.last).to(run.data_device) for task in tasks]
    size = min(settings.finetune_batch_size, sum(map(len, exemplars)))
    if size < len(tasks):
        raise UserError(f"a batch of {size} exemplars cannot hold one of each of {len(tasks)} data sets: give more")
    shares = [size // len(tasks) + (index < size % len(tasks)) for index in range(len(tasks))]
    parts = [
        Part(each.images, each.labels, share, Transform(settings.padding, settings.finetune_rotation, task.mirror))
        for task, each, share in zip(tasks, exemplars, shares, strict=True)
    ]
    steps = max(-(-len(part.images) // part.size) for part in parts)
    return Batches(parts, steps, (settings.seed, *[task.name for task in tasks], "finetune"), run.device)


def finetune(run: Run, artefact: Artefact, net: EDENet, batches: Batches) -> Progress:
    """Trains the joined network to the last epoch: all of it, or the part that `finetune` names."""
    settings = run.settings
    epochs = max(settings.finetune_epochs, -(-settings.min_updates // batches.steps_per_epoch))
    if settings.finetune != "all":
        net.train_only(settings.finetune)
    progress = training.fit(
        net,
        batches,
        objective(net, settings),
        Schedule.of(settings, epochs, settings.finetune_lr),
        run.console,
        f"stage two, {artefact.name}",
        artefact=artefact,
    )
    net.requires_grad_(True)
    return progress


def objective(net: EDENet, settings: Settings) -> Objective:
    """The loss of stage two, for the network as it is before the first update.

    Mixup over the joined batches and cross-entropy over all outputs; with `finetune_distillation` what the sub-models
    can is kept, see `utils.method.keep`.
    """
    loss = mixup(net.num_classes, settings.alpha if settings.finetune_mixup else 0.0)
    if settings.finetune_distillation == 0:
        return loss
    *old, new = copy.deepcopy(net.submodels)
    return kept(loss, [EDENet(old), new], settings.finetune_distillation)


def remember(run: Run, net: EDENet, memory: Memory, task: Task) -> None:
    """Chooses the exemplars of a task that ends, once, and shortens the lists of the classes before."""
    count = memory.share(task.last)
    if run.settings.exemplars == "random":
        orders = random_orders(task, run.settings.seed, count)
    else:
        orders = []
        for label in range(task.first, task.last):
            of_class = task.train.select(task.train.labels == label)
            features = training.outputs(net.features, of_class.images, next(net.parameters()).device)
            orders.append(herding_order(features, count))
    for name, order in zip(task.class_names, orders, strict=True):
        if memory.per_class is not None and len(order) < count:
            raise UserError(
                f"num_per_class={count} is more than the {len(order)} training images of {task.name}'s class {name}: "
                f"expected at most that many"
            )
    memory.add(task, orders)


def save(
    artefact: Artefact, net: EDENet, memory: Memory, tasks: Sequence[Task], progress: Progress | None, **more: Any
) -> None:
    """Evaluates the network on the test images of the tasks so far and writes it with its exemplars.

    Args:
        tasks: those learned so far.
        progress: of the training; None where there was none, as for the first task.
        more: what else the results hold.
    """
    run = artefact.run
    results = {
        **evaluate(net, tasks),
        "widths": [list(widths) for widths in net.widths],
        "parameters": cost.parameters(net),
        "flops": cost.flops(net, run.settings.image_size),
        "seconds": progress.seconds if progress else 0.0,
        "history": progress.history if progress else [],
        **more,
    }
    content = {
        "tasks": [[task.name, task.first, task.last] for task in tasks],
        "class_names": [name for task in tasks for name in task.class_names],
        "image_size": run.settings.image_size,
        "exemplars": memory.state_dict(),
    }
    net.meta = {**content, "configuration": run.configuration}
    artefact.save(net, results, **content)
    seen = 100 * sum(results["correct"]) / sum(results["total"])
    run.console.curves("test accuracy", tasks[-1].last, {"all classes seen": seen})


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


def exemplars_of(stage: Artefact) -> tuple[Images, list[str]]:
    """The exemplars that a stage keeps, and the names of all its classes."""
    memory = Memory()
    meta = stage.model.meta if stage.model else checkpoint.read(stage.path)
    memory.load_state_dict(meta["exemplars"], len(meta["class_names"]))
    return memory.images(), meta["class_names"]


def results_of(run: Run, tasks: Sequence[Task]) -> list[dict[str, Any]]:
    """The results of all stages."""
    return [run.content(name(task))["results"] for task in tasks]


def name(task: Task) -> str:
    """The name of the files of the network after a task."""
    return f"stage_{task.index + 1}"
