"""Readers of the official formats: CIFAR's Python-2 pickles, MNIST's IDX files, SVHN's MATLAB files.

Each takes the paths of a part's files, and the class names where the files do not give them, and returns
    images: uint8 [N, 3, 32, 32], C-contiguous,
    labels: int64 [N], the data set's own numbering, 0..len(class_names)-1,
    class_names: tuple of str.
N may be smaller than in the official data: subsets in the same formats are legitimate. All raise `UserError`, which
names the file, for what is damaged, too large, of another shape or type, or labelled out of range. What a file
declares is compared with what the data set can be, and with what is there, before anything of that size is made.
"""

import gzip
import io
import math
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from datasets import pickles
from utils.running.errors import UserError, one_line

Arrays = tuple[np.ndarray, np.ndarray, tuple[str, ...]]

# The largest official set has 73,257 images. What is larger than so many, in a file or unpacked, is not read.
MOST_IMAGES = 200_000
MOST_BYTES = MOST_IMAGES * 3 * 32 * 32


@contextmanager
def _content(path: Path, form: str) -> Iterator[bytes]:
    """The bytes of a file; whatever is wrong with them becomes a `UserError` that names it and the form expected."""
    if path.stat().st_size > MOST_BYTES:
        raise UserError(f"{path} is larger than {MOST_BYTES} bytes, which no official file is: put that in its place")
    content = path.read_bytes()
    try:
        yield content
    except (ValueError, OSError, EOFError, struct.error, zlib.error) as error:
        reason = one_line(str(error))[:120]
        raise UserError(f"{path} is cut short or damaged ({reason}): expected {form}; replace it") from error


def read_cifar(paths: list[Path]) -> Arrays:
    """CIFAR-10, and CIFAR-100 with its fine labels: the batches, and the file of the class names last."""
    *batches, meta = paths
    with _content(meta, "a CIFAR archive's list of class names") as content:
        found = pickles.loads(content)
        listed = found.get("fine_label_names", found.get("label_names"))
        if not isinstance(listed, list) or not listed or not all(isinstance(name, str | bytes) for name in listed):
            raise ValueError("no class names")
        class_names = tuple(map(pickles.text, listed))
    images, labels = zip(*(_cifar_batch(path, len(class_names)) for path in batches), strict=True)
    return np.concatenate(images), np.concatenate(labels), class_names


def _cifar_batch(path: Path, classes: int) -> tuple[np.ndarray, np.ndarray]:
    with _content(path, "a CIFAR archive's images and labels") as content:
        batch = pickles.loads(content)
        pixels = pickles.images(batch.get("data"))
        labels = batch.get("fine_labels", batch.get("labels"))
        return pixels.reshape(-1, 3, 32, 32), _labels(labels, len(pixels), classes)


def read_mnist(paths: list[Path], class_names: tuple[str, ...]) -> Arrays:
    """MNIST and FashionMNIST: the images, 28×28 and grey, and the labels, in plain or gzip-compressed files."""
    image_path, label_path = paths
    with _content(image_path, "an IDX file of N images of 28×28 bytes") as content:
        grey = _idx(content, image_path, 28, 28)
    with _content(label_path, f"an IDX file of {len(grey)} labels") as content:
        labels = _labels(_idx(content, label_path), len(grey), len(class_names))
    # Padded, not resized: the background is 0, so the picture just goes on, and every official pixel stays as it is.
    padded = np.pad(grey, ((0, 0), (2, 2), (2, 2)))
    return np.repeat(padded[:, None], 3, axis=1), labels, class_names


def _idx(content: bytes, path: Path, *shape: int) -> np.ndarray:
    """The array uint8 [N, *shape] of an IDX file. Raises ValueError or what gzip raises."""
    stream = gzip.GzipFile(fileobj=io.BytesIO(content)) if path.suffix == ".gz" else io.BytesIO(content)
    size = 8 + 4 * len(shape)
    magic, count, *found = struct.unpack(f">{size // 4}I", stream.read(size))
    if magic != 0x801 + len(shape) or tuple(found) != shape or not 0 < count <= MOST_IMAGES:
        raise ValueError(f"its header says type {magic:#x}, shape {[count, *found]}")
    values = stream.read(count * math.prod(shape) + 1)  # one byte more than there may be
    return np.frombuffer(values, np.uint8).reshape(count, *shape)


def read_svhn(paths: list[Path], class_names: tuple[str, ...]) -> Arrays:
    """SVHN: X uint8 [32, 32, 3, N] and y uint8 [N, 1], in which 10 (or 0) stands for the digit 0.

    Not by SciPy, which believes the sizes that a file declares.
    """
    [path] = paths
    form = "a MATLAB 5 file of X, uint8 [32, 32, 3, N], then y, uint8 [N, 1], both compressed"
    with _content(path, form) as content:
        if content[124:128] != b"\0\1IM":
            raise ValueError("no header of a MATLAB 5 file")
        images, end = _mat_array(content, 128, "X", 32, 32, 3, None)
        labels, _ = _mat_array(content, end, "y", None, 1)
        labels = _labels(np.where(labels == 10, 0, labels)[:, 0], images.shape[3], len(class_names))
    return np.ascontiguousarray(images.transpose(3, 2, 0, 1)), labels, class_names


def _mat_array(content: bytes, place: int, name: str, *shape: int | None) -> tuple[np.ndarray, int]:
    """A compressed array of this name and shape, None standing for N; and where it ends in the file."""
    kind, size = struct.unpack_from("<II", content, place)
    if kind != 15:
        raise ValueError(f"{name} is not compressed")
    end = place + 8 + size
    found = zlib.decompressobj().decompress(content[place + 8 : end], MOST_BYTES)
    # What is unpacked is an array of four elements, each a type and a size before its content: flags, dimensions, name,
    # numbers. All are written in 32 bits, and an array of bytes has but one form.
    [count] = struct.unpack_from("<I", found, 32 + 4 * shape.index(None))
    if not 0 < count <= MOST_IMAGES:
        raise ValueError(f"{name} holds {count} images")
    shape = tuple(count if length is None else length for length in shape)
    size, axes = math.prod(shape), len(shape)
    elements = 6, 8, 9, 0, 5, 4 * axes, *shape, 0x10001, ord(name), 2, size  # 6, 5, 1 and 2 are types, 9 is uint8
    head = struct.pack(f"<{len(elements)}I", *elements)
    if not found.startswith(head, 8):
        raise ValueError(f"{name} is another array")
    return np.frombuffer(found, np.uint8, size, 8 + len(head)).reshape(shape, order="F"), end


def _labels(values: object, count: int, classes: int) -> np.ndarray:
    """As int64. Raises ValueError unless they are `count` whole numbers from 0 to `classes` - 1."""
    labels = np.array(values) if isinstance(values, list) else values
    if not isinstance(labels, np.ndarray) or labels.dtype.kind not in "iu" or labels.shape != (count,):
        raise ValueError(f"no labels, one for each of {count} images")
    if not 0 < count <= MOST_IMAGES or labels.min() < 0 or labels.max() >= classes:
        raise ValueError(f"{count} labels, not all of them from 0 to {classes - 1}")
    return labels.astype(np.int64)
