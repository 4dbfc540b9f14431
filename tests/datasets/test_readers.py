"""The readers of the official formats: what they accept, what they refuse and how they say so."""

import gzip
import io
import logging
import pickle
import shutil
import struct
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
import scipy.io
import torch
import torchvision
from torchvision.transforms.v2 import functional

from datasets import catalog, files, pickles, readers

CIFAR100_TRAIN, CIFAR100_META = "cifar-100-python/train", "cifar-100-python/meta"
CIFAR10_BATCH = "cifar-10-batches-py/data_batch_3"
MNIST_IMAGES, MNIST_LABELS = "MNIST/raw/train-images-idx3-ubyte.gz", "MNIST/raw/train-labels-idx1-ubyte.gz"
SVHN_TRAIN = "train_32x32.mat"


@pytest.fixture
def refused(root, refusal):
    """Puts a content in the place of a file and returns the message by which it is refused, with little memory."""

    def message_of(name: str, file: str, content: bytes) -> str:
        (root / file).write_bytes(content)
        tracemalloc.start()
        message = refusal(catalog.load, name, root, "train")
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert str(root / file) in message
        assert used < 20_000_000
        return message

    return message_of


# --- what is read


@pytest.mark.parametrize("part", ["train", "test"])
@pytest.mark.parametrize("name", ["CIFAR10", "CIFAR100", "MNIST", "FashionMNIST", "SVHN"])
def test_torchvision_reads_the_same_pixels_and_labels(root, monkeypatch, name, part):
    for module in (torchvision.datasets.cifar, torchvision.datasets.svhn):  # stand-ins cannot have the official MD5s
        monkeypatch.setattr(module, "check_integrity", lambda path, md5=None: Path(path).is_file())
    gzipped, entry = catalog.load(name, root, part), catalog.CATALOG[name.lower()]
    for packed in root.glob("*/raw/*.gz"):  # torchvision reads them unpacked only, and so do we then
        packed.with_suffix("").write_bytes(gzip.decompress(packed.read_bytes()))
    ours = catalog.load(name, root, part)
    assert torch.equal(gzipped.images, ours.images)
    which = {"split": part} if name == "SVHN" else {"train": part == "train"}
    theirs = getattr(torchvision.datasets, name)(root, **which)
    images = np.stack([np.asarray(image) for image, _ in theirs])
    if images.ndim == 3:  # a black rim of two pixels and three equal channels
        images = np.pad(images, ((0, 0), (2, 2), (2, 2)))[..., None].repeat(3, axis=3)
    assert torch.equal(ours.images, torch.from_numpy(images).permute(0, 3, 1, 2))
    assert gzipped.labels.tolist() == ours.labels.tolist() == [label for _, label in theirs]
    assert len(set(ours.class_names)) == (12 if name == "CIFAR100" else 10)
    assert (ours.name, ours.mean, ours.std, ours.mirror) == (name.lower(), entry.mean, entry.std, entry.mirror)
    assert entry.mirror == (name not in ("MNIST", "SVHN"))


def shaped(shape: bytes, data: bytes = b"U\4abcd", labels: bytes = b"") -> bytes:
    """A dictionary as Python 2 pickles it, whose "data" is an array of this pickled shape."""
    made = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\0\x85U\1b\x87R"
    dtype = b"cnumpy\ndtype\nU\2u1K\0K\1\x87R(K\3U\1|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tb"
    return b"\x80\x02}(U\4data" + made + b"(K\1" + shape + dtype + b"\x89" + data + b"tb" + labels + b"u."


def python_2(content: dict) -> bytes:
    """As in the official archives, whose text is Python 2's `str`."""
    pixels, labels = content["data"].tobytes(), bytes(content["fine_labels"])
    data = b"T" + struct.pack("<i", len(pixels)) + pixels
    pickled = b"U\x0bfine_labels](" + b"".join(b"K%c" % label for label in labels) + b"e"
    return shaped(b"K%cM\0\x0c\x86" % len(labels), data, pickled)


WRITERS = {
    "python 2": python_2,
    "python 3": lambda content: pickle.dumps(content, protocol=4),
    "python 3, protocol 2": lambda content: pickle.dumps(content, protocol=2),
    "fortran order": lambda content: pickle.dumps(content | {"data": np.asfortranarray(content["data"])}, protocol=4),
}


@pytest.mark.parametrize("written", WRITERS)
def test_cifar_is_read_whatever_python_wrote_it_and_a_subset_keeps_all_names(root, written):
    batch = pickles.loads((root / CIFAR100_TRAIN).read_bytes())
    subset = {"data": pickles.images(batch["data"])[:5], "fine_labels": batch["fine_labels"][:5]}
    (root / CIFAR100_TRAIN).write_bytes(WRITERS[written](subset))
    loaded = catalog.load("cifar100", root, "train")
    assert torch.equal(loaded.images.flatten(1), torch.tensor(subset["data"]))
    assert loaded.labels.tolist() == subset["fine_labels"]
    assert len(loaded.class_names) == 12


