"""The readers of the official formats: what they accept, what they refuse and how they say so."""

import gzip
import logging
import os
import pickle
import shutil
import struct
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
import scipy.io
import torch
import torchvision

from datasets import catalog, files, idx, pickles, synthetic
from datasets.image_set import ImageSet
from utils.errors import UserError

CIFAR100_TRAIN = "cifar-100-python/train"
CIFAR10_BATCH = "cifar-10-batches-py/data_batch_3"
MNIST_IMAGES, MNIST_LABELS = "MNIST/raw/train-images-idx3-ubyte.gz", "MNIST/raw/train-labels-idx1-ubyte.gz"
SVHN_TRAIN = "train_32x32.mat"


@pytest.fixture(scope="session")
def stand_ins(tmp_path_factory) -> Path:
    """A folder with a few pictures of every set, only to be read."""
    folder = tmp_path_factory.mktemp("stand-ins")
    synthetic.write(folder, train_per_class=2, test_per_class=1, classes=12)
    return folder


@pytest.fixture
def root(stand_ins, tmp_path) -> Path:
    """A copy of it, to be damaged."""
    return shutil.copytree(stand_ins, tmp_path / "data")


@pytest.fixture
def batch(stand_ins) -> dict:
    """The content of CIFAR-100's training file."""
    return pickles.loads((stand_ins / CIFAR100_TRAIN).read_bytes(), Path(CIFAR100_TRAIN))


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    def offline(*_args, **_kwargs):
        raise URLError("no network")

    for source in (torchvision.datasets.CIFAR10, torchvision.datasets.MNIST, torchvision.datasets.SVHN):
        monkeypatch.setattr(source, "download", offline)
    files._warn_of_checksums.cache_clear()


def refusal(name: str, root: Path, part: str = "train") -> str:
    """The message with which loading fails: always one line."""
    with pytest.raises(UserError) as caught:
        catalog.load(name, root, part)
    message = str(caught.value)
    assert "\n" not in message
    return message


# What is read


@pytest.mark.parametrize("part", ["train", "test"])
@pytest.mark.parametrize("name", catalog.CATALOG)
def test_every_set_is_read_to_colour_images_of_32_by_32(stand_ins, name, part):
    loaded = catalog.load(name, stand_ins, part)
    classes = 12 if name == "cifar100" else 10
    assert isinstance(loaded, ImageSet)
    assert (loaded.images.dtype, loaded.labels.dtype) == (torch.uint8, torch.int64)
    assert loaded.images.shape == (classes * (2 if part == "train" else 1), 3, 32, 32)
    assert loaded.labels.bincount().tolist() == [2 if part == "train" else 1] * classes
    assert len(set(loaded.class_names)) == classes
    assert (loaded.name, loaded.mirror) == (name, name not in ("mnist", "svhn"))


@pytest.mark.parametrize("part", ["train", "test"])
@pytest.mark.parametrize("name", ["CIFAR10", "CIFAR100", "MNIST", "FashionMNIST", "SVHN"])
def test_torchvision_reads_the_same_pixels_and_labels(root, monkeypatch, name, part):
    for module in (torchvision.datasets.cifar, torchvision.datasets.svhn):  # stand-ins cannot have the official MD5s
        monkeypatch.setattr(module, "check_integrity", lambda path, md5=None: Path(path).is_file())
    for packed in root.glob("*/raw/*.gz"):  # torchvision reads them unpacked only
        packed.with_suffix("").write_bytes(gzip.decompress(packed.read_bytes()))
    which = {"split": part} if name == "SVHN" else {"train": part == "train"}
    theirs = getattr(torchvision.datasets, name)(root, **which)
    ours = catalog.load(name, root, part)
    images = np.stack([np.asarray(image) for image, _ in theirs])
    if images.ndim == 3:
        images = np.pad(images, ((0, 0), (2, 2), (2, 2)))[..., None].repeat(3, axis=3)
    assert torch.equal(ours.images, torch.from_numpy(images).permute(0, 3, 1, 2))
    assert ours.labels.tolist() == [label for _, label in theirs]


