"""What both stages need before they start: the split, the folders, the data."""

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from datasets import catalog, tasks
from datasets.image_set import ImageSet
from utils import checkpoint, recipes
from utils.errors import UserError
from utils.recipes import Settings
from utils.run import configuration_file

DATASET = "cifar100"


@dataclass(frozen=True)
class Split:
    """A split by its borders, its name and the class order (all of the data set's classes)."""

    bounds: list[int]
    type: str
    order: list[int]


def read(settings: Settings) -> tuple[ImageSet, ImageSet]:
    """The data set's training and test part."""
    train, test = (catalog.load(DATASET, settings.data_root, part) for part in ("train", "test"))
    return train, test


def split(split_list: list[int] | None, split_type: str | None, classes: int, settings: Settings) -> Split:
    """The split that a call names, of a data set with so many classes; "s0-t10" where it names none.

    Raises: `UserError` if list, type and data do not agree.
    """
    if split_list is None and split_type is None:
        split_type = "s0-t10"
    bounds = tasks.resolve_split(split_list, split_type, classes)
    return Split(bounds, split_type or tasks.split_type_of(bounds), tasks.class_order(settings.class_order, classes))


def classifier_folder(settings: Settings, split: Split, mixmatch: bool) -> Path:
    """Where stage one writes."""
    return (
        Path(settings.checkpoint_root) / f"classifier_{DATASET}_{split.type}_resnet18{'_mixmatch' if mixmatch else ''}"
    )


def ede_net_folder(settings: Settings, split: Split, rehearsal_size: int) -> Path:
    """Where stage two writes."""
    return Path(settings.checkpoint_root) / f"EDE_Net_{DATASET}_{split.type}_resnet18_rehearsal_{rehearsal_size}"


def baseline_folder(settings: Settings, split: Split, kind: str, mixmatch: bool, rehearsal_size: int) -> Path:
    """Where a baseline writes; `rehearsal_size` is 0 for one without a memory."""
    name = f"baseline_{kind}_{DATASET}_{split.type}_resnet18{'_mixmatch' if mixmatch else ''}"
    return Path(settings.checkpoint_root) / (f"{name}_rehearsal_{rehearsal_size}" if rehearsal_size else name)


def ablation_folder(settings: Settings, split: Split, rehearsal_size: int) -> Path:
    """Where an ablation writes its table and figure, and below it all its runs."""
    return Path(settings.checkpoint_root) / f"ablation_{DATASET}_{split.type}_rehearsal_{rehearsal_size}"


def arguments(split: Split, **others: object) -> dict:
    """What of a call's arguments decides its results, as plain values.

    Raises: `UserError` if a switch is neither True nor False.
    """
    require_switches(prune=others["prune"], mixmatch=others["mixmatch"])
    return {"dataset": DATASET, "split_type": split.type, "split_list": split.bounds, **others}


def require_switches(**switches: object) -> None:
    """Raises `UserError` for one that is neither True nor False."""
    for name, value in switches.items():
        if not isinstance(value, bool):
            raise UserError(f"{name}={value!r} is not accepted: expected True or False")


def unlabelled_images(settings: Settings, device: torch.device) -> Tensor:
    """The training images of another data set, uint8 [N, 3, 32, 32], without their labels.

    Raises: `UserError` for the data set that is learned: its images of old classes are out of reach, labelled or not.
    """
    if catalog.canonical_name(settings.unlabeled) == DATASET:
        raise UserError(f'unlabeled="{settings.unlabeled}" is the data set that is learned: expected another one')
    return catalog.load(settings.unlabeled, settings.data_root, "train").images.to(device)


@dataclass(frozen=True)
class StageOne:
    """Where stage two takes its sub-models from, the `command` that makes them, and the `configuration` they have."""

    folder: Path
    prune: bool
    command: str
    configuration: dict


# What both stages must agree in: with another value in stage one, its sub-models would be of other classes, of other
# data, or chosen by another rule than stage two's results say.
SHARED = ("dataset", "split_list", "class_order", "selection", "mixmatch", "unlabeled", "seed", "validation_fraction")


def stage_one(settings: Settings, split: Split, prune: bool, mixmatch: bool) -> StageOne:
    """Stage one's folder for these options.

    Raises: `UserError` if it is not there or was made for other classes or under another protocol.
    """
    where = replace(
        settings, checkpoint_root=settings.classifier_root or settings.checkpoint_root, classifier_root=None
    )
    folder = classifier_folder(where, split, mixmatch)
    call = {"split_list": split.bounds, "split_type": split.type, "prune": prune, "mixmatch": mixmatch}
    command = recipes.command_line("train_classifier.py", "train_model", call, where)
    path = configuration_file(folder)
    if not path.is_file():
        raise UserError(
            f"{folder} is not there: stage two needs the sub-models of stage one, which this makes: {command}"
        )
    theirs = checkpoint.read_json(path)
    mine = {**arguments(split, prune=prune, mixmatch=mixmatch), **settings.configuration(1)}
    for name in SHARED:
        if name == "unlabeled" and not mixmatch:
            continue
        if theirs.get(name) != mine[name]:
            raise UserError(
                f"{folder} was made with {name}={theirs.get(name)!r}, stage two asks for {mine[name]!r}: give "
                f"the same, or make it anew in another checkpoint_root with: {command}"
            )
    return StageOne(folder, prune, command, theirs)
