"""Images of one's own: a tree with a folder a class, or any tree of images without labels.

A data set is then named by its place, "folder:PATH":

    PATH/train/<class>/….png|jpg|…      the images to train on, each class in a folder of its name
    PATH/test/<class>/…                 the images to test on, of the same classes or of some of them

What is a class folder, what is an image file and in what order they come is as in torchvision's `ImageFolder`; how a
file is read is in `datasets.image_file`. Files and folders whose names begin with a dot are passed over. Of a class
each file counts once. A link to a folder is followed if it leads out of the data set, not back into it or above it.
"""

import os
import re
import warnings
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import torch
from torch import Tensor
from torchvision.datasets.folder import IMG_EXTENSIONS, is_image_file

from datasets import files, image_file
from datasets.images import empty_images
from utils.running.errors import UserError, one_line

PREFIX = "folder:"
LONGEST_NAME = 60  # characters of a folder's name in the names of checkpoint folders, which the system limits


def is_folder(name: object) -> bool:
    """Whether a data set's name is a place: "folder:PATH"."""
    return isinstance(name, str) and name.startswith(PREFIX)


def place(name: str) -> Path:
    """PATH of "folder:PATH", absolute and with "~" expanded.

    Raises: `UserError` if nothing follows the colon, or the system cannot look there.
    """
    path = name.removeprefix(PREFIX).strip()
    if not path:
        raise UserError(f'{name!r} names no folder: write "{PREFIX}PATH", PATH being where the images are')
    return Path(os.path.abspath(files.usable(path)))


def short_name(name: str) -> str:
    """Name of "folder:PATH" in file names: "folder-" and PATH's last part, odd characters as "_"."""
    return "folder-" + re.sub(r"[^\w.-]", "_", place(name).name)[:LONGEST_NAME]


def overlap(one: str, other: str) -> bool:
    """Whether two places "folder:PATH" are one folder, or one lies inside the other, links followed."""
    return _overlap(*(_real(place(name)) for name in (one, other)))


def read(name: str, part: str, size: int) -> tuple[Tensor, Tensor, tuple[str, ...]]:
    """Reads a part of the data set "folder:PATH".

    Args:
        part: "train" or "test"; "unlabeled" is every image at any depth under PATH, its folder telling nothing.
        size: each image is brought to size×size pixels.

    Returns: images uint8 [N, 3, size, size]; labels int64 [N], numbers of class_names (all 0 for "unlabeled"); and
        class_names, the names of the folders in train/ in alphabetical order. Images come in order of class, then of
        their paths.

    Raises: `UserError` that names the folder or file for what is missing, empty, closed, of a class that train/ has
        not, or no image.
    """
    root = place(name)
    if files.kind(root) != "folder":
        raise UserError(one_line(f"{root} is not there or no folder: expected the folder that {name!r} names"))
    if part == "unlabeled":
        class_names: tuple[str, ...] = ("unlabeled",)
        listed = [(path, 0) for path in _images(root, {_real(root)})]
    else:
        class_names, listed = _of_classes(root, part)
    images = _decoded([path for path, _ in listed], size)
    return images, torch.tensor([label for _, label in listed], dtype=torch.int64), class_names


def _of_classes(root: Path, part: str) -> tuple[tuple[str, ...], list[tuple[str, int]]]:
    """Names of the classes; path and class number of every image of a part. Each class folder has to hold one."""
    for folder in (root / "train", root / "test"):
        if files.kind(folder) != "folder":
            raise UserError(
                f"{root} has no folder {folder.name}: expected {root / 'train'} and {root / 'test'}, each with a "
                f"folder of images for every class"
            )
    train, test = (_class_folders(root / part) for part in ("train", "test"))
    strange = [folder for folder in test if folder.name not in {known.name for known in train}]
    if strange:
        raise UserError(
            f"{strange[0]} is of a class that {root / 'train'} has not: expected the same classes in both; rename or "
            f"remove it"
        )
    names = tuple(folder.name for folder in train)
    own = {_real(folder) for folder in (root / "train", root / "test", *train, *test)}
    listed = []
    for folder in train if part == "train" else test:
        listed += [(path, names.index(folder.name)) for path in _images(folder, own)]
    return names, listed


def _class_folders(folder: Path) -> list[Path]:
    """The folders in train/ or test/, alphabetically. A link to one of them, or to one above, is no class."""
    found = [Path(entry) for entry in _entries(folder) if _is_folder(entry, {_real(folder)})]
    if not found:
        raise UserError(f"{folder} has no class folder: expected a folder of images for every class in it")
    for path in found:
        if not path.name.isprintable():
            raise UserError(f"{folder} has the class folder {path.name!r}: expected a printable name; rename it")
    return found


def _images(folder: Path, own: set[Path]) -> list[str]:
    """Path of every image file at any depth under a folder, each once, in order of their folders, then of their names.

    Args:
        own: folders, free of links, into or above which no link is followed.

    Raises: `UserError` if there is none.
    """
    found: dict[str, str] = {}  # the path without links → the path
    links, visited, waiting = [], set(), [str(folder)]
    for here in waiting:
        real = os.path.realpath(here)
        if real in visited:
            continue
        visited.add(real)
        for entry in _entries(here):
            if _is_folder(entry, own):
                waiting.append(entry.path)
            elif is_image_file(entry.name) and not os.path.isdir(entry):
                if entry.is_symlink():
                    links.append(entry.path)
                else:
                    found[os.path.join(real, entry.name)] = entry.path
    for path in sorted(links):
        found.setdefault(os.path.realpath(path), path)
    if not found:
        raise UserError(f"{folder} holds no image: expected files that end in {', '.join(IMG_EXTENSIONS)}")
    return sorted(found.values(), key=os.path.split)


def _entries(folder: Path | str) -> list[os.DirEntry]:
    """What lies in a folder, by name, but for what begins with a dot."""
    try:
        with os.scandir(folder) as entries:
            return sorted((entry for entry in entries if entry.name[0] != "."), key=lambda entry: entry.name)
    except OSError as error:
        raise files.unreadable(Path(folder), error) from error


def _is_folder(entry: os.DirEntry, own: Iterable[Path]) -> bool:
    """Whether an entry is a folder, or a link to one that leads neither into nor above a folder of `own`."""
    if not entry.is_symlink():
        return entry.is_dir()
    target = _real(entry.path)
    return os.path.isdir(target) and not any(_overlap(target, folder) for folder in own)


def _real(path: Path | str) -> Path:
    return Path(os.path.realpath(path))


def _overlap(one: Path, other: Path) -> bool:
    return one.is_relative_to(other) or other.is_relative_to(one)


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