@pytest.mark.parametrize(
    "write",
    [
        pytest.param(pickles.dumps, id="str of Python 2"),
        pytest.param(lambda content: pickle.dumps(content, protocol=2), id="str of Python 3"),
        pytest.param(
            lambda content: pickle.dumps({key.encode(): value for key, value in content.items()}, protocol=2),
            id="bytes of Python 3",
        ),
        pytest.param(lambda content: pickle.dumps(content, protocol=4), id="protocol 4"),
        pytest.param(
            lambda content: pickle.dumps(content, protocol=2).replace(b"numpy._core", b"numpy.core"), id="NumPy 1"
        ),
        pytest.param(
            lambda content: pickle.dumps({**content, "fine_labels": np.array(content["fine_labels"])}, protocol=2),
            id="label array",
        ),
        pytest.param(
            lambda content: pickle.dumps({**content, "data": np.asfortranarray(content["data"])}, protocol=2),
            id="Fortran order",
        ),
    ],
)
def test_cifar_is_read_whatever_python_wrote_it(root, batch, write):
    (root / CIFAR100_TRAIN).write_bytes(write(batch))
    loaded = catalog.load("cifar100", root, "train")
    assert torch.equal(loaded.images.flatten(1), torch.tensor(batch["data"]))
    assert loaded.labels.tolist() == batch["fine_labels"]


def test_our_pickles_read_by_pythons_own_unpickler_are_those_of_python_2(stand_ins, batch):
    official = pickle.loads((stand_ins / CIFAR100_TRAIN).read_bytes(), encoding="bytes")
    assert list(official) == [b"batch_label", b"fine_labels", b"coarse_labels", b"data", b"filenames"]
    assert official[b"batch_label"] == b"training batch 1 of 1"
    assert np.array_equal(official[b"data"], batch["data"])


def test_cifar_10_is_its_five_batches_in_order(root):
    whole = catalog.load("cifar10", root, "train")
    batches = [pickles.loads((root / f"cifar-10-batches-py/data_batch_{i}").read_bytes(), root) for i in range(1, 6)]
    assert whole.labels.tolist() == [label for batch in batches for label in batch["labels"]]
    assert torch.equal(whole.images[-4:].flatten(1), torch.tensor(batches[-1]["data"]))


def test_a_subset_of_the_classes_keeps_their_numbers_and_all_names(root, batch):
    rows = [row for row, label in enumerate(batch["fine_labels"]) if label in (3, 7)]
    subset = {"data": batch["data"][rows], "fine_labels": [batch["fine_labels"][row] for row in rows]}
    (root / CIFAR100_TRAIN).write_bytes(pickles.dumps(subset))
    loaded = catalog.load("cifar100", root, "train")
    assert loaded.labels.unique().tolist() == [3, 7]
    assert len(loaded.class_names) == 12


def test_unpacked_idx_files_are_read_too(root):
    packed = catalog.load("mnist", root, "train")
    for path in (root / "MNIST/raw").glob("*.gz"):
        path.with_suffix("").write_bytes(gzip.decompress(path.read_bytes()))
        path.unlink()
    unpacked = catalog.load("mnist", root, "train")
    assert torch.equal(packed.images, unpacked.images)
    assert torch.equal(packed.labels, unpacked.labels)


def test_grey_images_get_a_black_rim_of_two_pixels_and_three_equal_channels(stand_ins):
    images = catalog.load("mnist", stand_ins, "train").images
    grey = idx.loads((stand_ins / MNIST_IMAGES).read_bytes(), Path(MNIST_IMAGES))
    assert torch.equal(images[:, 0, 2:-2, 2:-2], torch.tensor(grey))
    assert torch.equal(images[:, 0], images[:, 2])
    assert images[:, :, 2:-2, 2:-2].sum() == images.sum() > 0


def test_svhn_label_10_and_label_0_are_the_digit_0(root):
    content = scipy.io.loadmat(root / SVHN_TRAIN)
    assert (content["y"].min(), content["y"].max()) == (1, 10)
    with_ten = catalog.load("svhn", root, "train").labels
    scipy.io.savemat(root / SVHN_TRAIN, {"X": content["X"], "y": content["y"] % 10})
    with_zero = catalog.load("svhn", root, "train").labels
    assert with_ten.tolist() == with_zero.tolist() == (content["y"] % 10).ravel().tolist()


