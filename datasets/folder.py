"""Images of one's own: a tree with a folder a class, or any tree of images without labels.

A data set is then named by its place, "folder:PATH":

    PATH/train/<class>/….png|jpg|…      the images to train on, each class in a folder of its name
    PATH/test/<class>/…                 the images to test on, of the same classes or of some of them

What is a class folder, what is an image file and in what order they come is as in torchvision's `ImageFolder`; how a
file is read is in `datasets.image_file`. Files and folders whose names begin with a dot are passed over.
"""

import os
import re
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import torch
from torch import Tensor
from torchvision.datasets.folder import IMG_EXTENSIONS, find_classes, is_image_file, make_dataset

from datasets import image_file
from datasets.image_set import empty_images
from utils.errors import UserError

PREFIX = "folder:"
LONGEST_NAME = 60  # characters of a folder's name in the names of checkpoint folders, which the system limits


def is_folder(name: object) -> bool:
    """Whether a data set's name is a place: "folder:PATH"."""
    return isinstance(name, str) and name.startswith(PREFIX)


def place(name: str) -> Path:
    """PATH of "folder:PATH", absolute and with "~" expanded. Raises `UserError` if nothing follows the colon."""
    path = name.removeprefix(PREFIX).strip()
    if not path:
        raise UserError(f'{name!r} names no folder: write "{PREFIX}PATH", PATH being where the images are')
    return Path(os.path.abspath(os.path.expanduser(path)))


def short_name(name: str) -> str:
    """What stands for "folder:PATH" in file names: "folder-" and PATH's last part, odd characters as "_"."""
    return "folder-" + re.sub(r"[^\w.-]", "_", place(name).name)[:LONGEST_NAME]


def overlap(one: str, other: str) -> bool:
    """Whether two places "folder:PATH" are one folder, or one lies inside the other, links followed."""
    a, b = (Path(os.path.realpath(place(name))) for name in (one, other))
    return a.is_relative_to(b) or b.is_relative_to(a)


def read(name: str, part: str, size: int) -> tuple[Tensor, Tensor, tuple[str, ...]]:
    """Reads a part of the data set "folder:PATH".

    Args:
        part: "train" or "test"; "unlabeled" is every image at any depth under PATH, its folder telling nothing.
        size: each image is brought to size×size pixels.

    Returns: images uint8 [N, 3, size, size]; labels int64 [N], numbers of class_names (all 0 for "unlabeled"); and
        class_names, the names of the folders in train/ in alphabetical order. Images come in order of class, then of
        their paths.

    Raises: `UserError` that names the folder or file for what is missing, empty, of a class that train/ has not, or no
        image.
    """
    root = place(name)
    if not root.is_dir():
        raise UserError(f"{root} is not there or no folder: expected the folder that {name!r} names")
    if part == "unlabeled":
        class_names: tuple[str, ...] = ("unlabeled",)
        listed = _listed(root.parent, {root.name: 0})
        if not listed:
            raise UserError(f"{root} holds no image: expected files that end in {', '.join(IMG_EXTENSIONS)}")
    else:
        class_names = _class_names(root)
        listed = _of_classes(root / part, class_names)
    images = _decoded([path for path, _ in listed], size)
    return images, torch.tensor([label for _, label in listed], dtype=torch.int64), class_names


def _class_names(root: Path) -> tuple[str, ...]:
    """The class folders in train/, alphabetically; those in test/ have to be among them."""
    for part in ("train", "test"):
        if not (root / part).is_dir():
            raise UserError(
                f"{root} has no folder {part}: expected {root / 'train'} and {root / 'test'}, each with a folder of "
                f"images for every class"
            )
    names = _class_folders(root / "train")
    strange = [name for name in _class_folders(root / "test") if name not in names]
    if strange:
        raise UserError(
            f"{root / 'test' / strange[0]} is of a class that {root / 'train'} has not: expected the same classes in "
            f"both; rename or remove it"
        )
    return tuple(names)


def _class_folders(folder: Path) -> list[str]:
    try:
        names = [name for name in find_classes(folder)[0] if not name.startswith(".")]
    except FileNotFoundError:  # torchvision's word for a folder without folders
        names = []
    except OSError as error:
        raise UserError(f"{folder} cannot be read ({error.strerror}): make it readable") from error
    if not names:
        raise UserError(f"{folder} has no class folder: expected a folder of images for every class in it")
    for name in names:
        if not name.isprintable():
            raise UserError(f"{folder} has the class folder {name!r}: expected a printable name; rename it")
    return names


def _of_classes(folder: Path, class_names: Sequence[str]) -> list[tuple[str, int]]:
    """Every image of the class folders with its class's number. Raises `UserError` for a folder without any."""
    there = set(_class_folders(folder))
    numbers = {name: number for number, name in enumerate(class_names) if name in there}
    listed = _listed(folder, numbers)
    filled = {label for _, label in listed}
    for name, number in numbers.items():
        if number not in filled:
            raise UserError(
                f"{folder / name} holds no image: expected files that end in {', '.join(IMG_EXTENSIONS)}; add some, or "
                f"remove the folder"
            )
    return listed


def _listed(base: Path, numbers: dict[str, int]) -> list[tuple[str, int]]:
    """Path and number of every image file at any depth under the folders `numbers` of `base`, in a fixed order."""

    def wanted(path: str) -> bool:
        inside = Path(path).relative_to(base).parts[1:]  # the folder itself is asked for by name, dot or not
        return is_image_file(path) and not any(part.startswith(".") for part in inside)

    return make_dataset(base, numbers, is_valid_file=wanted, allow_empty=True)


def _decoded(paths: Sequence[str], size: int) -> Tensor:
    """The images of the files, in their order: uint8 [N, 3, size, size]. The first that cannot be read ends it."""
    images = empty_images(len(paths), size)
    # `image_file.read` silences warnings while it reads. Threads that do so at once put back each other's state, so the
    # state that was there before is put back around all of them.
    with warnings.catch_warnings(), ThreadPoolExecutor() as pool:
        warnings.simplefilter("ignore")
        for row, image in enumerate(pool.map(partial(image_file.read, size=size), paths)):
            images[row] = image
    return images
