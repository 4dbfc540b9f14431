"""Readers of the official formats: CIFAR's Python-2 pickles, MNIST's IDX files, SVHN's MATLAB files.

Each takes (archive, root, part), part being "train" or "test", and returns
    images: uint8 [N, 3, 32, 32], C-contiguous,
    labels: int64 [N], the data set's own numbering, 0..len(class_names)-1,
    class_names: tuple of str.
N may be smaller than in the official data: subsets in the same formats are legitimate. All raise `UserError`, which
names the file, for what is missing, damaged, of another shape or type, or labelled out of range.
"""

import io
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import scipy.io
import scipy.io.matlab
from torchvision import datasets as official

from datasets import files, idx, pickles
from datasets.files import Archive
from utils.errors import UserError

Arrays = tuple[np.ndarray, np.ndarray, tuple[str, ...]]
DIGITS = tuple("0123456789")


def cifar_archive(source: type[official.CIFAR10]) -> Archive:
    """The files of CIFAR-10 or CIFAR-100, batches first and the class names' file last."""

    def listed(batches: list) -> dict[str, str]:
        entries = [*batches, (source.meta["filename"], source.meta["md5"])]
        return {f"{source.base_folder}/{name}": md5 for name, md5 in entries}

    return Archive(
        parts={"train": listed(source.train_list), "test": listed(source.test_list)},
        download=lambda folder: source(folder, download=True),
    )