# What is refused


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_a_pickle_that_names_a_function_is_refused_and_not_run(root, tmp_path, protocol):
    class Harm:
        def __reduce__(self):
            return os.system, (f"touch {tmp_path}/harm",)

    (root / CIFAR100_TRAIN).write_bytes(pickle.dumps({"data": Harm()}, protocol=protocol))
    message = refusal("cifar100", root)
    assert str(root / CIFAR100_TRAIN) in message
    assert f"{os.system.__module__}.system" in message
    assert not (tmp_path / "harm").exists()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"\x80\x02cnumpy\nndarray\n(J\xff\xff\xff\x7ftR.", "not callable"),
        (b"\x80\x02}r\xff\xff\xff\x7f.", "memo entry"),
        (b"\x80\x02c_codecs\nencode\nX\x01\0\0\0aX\x03\0\0\0hexq\x00\x86R.", "'hex'"),
        (b"\x80\x02cnumpy\ndtype\nU\x01VK\x00K\x01\x87R.", "type 'V'"),
        (pickle.dumps({"data": np.array([{}])}, protocol=2), "type 'O8'"),
        (pickle.dumps({"data": np.zeros((2, 2), np.uint8)}, protocol=2).replace(b"K\2K\2", b"K\7K\7"), "(7, 7)"),
        (pickle.dumps([1, 2]), "dictionary"),
        (b"", "damaged"),
        (b"not a pickle", "damaged"),
    ],
    ids=["absurd array", "absurd memo", "other codec", "void", "objects", "false shape", "list", "empty", "text"],
)
def test_pickles_that_hold_anything_else_than_plain_arrays_are_refused(root, content, reason):
    (root / CIFAR100_TRAIN).write_bytes(content)
    message = refusal("cifar100", root)
    assert str(root / CIFAR100_TRAIN) in message
    assert reason in message


@pytest.mark.parametrize("kept", [0, 3, 0.3, 0.9, 0.999])
@pytest.mark.parametrize(
    ("name", "file"),
    [("cifar100", CIFAR100_TRAIN), ("cifar10", CIFAR10_BATCH), ("cifar100", "cifar-100-python/meta"),
     ("mnist", MNIST_IMAGES), ("mnist", MNIST_LABELS), ("svhn", SVHN_TRAIN)],
)  # fmt: skip
def test_a_file_cut_short_is_named(root, name, file, kept):
    content = (root / file).read_bytes()
    (root / file).write_bytes(content[: kept if isinstance(kept, int) else int(kept * len(content))])
    assert str(root / file) in refusal(name, root)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"data": np.zeros((24, 3 * 28 * 28), np.uint8)}, "uint8 [24, 2352], expected uint8 [N, 3072]"),
        ({"data": np.zeros((0, 3072), np.uint8)}, "N > 0"),
        ({"data": np.zeros((24, 3072), np.float32)}, "float32 [24, 3072]"),
        ({"data": [[0] * 3072] * 24}, "the images are list"),
        ({"fine_labels": [0] * 23}, "23 labels for 24 images"),
        ({"fine_labels": [0] * 23 + [12]}, "labels from 0 to 12, expected 0 to 11"),
        ({"fine_labels": [0] * 23 + [-1]}, "labels from -1 to 0"),
        ({"fine_labels": [0] * 23 + [2**70]}, "whole numbers"),
        ({"fine_labels": [0] * 23 + ["1"]}, "whole numbers"),
        ({"fine_labels": np.zeros(24)}, "whole numbers"),
        ({"fine_labels": np.zeros((24, 1), int)}, "whole numbers"),
        ({"fine_labels": None}, "whole numbers"),
    ],
)
def test_cifar_content_of_another_shape_type_or_range_is_refused(root, batch, change, words):
    (root / CIFAR100_TRAIN).write_bytes(pickle.dumps(batch | change, protocol=4))
    message = refusal("cifar100", root)
    assert str(root / CIFAR100_TRAIN) in message
    assert words in message


