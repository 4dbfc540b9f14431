"""The open table of known data sets: how each is read, normalised and augmented. To add one is to add an entry.

Beside them any folder of images is a data set: see `datasets.folder`.
"""

import difflib
import reprlib
from collections.abc import Callable
from dataclasses import dataclass
from os import PathLike

import torch
from torch import Tensor
from torchvision import datasets as official
from torchvision.transforms.v2 import functional

from datasets import files, folder, readers
from datasets.files import Archive
from datasets.images import Channels, ImageSet, empty_images
from utils.running.errors import UserError


@dataclass(frozen=True)
class Entry:
    """One data set."""

    title: str  # for tables: "CIFAR-100"
    archive: Archive  # its files
    read: Callable[[readers.Contents, tuple[str, ...]], readers.Arrays]  # files, class names → images, labels, names
    mean: Channels  # channel means of the official training set, of pixels in [0, 1]
    std: Channels  # channel standard deviations of the same
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


# Images that are resized at once: where PyTorch has no resize of bytes, it makes floats of them.
RESIZED_AT_ONCE = 1024


def canonical_name(name: str, *others: str) -> str:
    """The table's key for a data set's name in any letter case, with or without "-", "_" and spaces, or for an alias.

    Args:
        others: what else is accepted where the name was given, for the message.

    Raises: `UserError` for an unknown name; the message lists the known ones and the nearest.
    """
    plain = "".join(name[:100].split()).replace("-", "").replace("_", "").lower() if isinstance(name, str) else ""
    spellings = {spelling: key for key, entry in CATALOG.items() for spelling in (key, *entry.aliases)}
    if plain in spellings:
        return spellings[plain]
    nearest = difflib.get_close_matches(plain, spellings, n=1)
    hint = f"; did you mean {spellings[nearest[0]]!r}?" if nearest else ""
    raise UserError(f"unknown data set {reprlib.repr(name)}: expected one of {', '.join([*CATALOG, *others])}{hint}")


def short_name(name: str) -> str:
    """Name of a data set in file names: its canonical one; "folder-flowers" for "folder:~/flowers".

    Raises: `UserError` for an unknown name.
    """
    return folder.short_name(name) if folder.is_folder(name) else canonical_name(name, '"folder:PATH"')


def same(one: str, other: str) -> bool:
    """Whether two names stand for the same images, or for folders of which one lies in the other.

    Raises: `UserError` for an unknown name.
    """
    if folder.is_folder(one) and folder.is_folder(other):
        return folder.overlap(one, other)
    return short_name(one) == short_name(other)


def title(name: str) -> str:
    """Name of a data set in tables: "CIFAR-10" for "cifar10". Raises `UserError` for an unknown name."""
    return CATALOG[canonical_name(name)].title


def load(name: str, root: str | PathLike[str], part: str, image_size: int = 32) -> ImageSet:
    """Reads a part of a data set: the one door through which images come.

    Args:
        name: of the table, read from the files under the folder `root` and downloaded where missing; or "folder:PATH".
        part: "train", "test", or "unlabeled": images whose labels are not looked at, of a set of the table the training
            part, of a folder all that are in it.
        image_size: height and width of the images. Those of the table are 32×32, and resized by torchvision's bilinear
            filter with antialiasing where another size is asked for; for a folder see `datasets.image_file`.

    Raises: `UserError` for an unknown name, and for files that are missing and cannot be downloaded, cannot be read,
        are damaged, or not of the format.
    """
    if folder.is_folder(name):
        images, labels, class_names = folder.read(name, part, image_size)
        return ImageSet(short_name(name), images, labels, class_names, mean=None, std=None, mirror=True)
    name = canonical_name(name, '"folder:PATH"')
    entry = CATALOG[name]
    contents, stand_in = files.read(entry.archive, files.usable(root), "train" if part == "unlabeled" else part)
    images, labels, class_names = entry.read(contents, entry.archive.class_names)
    return ImageSet(
        name=name,
        images=_resized(torch.from_numpy(images), image_size),
        labels=torch.from_numpy(labels),
        class_names=class_names,
        mean=entry.mean,
        std=entry.std,
        mirror=entry.mirror,
        stand_in=stand_in,
    )


def _resized(images: Tensor, size: int) -> Tensor:
    """uint8 [N, 3, H, W] -> uint8 [N, 3, size, size]; the very images where they have that size."""
    if images.shape[2:] == (size, size):
        return images
    found = empty_images(len(images), size)
    for some, place in zip(images.split(RESIZED_AT_ONCE), found.split(RESIZED_AT_ONCE), strict=True):
        place.copy_(functional.resize(some, [size, size], antialias=True))
    return found