def test_a_named_set_is_resized_as_torchvision_resizes_each_image(drawn, monkeypatch):
    monkeypatch.setattr(catalog, "RESIZED_AT_ONCE", 7)
    plain, found = (catalog.load("CIFAR-100", drawn, "test", size) for size in (32, 16))
    for image, resized in zip(plain.images, found.images, strict=True):
        assert torch.equal(resized, functional.resize(image, [16, 16], antialias=True))
    assert torch.equal(found.labels, plain.labels)


# --- what is refused


def test_a_pickle_that_names_a_function_is_refused_and_not_run(refused, tmp_path):
    harm = bytes(tmp_path / "harm")
    refused("cifar100", CIFAR100_TRAIN, b"\x80\x02cposix\nmkdir\nU%c%b\x85R." % (len(harm), harm))
    assert not (tmp_path / "harm").exists()


def test_no_text_is_encoded_again_and_again(refused):
    """Each of these calls would make another copy of the text, which is in the file once."""
    call = b"c_codecs\nencode\nh\1U\x06latin1\x86R"
    content = b"\x80\x02}U\1aX" + struct.pack("<I", 50_000) + b"x" * 50_000 + b"q\x01sU\1b](" + call * 1000 + b"es."
    refused("cifar100", CIFAR100_TRAIN, content)


def cifar(**changed) -> bytes:
    return pickle.dumps({"data": np.zeros((24, 3072), np.uint8), "fine_labels": [0] * 24, **changed}, protocol=4)


def idx(*shape: int, content: bytes = b"") -> bytes:
    return gzip.compress(struct.pack(f">HBB{len(shape)}I", 0, 8, len(shape), *shape) + content, mtime=0)


def mat(compressed: bool = True, **variables) -> bytes:
    written = io.BytesIO()
    scipy.io.savemat(written, variables, do_compression=compressed)
    return written.getvalue()


X, Y = np.zeros((32, 32, 3, 20), np.uint8), np.ones((20, 1), np.uint8)
BOMB = zlib.compress(struct.pack("<II", 14, 1000) + bytes(50_000_000), level=1)
WRONG = {
    ("cifar100", CIFAR100_TRAIN): {
        "an array called": b"\x80\x02cnumpy\nndarray\n(J\xff\xff\xff\x7ftR.",
        "an absurd memo": b"\x80\x02}r\xff\xff\xff\x7f.",
        "an absurd string": b"\x80\x02}U\4dataB\xff\xff\xff\xbfabcs.",
        "a false shape": shaped(b"K\7K\7\x86"),
        "a shape of long integers": shaped(2 * (b"\x8b" + struct.pack("<i", 3_000_000) + b"\1" * 3_000_000) + b"\x86"),
        "nested tuples as a key": b"\x80\x02}K\1" + b"\x85" * 100_000 + b"K\1s.",
        "a list": pickle.dumps([1, 2], protocol=2),
        "objects": cifar(data=np.array([{}])),
        "another size": cifar(data=np.zeros((24, 3 * 28 * 28), np.uint8)),
        "two images a row": cifar(data=np.zeros((12, 6144), np.uint8), fine_labels=[0] * 12),
        "fractions": cifar(data=np.zeros((24, 3072), np.float32)),
        "bytes with a sign": cifar(data=np.zeros((24, 3072), np.int8)),
        "no array": cifar(data=[[0] * 3072] * 24),
        "too few labels": cifar(fine_labels=[0] * 23),
        "a label beyond the last": cifar(fine_labels=[0] * 23 + [12]),
        "a label below 0": cifar(fine_labels=[0] * 23 + [-1]),
        "a label of 70 bits": cifar(fine_labels=[0] * 23 + [2**70]),
        "no labels": cifar(fine_labels=None),
    },
    ("cifar100", CIFAR100_META): {
        "no names": pickle.dumps({"fine_label_names": []}),
        "numbers as names": pickle.dumps({"fine_label_names": [1, 2]}),
        "one name": pickle.dumps({"fine_label_names": "ab"}),
    },
    ("mnist", MNIST_IMAGES): {
        "another size": idx(20, 32, 32, content=bytes(20 * 1024)),
        "70 dimensions": idx(*[1] * 70),
        "no image": idx(0, 28, 28),
        "4 billion images": idx(2**32 - 1, 28, 28, content=bytes(784)),
        "zeros without end": idx(20, 28, 28, content=bytes(50_000_000)),
    },
    ("mnist", MNIST_LABELS): {
        "labels beyond 9": idx(20, content=b"\x0a" * 20),
        "seven labels": idx(7, content=bytes(7)),
        "one byte more": idx(20, content=bytes(21)),
        "another checksum": idx(20, content=bytes(20))[:-8] + bytes(8),
    },
    ("svhn", SVHN_TRAIN): {
        "another size": mat(X=np.zeros((28, 28, 3, 20), np.uint8), y=Y),
        "labels beyond 10": mat(X=X, y=Y * 11),
        "too few labels": mat(X=X, y=Y[:19]),
        "no labels": mat(X=X),
        "other names": mat(y=X, X=Y),
        "not compressed": mat(X=X, y=Y, compressed=False),
        "an array of 4 GB": mat(X=X, y=Y)[:128] + struct.pack("<II", 15, 2**32 - 1) + bytes(200),
        "an array that unpacks to more than it says": mat(X=X, y=Y)[:128] + struct.pack("<II", 15, len(BOMB)) + BOMB,
        "another version": b"MATLAB 4".ljust(200),
    },
}