@pytest.mark.parametrize("names", [None, [], [1, 2], "ab"])
def test_class_names_must_be_a_list_of_text(root, names):
    path = root / "cifar-100-python/meta"
    path.write_bytes(pickle.dumps({"fine_label_names": names}, protocol=2))
    assert f"{path} lists no class names" in refusal("cifar100", root)


@pytest.mark.parametrize(
    ("file", "content", "words"),
    [
        (MNIST_IMAGES, idx.dumps(np.zeros((20, 32, 32), np.uint8)), "expected uint8 [N, 28, 28]"),
        (MNIST_LABELS, idx.dumps(np.full(20, 10, np.uint8)), "labels from 10 to 10"),
        (MNIST_LABELS, idx.dumps(np.zeros(7, np.uint8)), "7 labels for 20 images"),
        (MNIST_LABELS, gzip.compress(struct.pack(">BBBBI20b", 0, 0, 9, 1, 20, *[0] * 20), mtime=0), "0x00000901"),
        (MNIST_LABELS, gzip.compress(struct.pack(">BBBB", 0, 0, 8, 200), mtime=0), "promises"),
        (MNIST_LABELS, gzip.compress(struct.pack(">BBBBI19b", 0, 0, 8, 1, 20, *[0] * 19), mtime=0), "27 bytes"),
        (MNIST_LABELS, gzip.compress(struct.pack(">BBBBI21b", 0, 0, 8, 1, 20, *[0] * 21), mtime=0), "29 bytes"),
        (MNIST_LABELS, b"not compressed", "gzip"),
    ],
)
def test_idx_content_of_another_shape_type_or_range_is_refused(root, file, content, words):
    (root / file).write_bytes(content)
    message = refusal("mnist", root)
    assert str(root / file) in message
    assert words in message


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"X": np.zeros((28, 28, 3, 20), np.uint8)}, "expected uint8 [32, 32, 3, N]"),
        ({"X": np.zeros((32, 32, 3, 20))}, "float64"),
        ({"X": "text"}, "<U4"),
        ({"y": np.full((20, 1), 11, np.uint8)}, "labels from 11 to 11, expected 0 to 9"),
        ({"y": np.zeros((19, 1), np.uint8)}, "19 labels for 20 images"),
        ({"y": np.zeros((10, 2), np.uint8)}, "whole numbers"),
        ({"y": np.zeros((20, 1))}, "whole numbers"),
        ({"y": {"a": 1}}, "whole numbers"),
    ],
)
def test_svhn_content_of_another_shape_type_or_range_is_refused(root, change, words):
    content = {key: value for key, value in scipy.io.loadmat(root / SVHN_TRAIN).items() if key in "Xy"}
    scipy.io.savemat(root / SVHN_TRAIN, content | change)
    message = refusal("svhn", root)
    assert str(root / SVHN_TRAIN) in message
    assert words in message


def test_an_image_set_says_which_set_is_wrong():
    good = {
        "name": "cifar10", "images": torch.zeros(2, 3, 32, 32, dtype=torch.uint8), "labels": torch.tensor([0, 1]),
        "class_names": ("a", "b"), "mean": (0.5,) * 3, "std": (0.2,) * 3, "mirror": True,
    }  # fmt: skip
    assert len(ImageSet(**good)) == 2
    for change in (
        {"images": good["images"].float()},
        {"images": good["images"][:, :1]},
        {"images": good["images"].to(memory_format=torch.channels_last)},
        {"labels": good["labels"].int()},
        {"labels": torch.tensor([0])},
        {"labels": torch.tensor([0, 2])},
        {"labels": torch.tensor([-1, 0])},
        {"std": (0.2, 0.2, 0)},
    ):
        with pytest.raises(UserError, match="data set 'cifar10'"):
            ImageSet(**good | change)


# Missing files and checksums


@pytest.mark.parametrize(("name", "folder"), [("cifar100", "cifar-100-python/"), ("mnist", "MNIST/raw/"), ("svhn", "")])
def test_without_files_and_network_the_error_says_which_file_goes_where(tmp_path, name, folder):
    message = refusal(name, tmp_path / "data")
    assert f"{tmp_path / 'data'} lacks {folder}" in message
    assert "no network" in message
    assert "python -m datasets.synthetic FOLDER" in message
    assert all(file in message for file in catalog.CATALOG[name].archive.names)
    assert not (tmp_path / "data").exists(), "a misspelt path leaves no folder"
    (tmp_path / "data").mkdir()
    refusal(name, tmp_path / "data")
    assert list((tmp_path / "data").iterdir()) == []


