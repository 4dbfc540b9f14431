"""`python -m datasets.stand_ins [FOLDER]`: small stand-in files in exactly the official formats of the known data sets.

They hold drawn pictures (`datasets.pictures`) that a small network can learn, though not perfectly, so that
demonstrations and tests go through the same readers as real data. Nothing learned on them says anything about real
images.
"""

import argparse
import gzip
import io
import math
import pickle
import struct
import sys
from collections.abc import Callable, Iterable
from os import PathLike
from pathlib import Path

import numpy as np
import scipy.io

from datasets import files, pictures
from datasets.catalog import CATALOG, canonical_name
from utils.running import checkpoint
from utils.running.errors import UserError

PARTS = ("train", "test")
SHAPES, TEXTURES = tuple(pictures.SHAPES), tuple(pictures.TEXTURES)
GOLDEN = 0.618034  # multiples of it, modulo 1, spread evenly: classes that follow each other differ in hue

Labelled = tuple[np.ndarray, np.ndarray]  # uint8 pictures and int64 labels, in the same random order


def write(
    folder: str | PathLike[str],
    *,
    train_per_class: int = 40,
    test_per_class: int = 10,
    classes: int = 100,
    sets: Iterable[str] = ("cifar100", "cifar10", "mnist", "fashionmnist", "svhn"),
    seed: int = 0,
) -> None:
    """Writes stand-in files under `folder`, and the marker that lists them.

    `classes` is the number of CIFAR-100 classes; the other sets have ten. The same arguments give the same files, and a
    class's pictures depend on `seed` and their number alone. Every file is written whole or not at all.

    Raises: `UserError` if an argument is out of range, the folder cannot be written to, or it holds data files that are
        no stand-ins (then nothing is written).
    """
    for option, value, least, most in (
        ("train_per_class", train_per_class, 1, 10_000),
        ("test_per_class", test_per_class, 1, 10_000),
        ("classes", classes, 1, 100),
        ("seed", seed, 0, 2**32),
    ):
        if type(value) is not int or not least <= value <= most:
            raise UserError(f"{option}={value!r}: expected a whole number from {least} to {most}")
    folder = files.usable(folder)
    before = _stand_ins_only(folder)
    contents: dict[str, bytes] = {}
    for name in map(canonical_name, sets):
        drawing, contents_of = _FORMATS[name]
        number = classes if name == "cifar100" else 10
        counts = {"train": train_per_class, "test": test_per_class}
        streams = {part: (seed, list(_FORMATS).index(name), PARTS.index(part)) for part in PARTS}
        parts = {part: _draw(drawing, number, counts[part], streams[part]) for part in PARTS}
        contents |= contents_of(name, parts, number)
    written = {(files.md5(data), name) for name, data in contents.items()}
    # Listed first, and the old ones until all are replaced: should this end half way, every stand-in is on the list.
    _write(folder / files.MARKER, _marker(before | written))
    for name, data in contents.items():
        _write(folder / name, data)
    _write(folder / files.MARKER, _marker({*written, *(old for old in before if old[1] not in contents)}))


def _stand_ins_only(folder: Path) -> set[tuple[str, str]]:
    """(MD5, file name) of the stand-ins on the folder's marker, once it is sure that no other data lies there."""
    listed = files.stand_ins(folder)
    for name in (name for entry in CATALOG.values() for name in entry.archive.names):
        path = files.find(folder, name)
        if path is not None and (files.md5(files.read_bytes(path)), name) not in listed:
            raise UserError(
                f"{path} is no stand-in that {folder / files.MARKER} lists, and real data is not overwritten: "
                "give another folder, or move the file away"
            )
    return listed


def _marker(stand_ins: set[tuple[str, str]]) -> bytes:
    lines = sorted(f"{digest}  {name}" for digest, name in stand_ins)
    return "\n".join(("Stand-in data: drawn pictures, not the real data sets. Its files:", *lines, "")).encode()


def _draw(
    drawing: Callable[[int, int, np.random.Generator], np.ndarray], classes: int, count: int, stream: tuple[int, ...]
) -> Labelled:
    """`count` pictures of every class, shuffled. Every class draws from a random stream of its own."""
    images = np.concatenate([drawing(k, count, np.random.default_rng((*stream, k))) for k in range(classes)])
    labels = np.repeat(np.arange(classes), count)
    order = np.random.default_rng((*stream, classes)).permutation(len(labels))
    return images[order], labels[order]