def read_cifar(archive: Archive, root: Path, part: str) -> Arrays:
    """CIFAR-10, and CIFAR-100 with its fine labels."""
    contents = files.read(archive, root, part)
    meta_path, meta = contents.pop()
    class_names = _cifar_class_names(pickles.loads(meta, meta_path), meta_path)
    # An image takes 3072 bytes of its file, so that there is room for all. Every file's bytes go as soon as its images
    # are copied: were all files held at once, or the images in pieces, these large sets would be in memory twice.
    images = np.empty((sum(len(data) for _, data in contents) // 3072, 3, 32, 32), np.uint8)
    labels, count = [], 0
    while contents:
        pixels, numbers = _cifar_batch(*contents.pop(0), len(class_names))
        images[count : count + len(pixels)] = pixels
        labels.append(numbers)
        count += len(pixels)
    return images[:count], np.concatenate(labels), class_names


def _cifar_batch(path: Path, data: bytes, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Images uint8 [N, 3, 32, 32] and labels of one file."""
    batch = pickles.loads(data, path)
    pixels = batch.get("data")
    _expect_images(pixels, (None, 3072), path)  # a row is 1024 red, 1024 green and 1024 blue values
    labels = _labels(batch.get("fine_labels", batch.get("labels")), len(pixels), classes, path)
    return pixels.reshape(-1, 3, 32, 32), labels


def _cifar_class_names(meta: dict, path: Path) -> tuple[str, ...]:
    names = meta.get("fine_label_names", meta.get("label_names"))
    if not isinstance(names, list) or not names or not all(isinstance(name, str | bytes) for name in names):
        raise UserError(f"{path} lists no class names: expected 'fine_label_names' or 'label_names'; replace it")
    return tuple(map(pickles.text, names))


def mnist_archive(source: type[official.MNIST], class_names: tuple[str, ...]) -> Archive:
    """The files of MNIST or FashionMNIST: for each part the images, then the labels."""
    train_and_test = {f"{source.__name__}/raw/{name}": md5 for name, md5 in source.resources}
    return Archive(
        parts={
            part: {name: md5 for name, md5 in train_and_test.items() if f"/{prefix}-" in name}
            for part, prefix in (("train", "train"), ("test", "t10k"))
        },
        download=lambda folder: source(folder, download=True),
        class_names=class_names,
    )


def read_mnist(archive: Archive, root: Path, part: str) -> Arrays:
    """MNIST and FashionMNIST, 28×28 and grey in the files."""
    (image_path, image_data), (label_path, label_data) = files.read(archive, root, part)
    grey = idx.loads(image_data, image_path)
    _expect_images(grey, (None, 28, 28), image_path)
    labels = idx.loads(label_data, label_path)
    # Padded, not resized: the background is 0, so the picture just goes on, and every official pixel stays as it is.
    padded = np.pad(grey, ((0, 0), (2, 2), (2, 2)))
    images = np.repeat(padded[:, None], 3, axis=1)
    return images, _labels(labels, len(grey), len(archive.class_names), label_path), archive.class_names


def svhn_archive() -> Archive:
    """The two files of SVHN's cropped digits; the extra training images are left out."""

    def download(folder: str) -> None:
        for part in ("train", "test"):
            official.SVHN(folder, split=part, download=True)

    md5s = {part: official.SVHN.split_list[part][1:] for part in ("train", "test")}
    return Archive({part: {name: md5} for part, (name, md5) in md5s.items()}, download, class_names=DIGITS)


def read_svhn(archive: Archive, root: Path, part: str) -> Arrays:
    """SVHN: X uint8 [32, 32, 3, N] and y [N, 1], in which 10 (or 0) stands for the digit 0."""
    [(path, data)] = files.read(archive, root, part)
    try:
        content = scipy.io.loadmat(io.BytesIO(data), variable_names=("X", "y"))
    except (
        scipy.io.matlab.MatReadError, zlib.error, struct.error, OSError, EOFError, NotImplementedError,
        IndexError, KeyError, MemoryError, OverflowError, TypeError, ValueError,
    ) as error:  # fmt: skip
        reason = " ".join(str(error).split())
        raise UserError(
            f"{path} is cut short or damaged ({reason}): expected a MATLAB 5 file with X and y; replace it"
        ) from error
    pixels, labels = content.get("X"), content.get("y")
    _expect_images(pixels, (32, 32, 3, None), path)
    if isinstance(labels, np.ndarray) and labels.ndim == 2 and 1 in labels.shape and labels.dtype.kind in "iu":
        labels = np.where(labels.ravel() == 10, 0, labels.ravel())
    images = np.ascontiguousarray(pixels.transpose(3, 2, 0, 1))
    return images, _labels(labels, len(images), len(archive.class_names), path), archive.class_names


def _expect_images(pixels: object, shape: tuple[int | None, ...], path: Path) -> None:
    """Refuse anything but a uint8 array of this shape that holds an image; None stands for the number of images."""
    found = f"{pixels.dtype} {list(pixels.shape)}" if isinstance(pixels, np.ndarray) else type(pixels).__name__
    sizes = ", ".join("N" if size is None else str(size) for size in shape)
    if (
        not isinstance(pixels, np.ndarray)
        or pixels.dtype != np.uint8
        or pixels.ndim != len(shape)
        or pixels.size == 0
        or any(size not in (None, length) for size, length in zip(shape, pixels.shape, strict=True))
    ):
        raise UserError(f"{path}: the images are {found}, expected uint8 [{sizes}] with N > 0; replace the file")


def _labels(values: Sequence[int] | np.ndarray | None, count: int, classes: int, path: Path) -> np.ndarray:
    """`count` labels as int64, refused unless they are whole numbers from 0 to `classes` - 1."""
    if isinstance(values, list) and set(map(type, values)) <= {int}:
        values = np.array(values)
    if not isinstance(values, np.ndarray) or values.ndim != 1 or values.dtype.kind not in "iu":
        raise UserError(f"{path}: the labels are no list of whole numbers; replace the file")
    if len(values) != count:
        raise UserError(f"{path}: {len(values)} labels for {count} images; expected one each: replace the file")
    if not 0 <= values.min() <= values.max() < classes:
        raise UserError(
            f"{path}: labels from {values.min()} to {values.max()}, expected 0 to {classes - 1} "
            f"as the data set names {classes} classes; replace the file"
        )
    return values.astype(np.int64)
