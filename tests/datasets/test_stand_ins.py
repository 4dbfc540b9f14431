"""The stand-in files: deterministic, whole, never in the place of real data, and worth learning from."""

import shutil
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from torch import nn

from datasets import catalog, files, stand_ins
from utils.running import checkpoint
from utils.running.errors import UserError

TINY = {"train_per_class": 2, "test_per_class": 1, "classes": 3}


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def folder(tmp_path) -> Path:
    return tmp_path / "stand-ins"


@pytest.fixture(scope="session")
def small(tmp_path_factory) -> Path:
    """Enough pictures to compare classes, only to be read."""
    folder = tmp_path_factory.mktemp("small")
    stand_ins.write(folder, train_per_class=20, test_per_class=10, classes=5)
    return folder


def test_the_same_seed_gives_the_same_files_and_another_seed_others(tmp_path):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        stand_ins.write(tmp_path / name, **TINY, seed=seed)
    a, b, c = (contents(tmp_path / name) for name in "abc")
    assert a == b
    assert set(a) == set(c)
    assert all(a[name] != c[name] for name in a if "images" in name or "32x32" in name or "data_batch" in name)


def test_a_class_looks_the_same_however_many_classes_are_written(tmp_path):
    for classes in (2, 4):
        stand_ins.write(tmp_path / str(classes), **TINY | {"classes": classes}, sets=["cifar100"])
    few, many = (catalog.load("cifar100", tmp_path / name, "train") for name in ("2", "4"))
    for k in range(2):
        ours, theirs = ({image.numpy().tobytes() for image in s.images[s.labels == k]} for s in (few, many))
        assert ours == theirs


def test_training_and_test_pictures_differ(small):
    for name in catalog.CATALOG:
        train, test = (catalog.load(name, small, part).images.flatten(1) for part in ("train", "test"))
        assert len(torch.cat([train, test]).unique(dim=0)) == len(train) + len(test)


def test_only_the_sets_asked_for_are_written_and_listed(folder):
    stand_ins.write(folder, **TINY, sets=["SVNH", "mnist"])
    stand_ins.write(folder, **TINY, sets=["cifar10"])
    listed = {name for _, name in files.stand_ins(folder)}
    assert set(contents(folder)) == {*listed, files.MARKER}
    places = {name.split("/")[0] for name in listed}
    assert places == {"train_32x32.mat", "test_32x32.mat", "MNIST", "cifar-10-batches-py"}


def test_stand_ins_are_written_over_and_the_list_follows(folder):
    stand_ins.write(folder, **TINY)
    stand_ins.write(folder, **TINY, seed=1)
    after = contents(folder)
    listed = files.stand_ins(folder)
    assert listed == {(files.md5(data), name) for name, data in after.items() if name != files.MARKER}


def test_any_other_data_file_is_not_written_over(folder):
    stand_ins.write(folder, **TINY)
    real = folder / "cifar-10-batches-py/data_batch_2"
    real.write_bytes(b"real data")
    before = contents(folder)
    for sets in (["cifar10"], ["svhn"]):
        with pytest.raises(UserError, match=f"{real} is no stand-in"):
            stand_ins.write(folder, **TINY, seed=1, sets=sets)
        assert contents(folder) == before


@pytest.mark.parametrize("name", ["MNIST/raw/train-images-idx3-ubyte", "train_32x32.mat"])
def test_a_folder_with_real_data_and_no_marker_is_refused(folder, name):
    (folder / name).parent.mkdir(parents=True)
    (folder / name).write_bytes(b"real data")
    with pytest.raises(UserError, match="real data is not overwritten"):
        stand_ins.write(folder, **TINY)
    assert contents(folder) == {name: b"real data"}


def test_one_that_ends_half_way_leaves_whole_files_and_can_be_repeated(folder, monkeypatch):
    stand_ins.write(folder, **TINY)
    before, written = contents(folder), []
    write_bytes = checkpoint.write_bytes

    def full_disk(path, content):
        if len(written) == 4:
            raise UserError("no room")
        written.append(path)
        write_bytes(path, content)

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "write_bytes", full_disk)
        with pytest.raises(UserError, match="no room"):
            stand_ins.write(folder, **TINY, seed=1)
    halfway = contents(folder)
    assert set(halfway) == set(before)
    assert sum(halfway[name] != before[name] for name in before) in (3, 4)  # the marker and the pictures; not the names
    stand_ins.write(folder, **TINY, seed=1)
    assert len(files.stand_ins(folder)) == len(before) - 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"train_per_class": 0},
        {"test_per_class": "3"},
        {"classes": 101},
        {"classes": True},
        {"seed": -1},
        {"sets": ["x"]},
    ],
)
def test_arguments_out_of_range_are_refused_before_anything_is_written(folder, wrong):
    with pytest.raises(UserError, match="expected"):
        stand_ins.write(folder, **TINY | wrong)
    assert not folder.exists()


def test_the_command_line_writes_and_refuses(folder, capsys):
    command = [str(folder), "--train-per-class", "1", "--test-per-class", "1"]
    assert stand_ins.main(command) == 0
    assert str(folder) in capsys.readouterr().out
    assert len(set(catalog.load("cifar100", folder, "train").class_names)) == 100
    (folder / files.MARKER).unlink()
    assert stand_ins.main(command) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_only_the_files_that_it_wrote_are_stand_ins(small, tmp_path):
    root = tmp_path / "data"
    shutil.copytree(small, root)
    assert catalog.load("cifar100", root, "train").stand_in
    assert catalog.load("mnist", root, "test").stand_in
    lines = (root / files.MARKER).read_text().splitlines(keepends=True)
    left = [line for line in lines if "cifar-100-python/train" not in line and "cifar-100-python/meta" not in line]
    (root / files.MARKER).write_text("".join(left))
    assert not catalog.load("cifar100", root, "train").stand_in
    assert catalog.load("mnist", root, "test").stand_in


def test_a_small_network_learns_five_classes_that_are_not_trivial(tmp_path):
    """A short training gets far above chance (20 %); comparing with each class's mean picture does not."""
    stand_ins.write(tmp_path, train_per_class=40, test_per_class=20, classes=5, sets=["cifar100"])
    train, test = (catalog.load("cifar100", tmp_path, part) for part in ("train", "test"))
    x, x_test = (part.images.float() / 255 - 0.45 for part in (train, test))

    means = torch.stack([x[train.labels == k].mean(0).flatten() for k in range(5)])
    assert (torch.cdist(x_test.flatten(1), means).argmin(1) == test.labels).float().mean() < 0.5

    torch.manual_seed(0)
    widths = (3, 16, 32, 64)
    layers = [
        layer
        for before, after in pairwise(widths)
        for layer in (nn.Conv2d(before, after, 3, stride=2, padding=1), nn.BatchNorm2d(after), nn.ReLU())
    ]
    net = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(widths[-1], 5))
    optimiser = torch.optim.Adam(net.parameters(), lr=0.01)
    for rows in (rows for _ in range(12) for rows in torch.randperm(len(train)).split(50)):
        loss = nn.functional.cross_entropy(net(x[rows]), train.labels[rows])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert (net.eval()(x_test).argmax(1) == test.labels).float().mean() > 0.6
