"""Readers of the official formats: CIFAR's Python-2 pickles, MNIST's IDX files, SVHN's MATLAB files.

Each takes the (path, content) of a part's files and the class names, which CIFAR's files name themselves, and returns
    images: uint8 [N, 3, 32, 32], C-contiguous,
    labels: int64 [N], the data set's own numbering, 0..len(class_names)-1,
    class_names: tuple of str.
N may be smaller than in the official data: subsets in the same formats are legitimate. All raise `UserError`, which
names the file, for what is damaged, too large, of another shape or type, or labelled out of range. What a file
declares is compared with what is there before anything of that size is made.
"""

import gzip
import io
import math
import struct
import zlib
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
from torchvision import datasets as official

from datasets import pickles
from datasets.files import MOST_BYTES, MOST_IMAGES, Archive
from utils.running.errors import UserError

Contents = list[tuple[Path, bytes]]
Arrays = tuple[np.ndarray, np.ndarray, tuple[str, ...]]

DIGITS = tuple("0123456789")


# --- CIFAR-10 and CIFAR-100


def cifar_archive(source: type[official.CIFAR10]) -> Archive:
    """The files of CIFAR-10 or CIFAR-100, batches first and the class names' file last."""

    def listed(batches: list) -> dict[str, str]:
        entries = [*batches, (source.meta["filename"], source.meta["md5"])]
        return {f"{source.base_folder}/{name}": md5 for name, md5 in entries}

    return Archive(
        parts={"train": listed(source.train_list), "test": listed(source.test_list)},
        download=lambda folder: source(folder, download=True),
    )


def read_cifar(contents: Contents, _class_names: tuple[str, ...] = ()) -> Arrays:
    """CIFAR-10, and CIFAR-100 with its fine labels. Empties `contents`."""
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


# --- MNIST and FashionMNIST


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


def read_mnist(contents: Contents, class_names: tuple[str, ...]) -> Arrays:
    """MNIST and FashionMNIST, 28×28 and grey in the files, plain or gzip-compressed ones."""
    (image_path, image_data), (label_path, label_data) = contents
    grey = read_idx(image_data, image_path)
    _expect_images(grey, (None, 28, 28), image_path)
    labels = _labels(read_idx(label_data, label_path), len(grey), len(class_names), label_path)
    # Padded, not resized: the background is 0, so the picture just goes on, and every official pixel stays as it is.
    padded = np.pad(grey, ((0, 0), (2, 2), (2, 2)))
    return np.repeat(padded[:, None], 3, axis=1), labels, class_names


def read_idx(data: bytes, path: Path) -> np.ndarray:
    """The uint8 array (read-only) of one or three dimensions in an IDX file; a ".gz" is unpacked as far as it says."""
    stream = gzip.GzipFile(fileobj=io.BytesIO(data)) if path.suffix == ".gz" else io.BytesIO(data)
    try:
        start = stream.read(4)
        if start not in (b"\0\0\x08\x01", b"\0\0\x08\x03"):  # uint8; dimensions
            raise UserError(
                f"{path} starts with 0x{start.hex()}: expected an IDX header of type uint8 and one or three "
                f"dimensions; replace it"
            )
        shape = struct.unpack(f">{start[3]}I", stream.read(4 * start[3]))
        size = math.prod(shape)
        # The largest set bounds it, and so does the file: what is compressed takes a thousandth of its size or more.
        content = stream.read(size + 1) if size <= min(MOST_BYTES, 1100 * len(data)) else b""
    except (OSError, EOFError, zlib.error, struct.error) as error:
        raise UserError(f"{path} is cut short or damaged ({error}): expected an IDX file; replace it") from error
    if len(content) != size:
        raise UserError(
            f"{path} holds {'more than' if len(content) > size else 'less than'} the {size} bytes of the array of "
            f"shape {list(shape)} that its header promises: it is cut short or damaged; replace it"
        )
    return np.frombuffer(content, np.uint8).reshape(shape)


# --- SVHN


def svhn_archive() -> Archive:
    """The two files of SVHN's cropped digits; the extra training images are left out."""

    def download(folder: str) -> None:
        for part in ("train", "test"):
            official.SVHN(folder, split=part, download=True)

    md5s = {part: official.SVHN.split_list[part][1:] for part in ("train", "test")}
    return Archive({part: {name: md5} for part, (name, md5) in md5s.items()}, download, class_names=DIGITS)


def read_svhn(contents: Contents, class_names: tuple[str, ...]) -> Arrays:
    """SVHN: X uint8 [32, 32, 3, N] and y [N, 1], in which 10 (or 0) stands for the digit 0. Empties `contents`."""
    path, data = contents.pop()
    try:
        variables = read_mat(data)
    except (ValueError, struct.error, zlib.error) as error:
        raise UserError(
            f"{path} is cut short or damaged ({error}): expected a MATLAB 5 file of two arrays of whole numbers, "
            f"X and y; replace it"
        ) from error
    pixels, labels = variables["X"], variables["y"]
    _expect_images(pixels, (32, 32, 3, None), path)
    if labels.ndim == 2 and 1 in labels.shape:
        labels = np.where(labels.ravel() == 10, 0, labels.ravel())
    labels = _labels(labels, pixels.shape[3], len(class_names), path)
    return np.ascontiguousarray(pixels.transpose(3, 2, 0, 1)), labels, class_names