def test_a_set_of_which_some_files_are_missing_is_not_downloaded(root, monkeypatch):
    monkeypatch.setattr(torchvision.datasets.CIFAR10, "download", lambda _: pytest.fail("downloaded"))
    (root / CIFAR10_BATCH).unlink()
    (root / "cifar-10-batches-py/batches.meta").unlink()
    message = refusal("cifar10", root)
    assert f"not {CIFAR10_BATCH}, cifar-10-batches-py/batches.meta:" in message
    assert "data_batch_2" not in message


def test_a_part_needs_only_its_own_files(root):
    (root / CIFAR100_TRAIN).unlink()
    assert len(catalog.load("cifar100", root, "test")) == 12


def test_what_is_downloaded_comes_to_its_place_whole(stand_ins, tmp_path, monkeypatch):
    def download(source):
        assert Path(source.root).parent == tmp_path / "data"  # a folder of its own
        shutil.copytree(stand_ins / "cifar-100-python", Path(source.root) / "cifar-100-python")

    monkeypatch.setattr(torchvision.datasets.CIFAR100, "download", download)
    monkeypatch.setattr(torchvision.datasets.cifar, "check_integrity", lambda path, md5=None: Path(path).is_file())
    loaded = catalog.load("cifar100", tmp_path / "data", "train")
    assert torch.equal(loaded.images, catalog.load("cifar100", stand_ins, "train").images)
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["cifar-100-python"]


def test_another_checksum_is_one_line_and_no_refusal(root, caplog):
    (root / files.MARKER).unlink()
    with caplog.at_level(logging.WARNING, logger="ede_net"):
        for _ in range(2):
            catalog.load("svhn", root, "train")
            catalog.load("mnist", root, "train")
    named = [record.args for record in caplog.records]
    assert named == [(root, SVHN_TRAIN), (root, f"{MNIST_IMAGES}, {MNIST_LABELS}")]
    assert all("\n" not in message for message in caplog.messages)


def test_nothing_is_said_about_stand_ins_but_about_other_files_beside_them(root, caplog):
    with caplog.at_level(logging.WARNING, logger="ede_net"):
        for name in catalog.CATALOG:
            catalog.load(name, root, "train")
    assert not caplog.records
    content = scipy.io.loadmat(root / SVHN_TRAIN)
    scipy.io.savemat(root / SVHN_TRAIN, {"X": content["X"], "y": content["y"]})
    catalog.load("svhn", root, "train")
    assert [record.args for record in caplog.records] == [(root, SVHN_TRAIN)]


# Names


@pytest.mark.parametrize(
    ("written", "name"),
    [("cifar100", "cifar100"), ("CIFAR-100", "cifar100"), ("Cifar10", "cifar10"), ("MNIST", "mnist"),
     ("Fashion-MNIST", "fashionmnist"), ("SVHN", "svhn"), ("SVNH", "svhn"), ("svnh", "svhn"), ("SvHn", "svhn")],
)  # fmt: skip
def test_names_in_any_case_and_the_authors_spelling(written, name):
    assert catalog.canonical_name(written) == name


@pytest.mark.parametrize("name", catalog.CATALOG)
def test_titles_are_names_too(name):
    assert catalog.canonical_name(catalog.title(name)) == name


@pytest.mark.parametrize(
    ("unknown", "nearest"), [("cifar1000", "cifar100"), ("mnits", "mnist"), ("zzz", None), (3, None)]
)
def test_an_unknown_name_lists_the_known_and_the_nearest(unknown, nearest):
    with pytest.raises(UserError) as caught:
        catalog.canonical_name(unknown)
    assert all(name in str(caught.value) for name in catalog.CATALOG)
    assert ("did you mean" in str(caught.value)) == (nearest is not None)
    assert nearest is None or f"did you mean {nearest!r}" in str(caught.value)
