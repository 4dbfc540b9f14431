"""`python -m datasets.stand_ins [FOLDER]`: small stand-in files in exactly the official formats of the known data sets.

They hold drawn patterns that a small network can learn, though not perfectly, so that demonstrations and tests go
through the same readers as real data. Nothing learned on them says anything about real images.
"""

import argparse
import gzip
import io
import os
import pickle
import struct
import sys
import tempfile
from collections.abc import Iterable
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import scipy.io

from datasets import files
from datasets.catalog import CATALOG
from datasets.naming import KNOWN, canonical_name
from utils.running import storage
from utils.running.errors import UserError, told


def write(
    folder: str | PathLike[str],
    *,
    train_per_class: int = 40,
    test_per_class: int = 10,
    classes: int = 100,
    sets: Iterable[str] = KNOWN,
    seed: int = 0,
) -> None:
    """Writes stand-in files under `folder`, and the marker that makes it a folder of stand-ins.

    `classes` is the number of CIFAR-100 classes; the other sets have ten. The same arguments give the same files, and a
    class's pictures depend on `seed` and their number alone. Every file is written whole or not at all.

    Raises: `UserError` if a number is too small, or other files are in the folder (then nothing is written).
    """
    if min(train_per_class, test_per_class, classes, seed + 1) < 1:
        raise UserError("expected at least one picture a class, and a seed from 0")
    folder, sets = Path(os.path.expanduser(folder)), [canonical_name(name) for name in sets]
    if folder.is_dir() and any(folder.iterdir()) and not (folder / files.MARKER).exists():
        raise UserError(f"{folder} holds files that are no stand-ins and are not written over: give another folder")
    contents = {files.MARKER: b"All data in this folder are drawn stand-ins.\n"}  # first: whatever ends this half way
    for name in sets:
        class_names = [f"pattern {k}" for k in range(classes if name == "cifar100" else 10)]
        for part, count in (("train", train_per_class), ("test", test_per_class)):
            images, labels = _pictures(name, part, len(class_names), count, seed)
            contents |= _packed(list(CATALOG[name].parts[part]), images, labels, class_names)
    for name, data in contents.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        storage.write_bytes(folder / name, data)


def _pictures(name: str, part: str, classes: int, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """`count` pictures of every class, shuffled: uint8 [N, 3, 32, 32] and labels int64 [N].

    A class is three plane waves, each of a direction, a wavelength and a colour. Chance decides how strong each is, and
    where it lies, so that the mean of a class's pictures is grey; and adds a wave of no class, and noise.
    """
    images, number = [], list(CATALOG).index(name)
    for k in range(classes):
        chance = np.random.default_rng((number, k, part == "test", seed))
        of_class = np.tile(np.random.default_rng((number, k)).normal(size=(3, 5)), (count, 1, 1))
        waves = np.concatenate([of_class, chance.normal(size=(count, 1, 5))], axis=1)  # [count, 4, 5]
        phases = 4j * np.pi * waves[..., :2, None] * np.arange(32) / 32
        x, y = np.exp(phases).transpose(2, 0, 1, 3)  # each [count, 4, 32]
        start = chance.uniform(0.5, 1.5, (count, 4, 1)) * np.exp(2j * np.pi * chance.random((count, 4, 1)))
        colours = (0.15 * waves[..., 2:] * start).transpose(0, 2, 1)  # [count, 3, 4]
        picture = 0.5 + ((colours[:, :, None] * y.transpose(0, 2, 1)[:, None]) @ x[:, None]).real
        images.append(picture + chance.normal(0, 0.1, picture.shape))
    order = np.random.default_rng((number, part == "test", seed)).permutation(classes * count)
    pixels = np.rint(255 * np.concatenate(images)[order].clip(0, 1)).astype(np.uint8)
    return pixels, np.repeat(np.arange(classes), count)[order]


def _packed(places: list[str], images: np.ndarray, labels: np.ndarray, class_names: list[str]) -> dict[str, bytes]:
    """The files of a part, by their places: in the form of CIFAR's, MNIST's or SVHN's."""
    if places[0].startswith("cifar"):
        *batches, meta = places
        pieces = [np.array_split(values, len(batches)) for values in (images.reshape(-1, 3072), labels)]
        fine = "fine_" if "100" in meta else ""
        found = {
            batch: {"data": pixels, f"{fine}labels": numbers.tolist()}
            for batch, pixels, numbers in zip(batches, *pieces, strict=True)
        }
        found[meta] = {f"{fine}label_names": class_names}
        return {place: pickle.dumps(content, protocol=2) for place, content in found.items()}
    if len(places) == 2:
        grey = images[:, 0, 2:-2, 2:-2], labels.astype(np.uint8)
        heads = [struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) for array in grey]
        packed = [gzip.compress(head + array.tobytes(), mtime=0) for head, array in zip(heads, grey, strict=True)]
        return dict(zip(places, packed, strict=True))
    written, digits = io.BytesIO(), np.where(labels == 0, 10, labels).astype(np.uint8)
    scipy.io.savemat(written, {"X": images.transpose(2, 3, 1, 0), "y": digits[:, None]}, do_compression=True)
    # The first 116 bytes are free text; SciPy puts the time there, which would differ from run to run.
    return {places[0]: b"MATLAB 5.0 MAT-file, stand-in data".ljust(116) + written.getvalue()[116:]}


def demo_options(options: dict[str, Any], **drawn: Any) -> dict[str, Any]:
    """A demo's options: these, and otherwise its recipe and folders in a new temporary one; draws its images there."""
    root = Path(tempfile.mkdtemp(prefix="ede-net-demo-"))
    found = {"recipe": "demo", "data_root": str(root / "data"), "checkpoint_root": str(root / "checkpoints"), **options}
    write(found["data_root"], **drawn)
    return found


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
    except (UserError, OSError) as error:
        print(told(error), file=sys.stderr)
        return 2
    print(f"Stand-in files are in {options.folder}: give data_root={options.folder!r} to use them.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