@pytest.mark.parametrize(("file", "wrong"), [(file, wrong) for file, contents in WRONG.items() for wrong in contents])
def test_what_has_not_the_official_form_is_refused(refused, monkeypatch, file, wrong):
    monkeypatch.setattr(readers, "MOST_BYTES", 7_000_000)
    refused(*file, WRONG[file][wrong])


@pytest.mark.parametrize("file", [*WRONG, ("cifar10", CIFAR10_BATCH)], ids=" ".join)
def test_a_file_cut_short_is_named(refused, drawn, file):
    content = (drawn / file[1]).read_bytes()
    for kept in (0, 3, len(content) // 3, len(content) - 9):
        refused(*file, content[:kept])


def test_a_file_larger_than_any_official_one_is_not_read(refused, root, monkeypatch):
    monkeypatch.setattr(readers, "MOST_BYTES", 30_000)
    assert "larger than" in refused("svhn", SVHN_TRAIN, bytes(30_001))


# --- missing files, downloads and checksums


def test_without_files_and_network_the_error_says_which_file_goes_where(tmp_path, refusal):
    for name, folder in (("cifar100", "cifar-100-python/"), ("mnist", "MNIST/raw/"), ("svhn", "")):
        message = refusal(catalog.load, name, tmp_path / "data", "train")
        assert f"{tmp_path / 'data'} lacks {folder}" in message
        assert "no network" in message
        assert all(file in message for part in catalog.CATALOG[name].parts.values() for file in part)


def test_a_set_of_which_some_files_are_missing_is_not_downloaded(root, monkeypatch, refusal):
    monkeypatch.setattr(torchvision.datasets.CIFAR10, "download", lambda _: pytest.fail("downloaded"))
    (root / CIFAR10_BATCH).unlink()
    (root / "cifar-10-batches-py/batches.meta").unlink()
    message = refusal(catalog.load, "cifar10", root, "train")
    assert f"not {CIFAR10_BATCH}, cifar-10-batches-py/batches.meta:" in message
    (root / CIFAR100_TRAIN).unlink()
    assert len(catalog.load("cifar100", root, "test").labels) == 12, "a part needs its own files only"


def test_what_is_downloaded_comes_to_its_place_whole(drawn, tmp_path, monkeypatch):
    def download(source):
        assert Path(source.root).parent == tmp_path / "data"  # a folder of its own
        shutil.copytree(drawn / "cifar-100-python", Path(source.root) / "cifar-100-python")

    monkeypatch.setattr(torchvision.datasets.CIFAR100, "download", download)
    monkeypatch.setattr(torchvision.datasets.cifar, "check_integrity", lambda path, md5=None: Path(path).is_file())
    loaded = catalog.load("cifar100", tmp_path / "data", "train")
    assert torch.equal(loaded.images, catalog.load("cifar100", drawn, "train").images)
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["cifar-100-python"]


def test_another_checksum_is_one_line_but_not_of_stand_ins(root, caplog):
    with caplog.at_level(logging.WARNING, logger="ede_net"):
        for name in catalog.CATALOG:
            assert catalog.load(name, root, "train").stand_in
        assert not caplog.records
        (root / files.MARKER).unlink()
        for _ in range(2):
            assert not catalog.load("svhn", root, "train").stand_in
            catalog.load("mnist", root, "train")
    of_svhn, of_mnist = (record.getMessage() for record in caplog.records)
    assert SVHN_TRAIN in of_svhn
    assert f"{MNIST_IMAGES}, {MNIST_LABELS}" in of_mnist