def _kind(k: int) -> tuple[str, str]:
    """Shape and texture of figure k: both change from class to class, and a hundred classes use every pair once."""
    return SHAPES[k % 10], TEXTURES[(k + k // 10) % 10]


def _cifar_files(name: str, parts: dict[str, Labelled], classes: int) -> dict[str, bytes]:
    contents = {}
    for part, (images, labels) in parts.items():
        *batches, meta = CATALOG[name].archive.parts[part]
        rows_of = np.array_split(np.arange(len(labels)), len(batches))
        for number, (batch, rows) in enumerate(zip(batches, rows_of, strict=True), start=1):
            label_lists = {"labels": labels[rows].tolist()}
            if name == "cifar100":
                label_lists = {"fine_labels": labels[rows].tolist(), "coarse_labels": (labels[rows] // 5).tolist()}
            content = {
                "batch_label": f"{part}ing batch {number} of {len(batches)}",
                **label_lists,
                "data": images[rows].reshape(-1, 3072),
                "filenames": [f"{part}_{row}.png" for row in rows],
            }
            contents[batch] = pickle.dumps(content, protocol=2)
    class_names = [f"{texture} {shape}" for shape, texture in map(_kind, range(classes))]
    if name == "cifar100":
        coarse_names = [f"group {group}" for group in range(math.ceil(classes / 5))]
        content = {"fine_label_names": class_names, "coarse_label_names": coarse_names}
    else:
        content = {"num_cases_per_batch": len(parts["test"][1]), "label_names": class_names, "num_vis": 3072}
    return contents | {meta: pickle.dumps(content, protocol=2)}


def _mnist_files(name: str, parts: dict[str, Labelled], _classes: int) -> dict[str, bytes]:
    contents = {}
    for part, arrays in parts.items():
        for file_name, array in zip(CATALOG[name].archive.parts[part], arrays, strict=True):
            header = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
            contents[file_name] = gzip.compress(header + array.astype(np.uint8).tobytes(), mtime=0)
    return contents


def _svhn_files(name: str, parts: dict[str, Labelled], _classes: int) -> dict[str, bytes]:
    contents = {}
    for part, (images, labels) in parts.items():
        [file_name] = CATALOG[name].archive.parts[part]
        ten_for_zero = np.where(labels == 0, 10, labels).astype(np.uint8)
        buffer = io.BytesIO()
        scipy.io.savemat(buffer, {"X": images.transpose(2, 3, 1, 0), "y": ten_for_zero[:, None]}, do_compression=True)
        # The first 116 bytes are free text; scipy puts the time there, which would differ from run to run.
        contents[file_name] = b"MATLAB 5.0 MAT-file, stand-in data".ljust(116) + buffer.getvalue()[116:]
    return contents


# What is drawn for a class, (class, count, generator) → pictures, and how it is packed into files.
_FORMATS = {
    "cifar100": (lambda k, n, rng: pictures.objects(*_kind(k), k * GOLDEN, n, rng), _cifar_files),
    "cifar10": (lambda k, n, rng: pictures.objects(*_kind(k), 0.5 + k * GOLDEN, n, rng), _cifar_files),
    "mnist": (pictures.grey_digits, _mnist_files),
    "fashionmnist": (lambda k, n, rng: pictures.grey_objects(*_kind(k), n, rng), _mnist_files),
    "svhn": (pictures.colour_digits, _svhn_files),
}


def _write(path: Path, content: bytes) -> None:
    """Writes a file, whole or not at all, and the folders it lies in."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{path.parent} cannot be made ({error.strerror}): give another folder") from error
    checkpoint.write_bytes(path, content)


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m datasets.stand_ins", description="Write stand-in data files.")
    parser.add_argument("folder", nargs="?", default="data-synthetic", help="where to write them (%(default)s)")
    parser.add_argument("--train-per-class", type=int, default=40, help="training pictures a class (%(default)s)")
    parser.add_argument("--test-per-class", type=int, default=10, help="test pictures a class (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="another seed, other pictures (%(default)s)")
    options = parser.parse_args(arguments)
    try:
        write(**vars(options))
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    print(f"Stand-in files are in {options.folder}: give data_root={options.folder!r} to use them.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
