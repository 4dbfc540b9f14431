"""The data that a call names: its split's tasks, the unlabelled images, and what results say of them."""

from itertools import pairwise
from typing import Any

from datasets import catalog, naming, splits, tasks
from datasets.images import Images, ImageSet
from datasets.tasks import Split
from utils.running.errors import UserError
from utils.running.options import Settings


def split(settings: Settings, split_list: list[int] | None, split_type: str | None, rehearsal_size: int) -> Split:
    """Reads the data set and cuts it as a call says; "s0-t10" where it names no split.

    Raises: `UserError` if list, type and data do not agree, for data that are missing or damaged, a task of one class,
        or if a memory of this size has no room for every old class.
    """
    train, test = (
        catalog.load(settings.dataset, settings.data_root, part, settings.image_size) for part in ("train", "test")
    )
    classes = len(train.class_names)
    bounds = splits.resolve_split(split_list, split_type, classes)
    if not settings.other_weight and min(end - start for start, end in pairwise(bounds)) == 1:
        # The loss over one output is 0 whatever the weights, and weight decay takes them all.
        raise UserError(f"split_list={bounds} has a task of one class, with nothing to tell apart: give two or more")
    old = bounds[-2]
    if rehearsal_size < old:
        raise UserError(f"rehearsal_size={rehearsal_size} is less than one for each of {old} old classes: give {old}")
    name = split_type or splits.split_type_of(bounds)
    order = splits.class_order(settings.class_order, classes)
    cut = tasks.class_ranges(train, test, order, bounds)
    protocol = {"split_type": name, "split_list": bounds, "class_order": settings.class_order}
    return Split(bounds, name, train.name, cut, {**describe("dataset", settings.dataset, train), **protocol})


def describe(option: str, name: str, images: ImageSet) -> dict[str, Any]:
    """What results say of the data that an option names: its short name, and whether its images are drawn stand-ins."""
    return {option: naming.short_name(name), **({f"{option}_stand_in": True} if images.stand_in else {})}


def unlabelled(settings: Settings) -> tuple[Images, dict[str, Any]]:
    """Reads the images of another data set whose labels are not looked at, and says what results say of them.

    Raises: `UserError` for the data set that is learned: its images of old classes are out of reach, labelled or not.
    """
    if naming.same(settings.unlabeled, settings.dataset):
        nested = ", or a folder in it or around it" if naming.is_folder(settings.dataset) else ""
        raise UserError(
            f'unlabeled="{settings.unlabeled}" is the data set that is learned{nested}: expected another one'
        )
    try:
        found = catalog.load(settings.unlabeled, settings.data_root, "unlabeled", settings.image_size)
    except UserError as error:
        raise UserError(
            f'MixMatch\'s unlabelled images, unlabeled="{settings.unlabeled}": {error}; or name others by unlabeled=, '
            f"or do without by mixmatch=False"
        ) from error
    nothing = found.labels * 0
    return Images(found.images, nothing, nothing), describe("unlabeled", settings.unlabeled, found)
