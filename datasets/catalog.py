"""The open table of known data sets: how each is read, normalised and augmented.

To add one is to add an entry, and its name to `datasets.naming`. Beside them any folder of images is a data set: see
`datasets.folder`.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from os import PathLike
from pathlib import Path

import torch
from torchvision import datasets as official
from torchvision.transforms.v2 import functional

from datasets import files, folder, readers
from datasets.images import Channels, ImageSet
from datasets.naming import canonical_name, is_folder, short_name


@dataclass(frozen=True)
class Entry:
    """One data set, its files as torchvision lays them out under its root."""

    parts: files.Parts
    download: Callable[[str], object]  # fetches the whole data set into a folder
    read: Callable[[list[Path]], readers.Arrays]  # a part's files → images, labels, class names
    mean: Channels  # channel means of the official training set, of pixels in [0, 1]
    std: Channels  # channel standard deviations of the same
    mirror: bool  # whether a mirrored image keeps its class


def _cifar(source: type[official.CIFAR10], mean: Channels, std: Channels) -> Entry:
    """CIFAR-10 or CIFAR-100: the batches, and the class names' file last."""
    meta = (source.meta["filename"], source.meta["md5"])
    parts = {
        part: {f"{source.base_folder}/{name}": md5 for name, md5 in (*batches, meta)}
        for part, batches in (("train", source.train_list), ("test", source.test_list))
    }
    return Entry(parts, partial(source, download=True), readers.read_cifar, mean, std, mirror=True)


def _mnist(source: type[official.MNIST], names: tuple[str, ...], mean: float, std: float, mirror: bool) -> Entry:
    """MNIST or FashionMNIST: for each part the images, then the labels."""
    parts = {
        part: {f"{source.__name__}/raw/{name}": md5 for name, md5 in source.resources if name.startswith(prefix)}
        for part, prefix in (("train", "train-"), ("test", "t10k-"))
    }
    read = partial(readers.read_mnist, class_names=names)
    return Entry(parts, partial(source, download=True), read, (mean,) * 3, (std,) * 3, mirror)


DIGITS = tuple("0123456789")

CATALOG: dict[str, Entry] = {
    "cifar100": _cifar(official.CIFAR100, mean=(0.5071, 0.4865, 0.4409), std=(0.2673, 0.2564, 0.2762)),
    "cifar10": _cifar(official.CIFAR10, mean=(0.4914, 0.4822, 0.4465), std=(0.2470, 0.2435, 0.2616)),
    # MNIST and FashionMNIST: the usual 0.1307 / 0.3081 and 0.2860 / 0.3530 are those of the 28×28 pixels. Of the 32×32
    # ones, the rim of zeros included, only k = 28²/32² are these: mean' = k·mean, std'² = k·(std² + mean²) − mean'².
    "mnist": _mnist(official.MNIST, DIGITS, mean=0.1001, std=0.2752, mirror=False),
    "fashionmnist": _mnist(official.FashionMNIST, tuple(official.FashionMNIST.classes), 0.2190, 0.3318, mirror=True),
    "svhn": Entry(  # the cropped digits, without the extra training images
        {part: dict([official.SVHN.split_list[part][1:]]) for part in ("train", "test")},
        lambda root: [official.SVHN(root, split=part, download=True) for part in ("train", "test")],
        partial(readers.read_svhn, class_names=DIGITS),
        mean=(0.4377, 0.4438, 0.4728),
        std=(0.1980, 0.2010, 0.1970),
        mirror=False,
    ),
}

RESIZED_AT_ONCE = 1024  # images: where PyTorch has no resize of bytes, it makes floats of them


def load(name: str, root: str | PathLike[str], part: str, image_size: int = 32) -> ImageSet:
    """Reads a part of a data set: the one door through which images come.

    Args:
        name: of the table, read from the files under the folder `root` and downloaded where missing; or "folder:PATH".
        part: "train", "test", or "unlabeled": images whose labels are not looked at, of a set of the table the training
            part, of a folder all that are in it.
        image_size: height and width of the images. Those of the table are 32×32, and resized by torchvision's bilinear
            filter with antialiasing where another size is asked for; for a folder see `datasets.image_file`.

    Raises: `UserError` for an unknown name, and for files that are missing and cannot be downloaded, are damaged, or
        not of the format; `OSError` for what cannot be read.
    """
    if is_folder(name):
        return ImageSet(short_name(name), *folder.read(name, part, image_size), mean=None, std=None, mirror=True)
    name = canonical_name(name)
    entry, root = CATALOG[name], Path(os.path.expanduser(root))
    paths, drawn = files.files_of(root, entry.parts, "train" if part == "unlabeled" else part, entry.download)
    images, labels, class_names = entry.read(paths)
    images, labels = torch.from_numpy(images), torch.from_numpy(labels)
    if image_size != 32:
        parts = images.split(RESIZED_AT_ONCE)
        images = torch.cat([functional.resize(some, [image_size, image_size], antialias=True) for some in parts])
    return ImageSet(name, images, labels, class_names, entry.mean, entry.std, entry.mirror, drawn)
