"""The stand-in files: deterministic, whole, never in the place of real data, and worth learning from."""

from itertools import pairwise
from pathlib import Path

import torch
from torch import nn

from datasets import catalog, files, stand_ins
from utils.running import storage
from utils.running.errors import UserError

TINY = {"train_per_class": 2, "test_per_class": 1, "classes": 3}


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_same_seed_gives_the_same_files_and_another_seed_others(tmp_path):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        stand_ins.write(tmp_path / name, **TINY, seed=seed)
    a, b, c = (contents(tmp_path / name) for name in "abc")
    assert a == b
    assert all(a[name] != c[name] for name in a if "images" in name or "32x32" in name or "data_batch" in name)


def test_a_class_looks_the_same_however_many_classes_are_written(tmp_path):
    for classes in (2, 4):
        stand_ins.write(tmp_path / str(classes), **TINY | {"classes": classes}, sets=["cifar100"])
    few, many = (catalog.load("cifar100", tmp_path / name, "train") for name in ("2", "4"))
    for k in range(2):
        ours, theirs = ({image.numpy().tobytes() for image in s.images[s.labels == k]} for s in (few, many))
        assert ours == theirs


def test_the_sets_asked_for_are_written_over_older_stand_ins_and_nothing_else(tmp_path, refusal):
    stand_ins.write(tmp_path, **TINY, sets=["SVNH", "mnist"])
    stand_ins.write(tmp_path, **TINY, sets=["svhn"], seed=1)
    before = contents(tmp_path)
    assert {name.split("/")[0] for name in before} == {"train_32x32.mat", "test_32x32.mat", "MNIST", files.MARKER}
    assert catalog.load("mnist", tmp_path, "train").stand_in
    (tmp_path / files.MARKER).unlink()
    assert "no stand-ins" in refusal(stand_ins.write, tmp_path, **TINY)
    assert not catalog.load("mnist", tmp_path, "train").stand_in
    assert {**contents(tmp_path), files.MARKER: before[files.MARKER]} == before


def test_one_that_ends_half_way_is_a_folder_of_stand_ins_from_the_beginning(tmp_path, monkeypatch, refusal):
    write_bytes = storage.write_bytes

    def full_disk(path, content):
        if "data_batch" in path.name:
            raise UserError("no room")
        write_bytes(path, content)

    with monkeypatch.context() as patch:
        patch.setattr(storage, "write_bytes", full_disk)
        refusal(stand_ins.write, tmp_path, **TINY)
    assert catalog.load("cifar100", tmp_path, "train").stand_in
    stand_ins.write(tmp_path, **TINY)


def test_the_command_line_writes_and_refuses(tmp_path, capsys):
    command = [str(tmp_path), "--train-per-class", "1", "--test-per-class", "1"]
    assert stand_ins.main(command) == 0
    assert str(tmp_path) in capsys.readouterr().out
    assert len(set(catalog.load("cifar100", tmp_path, "train").class_names)) == 100
    (tmp_path / files.MARKER).unlink()
    for wrong in (command, [*command, "--seed", "-1"]):
        assert stand_ins.main(wrong) == 2
        assert capsys.readouterr().err.count("\n") == 1


def test_a_small_network_learns_five_classes_that_are_not_trivial(tmp_path):
    """A short training gets far above chance (20 %); comparing with each class's mean picture does not."""
    stand_ins.write(tmp_path, train_per_class=20, test_per_class=20, classes=5, sets=["cifar100"])
    train, test = (catalog.load("cifar100", tmp_path, part) for part in ("train", "test"))
    assert len(torch.cat([train.images, test.images]).unique(dim=0)) == 200
    x, x_test = (part.images.float() / 255 - 0.45 for part in (train, test))
    means = torch.stack([x[train.labels == k].mean(0).flatten() for k in range(5)])
    assert (torch.cdist(x_test.flatten(1), means).argmin(1) == test.labels).float().mean() < 0.5

    torch.manual_seed(0)
    layers = [
        layer
        for before, after in pairwise((3, 16, 32))
        for layer in (nn.Conv2d(before, after, 3, stride=2, padding=1), nn.BatchNorm2d(after), nn.ReLU())
    ]
    net = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 5))
    optimiser = torch.optim.Adam(net.parameters(), lr=0.01)
    for rows in (rows for _ in range(12) for rows in torch.randperm(len(train)).split(25)):
        loss = nn.functional.cross_entropy(net(x[rows]), train.labels[rows])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert (net.eval()(x_test).argmax(1) == test.labels).float().mean() > 0.6
