"""The open table of known data sets: how each is read, normalised and augmented. To add one is to add an entry."""

import difflib
import os
from collections.abc import Callable
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import torch
from torchvision import datasets as official

from datasets import readers
from datasets.files import Archive
from datasets.image_set import ImageSet
from utils.errors import UserError


@dataclass(frozen=True)
class Entry:
    """One data set."""

    title: str  # for tables: "CIFAR-100"
    archive: Archive  # its files
    read: Callable[[Archive, Path, str], readers.Arrays]  # (archive, root, part) → images, labels, class names
    mean: tuple[float, float, float]  # channel means of the official training set, of pixels in [0, 1]
    std: tuple[float, float, float]  # channel standard deviations of the same
    mirror: bool  # whether a mirrored image keeps its class
    aliases: tuple[str, ...] = ()  # other spellings, in lower case


CATALOG: dict[str, Entry] = {
    "cifar100": Entry(
        "CIFAR-100",
        readers.cifar_archive(official.CIFAR100),
        readers.read_cifar,
        mean=(0.5071, 0.4865, 0.4409),
        std=(0.2673, 0.2564, 0.2762),
        mirror=True,
    ),
    "cifar10": Entry(
        "CIFAR-10",
        readers.cifar_archive(official.CIFAR10),
        readers.read_cifar,
        mean=(0.4914, 0.4822, 0.4465),
        std=(0.2470, 0.2435, 0.2616),
        mirror=True,
    ),
    # MNIST and FashionMNIST: the usual 0.1307 / 0.3081 and 0.2860 / 0.3530 are those of the 28×28 pixels. Of the 32×32
    # ones, the rim of zeros included, only k = 28²/32² are these: mean' = k·mean, std'² = k·(std² + mean²) − mean'².
    "mnist": Entry(
        "MNIST",
        readers.mnist_archive(official.MNIST, readers.DIGITS),
        readers.read_mnist,
        mean=(0.1001, 0.1001, 0.1001),
        std=(0.2752, 0.2752, 0.2752),
        mirror=False,
    ),
    "fashionmnist": Entry(
        "FashionMNIST",
        readers.mnist_archive(official.FashionMNIST, tuple(official.FashionMNIST.classes)),
        readers.read_mnist,
        mean=(0.2190, 0.2190, 0.2190),
        std=(0.3318, 0.3318, 0.3318),
        mirror=True,
    ),
    "svhn": Entry(
        "SVHN",
        readers.svhn_archive(),
        readers.read_svhn,
        mean=(0.4377, 0.4438, 0.4728),
        std=(0.1980, 0.2010, 0.1970),
        mirror=False,
        aliases=("svnh",),  # the spelling of the method's author
    ),
}


def canonical_name(name: str) -> str:
    """The table's key for a data set's name in any letter case, with or without "-", "_" and spaces, or for an alias.

    Raises:
        UserError: no such data set; the message lists the known ones and the nearest.
    """
    plain = "".join(name.split()).replace("-", "").replace("_", "").lower() if isinstance(name, str) else ""
    spellings = {spelling: key for key, entry in CATALOG.items() for spelling in (key, *entry.aliases)}
    if plain in spellings:
        return spellings[plain]
    nearest = difflib.get_close_matches(plain, spellings, n=1)
    hint = f"; did you mean {spellings[nearest[0]]!r}?" if nearest else ""
    raise UserError(f"unknown data set {name!r}: expected one of {', '.join(CATALOG)}{hint}")


def title(name: str) -> str:
    """How the data set is written in tables: "CIFAR-10" for "cifar10". Raises UserError for an unknown name."""
    return CATALOG[canonical_name(name)].title


def load(name: str, root: str | PathLike[str], part: str) -> ImageSet:
    """Read a part ("train" or "test") of a data set from the files under the folder `root`, downloaded where missing.

    Raises:
        UserError: unknown name, or files that are missing and cannot be downloaded, damaged, or not of the format.
    """
    name = canonical_name(name)
    entry = CATALOG[name]
    images, labels, class_names = entry.read(entry.archive, Path(os.path.expanduser(root)), part)
    return ImageSet(
        name=name,
        images=torch.from_numpy(images),
        labels=torch.from_numpy(labels),
        class_names=class_names,
        mean=entry.mean,
        std=entry.std,
        mirror=entry.mirror,
    )
