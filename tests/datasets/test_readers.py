"""The readers of the official formats: what they accept, what they refuse and how they say so."""

import gzip
import io
import logging
import os
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
def batch(drawn) -> dict:
    """The content of CIFAR-100's training file."""
    return pickles.loads((drawn / CIFAR100_TRAIN).read_bytes())


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
    ours, entry = catalog.load(name, root, part), catalog.CATALOG[name.lower()]
    for packed in root.glob("*/raw/*.gz"):  # torchvision reads them unpacked only, and so do we then
        packed.with_suffix("").write_bytes(gzip.decompress(packed.read_bytes()))
    assert catalog.load(name, root, part).fingerprint() == ours.fingerprint()
    which = {"split": part} if name == "SVHN" else {"train": part == "train"}
    theirs = getattr(torchvision.datasets, name)(root, **which)
    images = np.stack([np.asarray(image) for image, _ in theirs])
    if images.ndim == 3:  # a black rim of two pixels and three equal channels
        images = np.pad(images, ((0, 0), (2, 2), (2, 2)))[..., None].repeat(3, axis=3)
    assert torch.equal(ours.images, torch.from_numpy(images).permute(0, 3, 1, 2))
    assert ours.labels.tolist() == [label for _, label in theirs]
    assert len(set(ours.class_names)) == (12 if name == "CIFAR100" else 10)
    assert (ours.name, ours.mean, ours.std, ours.mirror) == (name.lower(), entry.mean, entry.std, entry.mirror)
    assert entry.mirror == (name not in ("MNIST", "SVHN"))


def as_python_2(content: dict) -> bytes:
    """A pickle whose text is Python 2's `str`, as in the official archives."""
    written = io.BytesIO()

    class Pickler(pickle._Pickler):
        dispatch = dict(pickle._Pickler.dispatch)

        def save_str(self, value: str | bytes) -> None:
            value = value.encode("latin-1") if isinstance(value, str) else value
            short = len(value) < 256
            self.write(pickle.SHORT_BINSTRING if short else pickle.BINSTRING)
            self.write(bytes([len(value)]) if short else struct.pack("<i", len(value)))
            self.write(value)

        dispatch[str] = dispatch[bytes] = save_str

    Pickler(written, protocol=2).dump(content)
    return written.getvalue().replace(b"numpy._core", b"numpy.core")


WRITERS = {
    "python 2": as_python_2,
    "python 3": lambda content: pickle.dumps(content, protocol=4),
    "python 3, protocol 2": lambda content: pickle.dumps(content, protocol=2),
    "fortran order": lambda content: as_python_2(content | {"data": np.asfortranarray(content["data"])}),
    "labels as an array": lambda content: as_python_2(content | {"fine_labels": np.array(content["fine_labels"])}),
    "keys as bytes": lambda content: pickle.dumps({key.encode(): value for key, value in content.items()}, protocol=2),
}


@pytest.mark.parametrize("written", WRITERS)
def test_cifar_is_read_whatever_python_wrote_it(root, batch, written):
    (root / CIFAR100_TRAIN).write_bytes(WRITERS[written](batch))
    loaded = catalog.load("cifar100", root, "train")
    assert torch.equal(loaded.images.flatten(1), torch.tensor(batch["data"]))
    assert loaded.labels.tolist() == batch["fine_labels"]


def test_a_subset_of_the_classes_keeps_their_numbers_and_all_names(root, batch):
    rows = [row for row, label in enumerate(batch["fine_labels"]) if label in (3, 7)]
    subset = {"data": batch["data"][rows], "fine_labels": [batch["fine_labels"][row] for row in rows]}
    (root / CIFAR100_TRAIN).write_bytes(as_python_2(subset))
    loaded = catalog.load("cifar100", root, "train")
    assert loaded.labels.unique().tolist() == [3, 7]
    assert len(loaded.class_names) == 12


def test_svhn_label_10_and_label_0_are_the_digit_0(root):
    content = {key: value for key, value in scipy.io.loadmat(root / SVHN_TRAIN).items() if key in "Xy"}
    assert (content["y"].min(), content["y"].max()) == (1, 10)
    for labels in (content["y"], content["y"] % 10):
        scipy.io.savemat(root / SVHN_TRAIN, content | {"y": labels}, do_compression=True)
        assert catalog.load("svhn", root, "train").labels.tolist() == (content["y"] % 10).ravel().tolist()


@pytest.mark.parametrize("size", [16, 48])
def test_a_named_set_is_resized_as_torchvision_resizes_each_image(drawn, monkeypatch, size):
    monkeypatch.setattr(catalog, "RESIZED_AT_ONCE", 7)
    plain, found = (catalog.load("CIFAR-100", drawn, "test", each) for each in (32, size))
    for image, resized in zip(plain.images, found.images, strict=True):
        assert torch.equal(resized, functional.resize(image, [size, size], antialias=True))
    assert torch.equal(found.labels, plain.labels)


def test_a_named_sets_unlabelled_images_are_its_training_images(drawn):
    train, unlabelled = (catalog.load("cifar10", drawn, part) for part in ("train", "unlabeled"))
    assert torch.equal(train.images, unlabelled.images)