_MATRIX, _COMPRESSED = 14, 15
_INTEGERS = {1: "<i1", 2: "<u1", 3: "<i2", 4: "<u2", 5: "<i4", 6: "<u4", 12: "<i8", 13: "<u8"}  # how numbers are stored
_INTEGER_CLASSES = range(8, 16)  # int8 to uint64: what an array says it is


def read_mat(data: bytes) -> dict[str, np.ndarray]:
    """The integer arrays X and y (read-only) of a MATLAB 5 file, which has to hold these two and nothing else.

    Not by SciPy, which believes the sizes that a file declares. Raises ValueError, struct.error or zlib.error.
    """
    if data[124:128] != b"\0\1IM":
        raise ValueError("no header of a MATLAB 5 file")
    variables: dict[str, np.ndarray] = {}
    for kind, content in _elements(memoryview(data)[128:]):
        if kind == _COMPRESSED:
            kind, content = _unpacked(content)
        if kind != _MATRIX:
            raise ValueError(f"an element of type {kind}")
        name, array = _matrix(content)
        if name not in ("X", "y") or name in variables:
            raise ValueError(f"an array {name[:20]!r}")
        variables[name] = array
    if len(variables) < 2:
        raise ValueError("not both X and y")
    return variables


def _unpacked(packed: memoryview) -> tuple[int, memoryview]:
    """Type and content of a compressed element, unpacked as far as it says if the set can be so large."""
    kind, size = struct.unpack("<II", zlib.decompressobj().decompress(packed[:256], 8))
    if size > min(MOST_BYTES, 1100 * len(packed)):
        raise ValueError(f"an array of {size} bytes")
    stream = zlib.decompressobj()
    content = stream.decompress(packed, 8 + size + 1)
    if not stream.eof or len(content) != 8 + size:
        raise ValueError("an array of another size than it says")
    return kind, memoryview(content)[8:]


def _matrix(content: memoryview) -> tuple[str, np.ndarray]:
    """Name and numbers of an array: four elements, which are flags, dimensions, name, numbers."""
    elements = list(islice(_elements(content), 5))
    if len(elements) != 4:
        raise ValueError(f"an array of {len(elements)} elements, not 4")
    (_, flags), (_, dimensions), (_, name), (stored, numbers) = elements
    if len(flags) != 8 or flags[0] not in _INTEGER_CLASSES or stored not in _INTEGERS or len(dimensions) > 16:
        raise ValueError("an array of something else than whole numbers")
    shape = struct.unpack(f"<{len(dimensions) // 4}i", dimensions)
    dtype = np.dtype(_INTEGERS[stored])
    if min(shape, default=-1) < 0 or math.prod(shape) * dtype.itemsize != len(numbers):
        raise ValueError(f"an array of shape {list(shape)} in {len(numbers)} bytes")
    return bytes(name).decode("latin-1"), np.frombuffer(numbers, dtype).reshape(shape, order="F")


def _elements(data: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Type and content of each element of a MATLAB 5 file, or of an array in it."""
    place = 0
    while place < len(data):
        kind, size = struct.unpack_from("<II", data, place)
        start, padding = place + 8, 0 if kind == _COMPRESSED else -size % 8
        if kind >> 16:  # small: the size lies beside the type, and up to four bytes of content in place of the size
            kind, size, start, padding = kind & 0xFFFF, kind >> 16, place + 4, 4 - (kind >> 16)
        if padding < 0 or start + size > len(data):
            raise ValueError("an element that ends after its place")
        yield kind, data[start : start + size]
        place = start + size + padding


# --- what all have in common


def _expect_images(pixels: object, shape: tuple[int | None, ...], path: Path) -> None:
    """Refuses anything but a uint8 array of this shape that holds images, but not too many; None stands for N."""
    found = f"{pixels.dtype} {list(pixels.shape)}" if isinstance(pixels, np.ndarray) else type(pixels).__name__
    sizes = ", ".join("N" if size is None else str(size) for size in shape)
    if (
        not isinstance(pixels, np.ndarray)
        or pixels.dtype != np.uint8
        or pixels.ndim != len(shape)
        or not 0 < pixels.shape[shape.index(None)] <= MOST_IMAGES
        or any(size not in (None, length) for size, length in zip(shape, pixels.shape, strict=True))
    ):
        raise UserError(
            f"{path}: the images are {found}, expected uint8 [{sizes}] with N > 0 and at most {MOST_IMAGES}; "
            f"replace the file"
        )


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
