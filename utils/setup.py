"""What both stages need before they start: the split, the folders, the data."""

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

from datasets import catalog, tasks
from datasets.folder import is_folder
from datasets.image_set import ImageSet
from utils import checkpoint, recipes
from utils.errors import UserError
from utils.recipes import Settings
from utils.run import configuration_file


@dataclass(frozen=True)
class Split:
    """A split by its borders, its name and the class order (all of the data set's classes)."""

    bounds: list[int]
    type: str
    order: list[int]


def demo_options(options: dict) -> dict:
    """A demo's options: these, and otherwise its recipe and folders in a new temporary one."""
    root = Path(tempfile.mkdtemp(prefix="ede-net-demo-"))
    return {"recipe": "demo", "data_root": str(root / "data"), "checkpoint_root": str(root / "checkpoints"), **options}


def read(settings: Settings) -> tuple[ImageSet, ImageSet]:
    """The data set's training and test part."""
    train, test = (
        catalog.load(settings.dataset, settings.data_root, part, settings.image_size) for part in ("train", "test")
    )
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
    name = catalog.short_name(settings.dataset)
    return Path(settings.checkpoint_root) / f"classifier_{name}_{split.type}_resnet18{'_mixmatch' if mixmatch else ''}"


def ede_net_folder(settings: Settings, split: Split, rehearsal_size: int) -> Path:
    """Where stage two writes."""
    name = catalog.short_name(settings.dataset)
    return Path(settings.checkpoint_root) / f"EDE_Net_{name}_{split.type}_resnet18_rehearsal_{rehearsal_size}"


def baseline_folder(settings: Settings, split: Split, kind: str, mixmatch: bool, rehearsal_size: int) -> Path:
    """Where a baseline writes; `rehearsal_size` is 0 for one without a memory."""
    dataset = catalog.short_name(settings.dataset)
    name = f"baseline_{kind}_{dataset}_{split.type}_resnet18{'_mixmatch' if mixmatch else ''}"
    return Path(settings.checkpoint_root) / (f"{name}_rehearsal_{rehearsal_size}" if rehearsal_size else name)


def ablation_folder(settings: Settings, split: Split, rehearsal_size: int) -> Path:
    """Where an ablation writes its table and figure, and below it all its runs."""
    dataset = catalog.short_name(settings.dataset)
    return Path(settings.checkpoint_root) / f"ablation_{dataset}_{split.type}_rehearsal_{rehearsal_size}"


def described(option: str, name: str, data: ImageSet | None = None) -> dict:
    """What a configuration says of the data that an option names: {option: their short name}.

    Two folders may have one name and one folder may be moved; so for a folder whose images are there, `data`, their
    fingerprint stands beside the name, under `<option>_fingerprint`. Of drawn stand-ins for a named set it is said that
    they are, under `<option>_stand_in`.
    """
    said = {option: catalog.short_name(name)}
    if data is not None and is_folder(name):
        said[f"{option}_fingerprint"] = data.fingerprint()
    if data is not None and data.stand_in:
        said[f"{option}_stand_in"] = True
    return said


def arguments(settings: Settings, split: Split, train: ImageSet, **others: object) -> dict:
    """The data and what of a call's arguments decides its results, as plain values.

    Raises: `UserError` if a switch is neither True nor False.
    """
    require_switches(prune=others["prune"], mixmatch=others["mixmatch"])
    data = described("dataset", settings.dataset, train)
    return {**data, "split_type": split.type, "split_list": split.bounds, **others}


def require_switches(**switches: object) -> None:
    """Raises `UserError` for one that is neither True nor False."""
    for name, value in switches.items():
        if not isinstance(value, bool):
            raise UserError(f"{name}={value!r} is not accepted: expected True or False")


def unlabelled_images(settings: Settings) -> ImageSet:
    """The images of another data set, whose labels are not to be looked at: a set's training images, a folder's all.

    Raises: `UserError` for the data set that is learned: its images of old classes are out of reach, labelled or not.
    """
    if catalog.same(settings.unlabeled, settings.dataset):
        nested = ", or a folder in it or around it" * is_folder(settings.dataset)
        raise UserError(
            f'unlabeled="{settings.unlabeled}" is the data set that is learned{nested}: expected another one'
        )
    try:
        return catalog.load(settings.unlabeled, settings.data_root, "unlabeled", settings.image_size)
    except UserError as error:
        raise UserError(
            f'MixMatch\'s unlabelled images, unlabeled="{settings.unlabeled}": {error}; or name others by unlabeled=, '
            f"or do without by mixmatch=False"
        ) from error


@dataclass(frozen=True)
class StageOne:
    """Where stage two takes its sub-models from, the `command` that makes them, and the `configuration` they have."""

    folder: Path
    prune: bool
    command: str
    configuration: dict


# What both stages must agree in: with another value in stage one, its sub-models would be of other classes, of other
# data, or chosen by another rule than stage two's results say.
SHARED = (
    *("dataset", "image_size", "dataset_fingerprint", "dataset_stand_in", "split_list", "class_order", "selection"),
    *("mixmatch", "unlabeled", "seed", "validation_fraction"),
)


def _of_stage_one(settings: Settings) -> Settings:
    """The same settings, with stage one's root in the place of stage two's."""
    return replace(settings, checkpoint_root=settings.classifier_root or settings.checkpoint_root, classifier_root=None)


def stage_one_folder(settings: Settings, split: Split, mixmatch: bool) -> Path:
    """Where stage two looks for stage one's sub-models."""
    return classifier_folder(_of_stage_one(settings), split, mixmatch)


def stage_one(settings: Settings, split: Split, arguments: dict) -> StageOne:
    """Stage one's folder for these options and `arguments`.

    Of unlabelled images only the name is compared: stage two does not read them.

    Raises: `UserError` if it is not there or was made for other classes or under another protocol.
    """
    prune, mixmatch = arguments["prune"], arguments["mixmatch"]
    folder = stage_one_folder(settings, split, mixmatch)
    call = {"split_list": split.bounds, "split_type": split.type, "prune": prune, "mixmatch": mixmatch}
    command = recipes.command_line("train_classifier.py", "train_model", call, _of_stage_one(settings), stage=1)
    path = configuration_file(folder)
    if not path.is_file():
        raise UserError(
            f"{folder} is not there: stage two needs the sub-models of stage one, which this makes: {command}"
        )
    theirs = checkpoint.read_json(path)
    mine = {**arguments, **described("unlabeled", settings.unlabeled), **settings.configuration(1)}
    for name in SHARED:
        if name == "unlabeled" and not mixmatch:
            continue
        if theirs.get(name) != mine.get(name):
            raise UserError(
                f"{folder} was made with {name}={theirs.get(name)!r}, stage two asks for {mine.get(name)!r}: give "
                f"the same, or make it anew in another checkpoint_root with: {command}"
            )
    return StageOne(folder, prune, command, theirs)