# --- pickles are not trusted


@pytest.mark.parametrize("protocol", [2, 4])
def test_a_pickle_that_names_a_function_is_refused_and_not_run(refused, tmp_path, protocol):
    class Harm:
        def __reduce__(self):
            return os.system, (f"touch {tmp_path}/harm",)

    message = refused("cifar100", CIFAR100_TRAIN, pickle.dumps({"data": Harm()}, protocol=protocol))
    assert f"{os.system.__module__}.system" in message
    assert not (tmp_path / "harm").exists()


def test_what_a_pickle_sets_on_a_name_changes_nothing():
    """The state (None, {attribute: value}) is set on whatever was named: here a default on the encoder of bytes."""
    spoiling = b"\x80\x02}U\1ac_codecs\nencode\nN}X\x0c\0\0\0__defaults__X\6\0\0\0latin1\x85s\x86bs."
    without_encoding = b"\x80\x02}U\1ac_codecs\nencode\nX\1\0\0\0b\x85Rs."
    assert callable(pickles.loads(spoiling)["a"])
    with pytest.raises(ValueError, match="argument"):
        pickles.loads(without_encoding)
    for name in (b"cnumpy\ndtype\n", b"cnumpy.core.multiarray\n_reconstruct\n"):
        with pytest.raises(ValueError, match="argument"):
            pickles.loads(b"\x80\x02}U\1a" + name + b"N}X\x08\0\0\0__init__Ns\x86bs.")


def shaped(shape: bytes, data: bytes = b"U\4abcd") -> bytes:
    """A dictionary whose "data" is an array of this pickled shape."""
    made = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\0\x85U\1b\x87R"
    dtype = b"cnumpy\ndtype\nU\2u1K\0K\1\x87R(K\3U\1|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tb"
    return b"\x80\x02}U\4data" + made + b"(K\1" + shape + dtype + b"\x89" + data + b"tbs."


PICKLES = {
    "an array called": b"\x80\x02cnumpy\nndarray\n(J\xff\xff\xff\x7ftR.",
    "an absurd memo": b"\x80\x02}r\xff\xff\xff\x7f.",
    "an absurd string": b"\x80\x02}U\4dataB\xff\xff\xff\xbfabcs.",
    "objects": pickle.dumps({"data": np.array([{}])}, protocol=2),
    "false shape": shaped(b"K\7K\7\x86"),
    "text as shape": shaped(b"U\3abcJ\xff\xff\xff\x3f\x86"),
    "negative shape": shaped(b"J\xfe\xff\xff\xffJ\xfe\xff\xff\xff\x86"),
    "a shape of long integers": shaped(2 * (b"\x8b" + struct.pack("<i", 3_000_000) + b"\1" * 3_000_000) + b"\x86"),
    "a shape of many numbers": shaped(b"(" + b"M\xff\xff" * 10_000 + b"t"),
    "nested tuples as a key": b"\x80\x02}K\1" + b"\x85" * 100_000 + b"K\1s.",
    "a list": pickle.dumps([1, 2], protocol=2),
    "a key that is a number": pickle.dumps({3: 4}, protocol=2),
    "an instance": b"\x80\x02(icollections\nOrderedDict\n.",
    "a class": b"\x80\x02cnumpy\ndtype\n)\x81.",
    "persistent": b"\x80\x02K\1Q.",
    "nothing": b"",
    "text": b"not a pickle",
}


@pytest.mark.parametrize("content", PICKLES)
def test_pickles_that_hold_anything_else_than_plain_arrays_are_refused(refused, content):
    refused("cifar100", CIFAR100_TRAIN, PICKLES[content])


@pytest.mark.parametrize(
    "change",
    [
        {"data": np.zeros((24, 3 * 28 * 28), np.uint8)},
        {"data": np.zeros((0, 3072), np.uint8)},
        {"data": np.zeros((24, 3072), np.float32)},
        {"data": [[0] * 3072] * 24},
        {"fine_labels": [0] * 23},
        {"fine_labels": [0] * 23 + [12]},
        {"fine_labels": [0] * 23 + [-1]},
        {"fine_labels": [0] * 23 + [2**70]},
        {"fine_labels": [0] * 23 + ["1"]},
        {"fine_labels": np.zeros(24)},
        {"fine_labels": np.zeros((24, 1), int)},
        {"fine_labels": None},
    ],
)
def test_cifar_content_of_another_shape_type_or_range_is_refused(refused, batch, change):
    refused("cifar100", CIFAR100_TRAIN, pickle.dumps(batch | change, protocol=4))


@pytest.mark.parametrize("names", [None, [], [1, 2], "ab"])
def test_class_names_must_be_a_list_of_text(refused, names):
    assert "class names" in refused("cifar100", CIFAR100_META, pickle.dumps({"fine_label_names": names}, protocol=2))


# --- nor are the other formats


def idx(*shape: int, content: bytes = b"", kind: int = 8) -> bytes:
    return gzip.compress(struct.pack(f">HBB{len(shape)}I", 0, kind, len(shape), *shape) + content, mtime=0)


