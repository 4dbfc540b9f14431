"""Images of one's own: a tree with a folder a class, or any tree of images without labels.

A data set is then named by its place, "folder:PATH":

    PATH/train/<class>/….png|jpg|…      the images to train on, each class in a folder of its name
    PATH/test/<class>/…                 the images to test on, of the same classes or of some of them

What is a class folder, what is an image file and in what order they come is as in torchvision's `ImageFolder`; how a
file is read is in `datasets.image_file`. Files and folders whose names begin with a dot are passed over. Of a class
each file counts once. A link to a folder is followed if it leads out of PATH, neither back into it nor above a class.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import torch
from torch import Tensor
from torchvision.datasets.folder import IMG_EXTENSIONS, is_image_file

from datasets import image_file
from datasets.naming import overlap, place
from utils.running.errors import UserError


def read(name: str, part: str, size: int) -> tuple[Tensor, Tensor, tuple[str, ...]]:
    """Reads a part of the data set "folder:PATH".

    Args:
        part: "train" or "test"; "unlabeled" is every image at any depth under PATH, its folder telling nothing.
        size: each image is brought to size×size pixels.

    Returns: images uint8 [N, 3, size, size]; labels int64 [N], numbers of class_names (all 0 for "unlabeled"); and
        class_names, the names of the folders in train/ in alphabetical order. Images come in order of class, then of
        their paths.

    Raises: `UserError` or `OSError` that names the folder or file for what is missing, empty, closed, of a class that
        train/ has not, or no image.
    """
    root = place(name)
    if part == "unlabeled":
        class_names, folders = ("unlabeled",), {root: 0}
    else:
        class_names = tuple(folder.name for folder in _class_folders(root / "train", root))
        found = _class_folders(root / part, root)
        strange = [folder for folder in found if folder.name not in class_names]
        if strange:
            raise UserError(f"{strange[0]} is of a class that {root / 'train'} has not: rename or remove it")
        folders = {folder: class_names.index(folder.name) for folder in found}
    listed = [(path, label) for folder, label in folders.items() for path in _images(folder, root)]
    images = torch.empty((len(listed), 3, size, size), dtype=torch.uint8)
    with ThreadPoolExecutor() as pool:
        for row, image in enumerate(pool.map(partial(image_file.read, size=size), (path for path, _ in listed))):
            images[row] = image
    return images, torch.tensor([label for _, label in listed]), class_names


def _class_folders(folder: Path, root: Path) -> list[Path]:
    """The folders in train/ or test/, alphabetically."""
    _, found, _ = next(os.walk(folder, onerror=_stop))
    found = _entered(folder, found, root)
    if not found:
        raise UserError(f"{folder} has no class folder: expected a folder of images for every class in it")
    return [folder / name for name in found]


def _images(top: Path, root: Path) -> list[str]:
    """Path of every image file at any depth under a folder of the data set, each once, in order of their folders, then
    of their names. Raises `UserError` if there is none."""
    found: dict[str, str] = {}  # the path without links → the path
    visited = set()
    for here, folders, names in os.walk(top, onerror=_stop, followlinks=True):
        real = os.path.realpath(here)
        folders[:] = [] if real in visited else _entered(here, folders, root, top)
        visited.add(real)
        for path in (os.path.join(here, name) for name in sorted(names) if name[0] != "." and is_image_file(name)):
            found.setdefault(os.path.realpath(path), path)
    if not found:
        raise UserError(f"{top} holds no image: expected files that end in {', '.join(IMG_EXTENSIONS)}")
    return sorted(found.values(), key=os.path.split)


def _entered(here: str | Path, names: list[str], *own: Path) -> list[str]:
    """The folders of these names that are looked into, sorted: not those whose names begin with a dot, nor links that
    lead into or above one of the folders `own`."""

    def inward(path: Path) -> bool:
        return path.is_symlink() and any(overlap(path.resolve(), folder.resolve()) for folder in own)

    return [name for name in sorted(names) if name[0] != "." and not inward(Path(here, name))]


def _stop(error: OSError) -> None:
    raise error
