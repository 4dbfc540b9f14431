"""MNIST → SVHN → CIFAR-10: what sets a sequence of whole data sets apart from a split's tasks.

Stage one is supervised and does not compress; stage two is fine-tuned on exemplars of the current data set too, and
nothing else.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from datasets import catalog, naming
from datasets.augment import Transform
from datasets.batches import Batches, Part
from datasets.memory import Memory
from datasets.tasks import Task, data_sets
from utils.method.stage_two import SubModels
from utils.running.command import command_line
from utils.running.errors import UserError
from utils.running.options import Settings
from utils.running.run import Run


def known_names(names: object, least: int = 1) -> list[str]:
    """The canonical names of a list of data sets. Raises `UserError` for an unknown or repeated one, or too few."""
    if not isinstance(names, list | tuple) or len(names) < least:
        raise UserError(f"{str(names)[:80]} is not accepted: expected a list of at least {least} data sets")
    found = [naming.canonical_name(name) for name in names]
    if len(set(found)) < len(found):
        raise UserError(f"{str(names)[:80]} is not accepted: expected each data set once")
    return found


def tasks(settings: Settings, names: Sequence[str], num_class: int | None = None, num_per_class: int = 1) -> list[Task]:
    """Reads the data sets, each a task.

    Raises: `UserError` if one has not `num_class` classes, where that is asked, or less than `num_per_class` images.
    """
    parts = [[catalog.load(name, settings.data_root, part) for part in ("train", "test")] for name in names]
    for train, _ in parts:
        if num_class not in (None, len(train.class_names)):
            raise UserError(
                f"num_class={num_class}, but {train.name} has {len(train.class_names)} classes: give that number"
            )
        fewest = int(train.labels.bincount(minlength=len(train.class_names)).min())
        if num_per_class > fewest:
            raise UserError(f"num_per_class={num_per_class}, but a class of {train.name} has {fewest} training images")
    return data_sets(parts)


def folder(settings: Settings, kind: str) -> Path:
    """Where a stage writes: kind "classifier" or "EDE_Net"."""
    return Path(settings.checkpoint_root) / "MTIL" / f"{kind}_resnet18"


def configuration(settings: Settings, joined: Sequence[Task], *kinds: str, **arguments: Any) -> dict[str, Any]:
    """What decides a network of these data sets, as results say it: arguments, and options of these kinds."""
    stand_in = {"dataset_stand_in": True} if any(task.stand_in for task in joined) else {}
    return {**arguments, **stand_in, "recipe": settings.recipe, **settings.deciding("run", "update", *kinds)}


def submodels_of(settings: Settings) -> SubModels:
    """Stage one's networks, whose epochs have to be chosen by the same rule."""
    command = command_line("trainMTIL.py", "train_MTIL_classifier", {"data_type": "…"}, settings)
    agreed = {"selection": settings.selection}
    return SubModels(folder(settings, "classifier"), False, command, agreed, settings.dry_run)


def exemplar_batches(run: Run, memory: Memory, joined: Sequence[Task]) -> Batches:
    """Batches of exemplars alone, as many of each task, each task's augmented in its own way; an epoch is one pass."""
    settings = run.settings
    exemplars = [memory.images(task.first, task.last).to(run.data_device) for task in joined]
    size = min(settings.finetune_batch_size, sum(map(len, exemplars)))
    if size < len(joined):
        raise UserError(f"a batch of {size} exemplars cannot hold one of each of {len(joined)} data sets: give more")
    shares = [size // len(joined) + (index < size % len(joined)) for index in range(len(joined))]
    parts = [
        Part(each.images, each.labels, share, Transform(settings.padding, settings.finetune_rotation, task.mirror))
        for task, each, share in zip(joined, exemplars, shares, strict=True)
    ]
    steps = max(-(-len(part.images) // part.size) for part in parts)
    return Batches(parts, steps, (settings.seed, *[task.name for task in joined], "finetune"), run.device)