IDX = {
    "another size": (MNIST_IMAGES, idx(20, 32, 32, content=bytes(20 * 1024))),
    "one dimension": (MNIST_IMAGES, idx(20, content=bytes(20))),
    "no image": (MNIST_IMAGES, idx(0, 28, 28)),
    "4 billion images": (MNIST_IMAGES, idx(2**32 - 1, 28, 28, content=bytes(784))),
    "zeros without end": (MNIST_IMAGES, idx(20, 28, 28, content=bytes(50_000_000))),
    "labels beyond 9": (MNIST_LABELS, idx(20, content=b"\x0a" * 20)),
    "seven labels": (MNIST_LABELS, idx(7, content=bytes(7))),
    "signed bytes": (MNIST_LABELS, idx(20, content=bytes(20), kind=9)),
    "one byte less": (MNIST_LABELS, idx(20, content=bytes(19))),
    "one byte more": (MNIST_LABELS, idx(20, content=bytes(21))),
    "not compressed": (MNIST_LABELS, b"not compressed"),
    "another checksum": (MNIST_LABELS, idx(20, content=bytes(20))[:-8] + bytes(8)),
}


@pytest.mark.parametrize("wrong", IDX)
def test_idx_content_of_another_shape_type_or_range_is_refused(refused, wrong):
    refused("mnist", *IDX[wrong])


def mat(compressed: bool = True, **variables) -> bytes:
    written = io.BytesIO()
    scipy.io.savemat(written, variables, do_compression=compressed)
    return written.getvalue()


X, Y = np.zeros((32, 32, 3, 20), np.uint8), np.ones((20, 1), np.uint8)
BOMB = zlib.compress(struct.pack("<II", 14, 1000) + bytes(50_000_000), level=1)
MAT = {
    "another size": mat(X=np.zeros((28, 28, 3, 20), np.uint8), y=Y),
    "fractions": mat(X=X.astype(float), y=Y),
    "labels beyond 10": mat(X=X, y=Y * 11),
    "too few labels": mat(X=X, y=Y[:19]),
    "no labels": mat(X=X),
    "other names": mat(y=X, X=Y),
    "not compressed": mat(X=X, y=Y, compressed=False),
    "an array of 4 GB": mat(X=X, y=Y)[:128] + struct.pack("<II", 15, 2**32 - 1) + bytes(200),
    "an array that unpacks to more than it says": mat(X=X, y=Y)[:128] + struct.pack("<II", 15, len(BOMB)) + BOMB,
    "another version": b"MATLAB 4".ljust(200),
    "no bytes": b"",
}


@pytest.mark.parametrize("wrong", MAT)
def test_svhn_content_of_another_shape_type_or_range_is_refused(refused, monkeypatch, wrong):
    monkeypatch.setattr(readers, "MOST_BYTES", 1_000_000)
    refused("svhn", SVHN_TRAIN, MAT[wrong])


@pytest.mark.parametrize("kept", [0, 3, 0.3, 0.9, 0.999])
@pytest.mark.parametrize(
    ("name", "file"),
    [("cifar100", CIFAR100_TRAIN), ("cifar10", CIFAR10_BATCH), ("cifar100", CIFAR100_META), ("mnist", MNIST_IMAGES),
     ("mnist", MNIST_LABELS), ("svhn", SVHN_TRAIN)],
)  # fmt: skip
def test_a_file_cut_short_is_named(refused, drawn, name, file, kept):
    content = (drawn / file).read_bytes()
    refused(name, file, content[: kept if isinstance(kept, int) else int(kept * len(content))])


def test_a_file_larger_than_any_official_one_is_not_read(refused, root, monkeypatch):
    monkeypatch.setattr(readers, "MOST_BYTES", 30_000)
    assert "larger than" in refused("svhn", SVHN_TRAIN, bytes(30_001))


# --- missing files, downloads and checksums


@pytest.mark.parametrize(("name", "folder"), [("cifar100", "cifar-100-python/"), ("mnist", "MNIST/raw/"), ("svhn", "")])
def test_without_files_and_network_the_error_says_which_file_goes_where(tmp_path, refusal, name, folder):
    message = refusal(catalog.load, name, tmp_path / "data", "train")
    assert f"{tmp_path / 'data'} lacks {folder}" in message
    assert "no network" in message
    assert "python -m datasets.stand_ins FOLDER" in message
    assert all(file in message for part in catalog.CATALOG[name].parts.values() for file in part)


def test_a_set_of_which_some_files_are_missing_is_not_downloaded(root, monkeypatch, refusal):
    monkeypatch.setattr(torchvision.datasets.CIFAR10, "download", lambda _: pytest.fail("downloaded"))
    (root / CIFAR10_BATCH).unlink()
    (root / "cifar-10-batches-py/batches.meta").unlink()
    message = refusal(catalog.load, "cifar10", root, "train")
    assert f"not {CIFAR10_BATCH}, cifar-10-batches-py/batches.meta:" in message
    (root / CIFAR100_TRAIN).unlink()
    assert len(catalog.load("cifar100", root, "test")) == 12, "a part needs its own files only"


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
