"""The stand-in files: deterministic, whole, never in the place of real data, and worth learning from."""

from pathlib import Path

import torch

from datasets import catalog, files, stand_ins
from utils.running import storage
from utils.running.errors import UserError

TINY = {"train_per_class": 2, "test_per_class": 1, "classes": 3}


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_same_arguments_give_the_same_files_and_a_class_depends_on_seed_and_number_alone(tmp_path):
    for name, more in {"one": {}, "same": {}, "other": {"seed": 1}, "more": {"classes": 4}}.items():
        stand_ins.write(tmp_path / name, **TINY | more)
    one, same, other = (contents(tmp_path / name) for name in ("one", "same", "other"))
    assert one == same
    assert all(one[name] != other[name] for name in one if "images" in name or "32x32" in name or "batch_" in name)
    few, many = (catalog.load("cifar100", tmp_path / name, "train") for name in ("one", "more"))
    for k in range(3):
        ours, theirs = ({image.numpy().tobytes() for image in s.images[s.labels == k]} for s in (few, many))
        assert ours == theirs


def test_the_sets_asked_for_are_written_over_older_stand_ins_and_nothing_else(tmp_path, refusal):
    stand_ins.write(tmp_path, **TINY, sets=["SVNH", "mnist"])
    stand_ins.write(tmp_path, **TINY, sets=["svhn"], seed=1)
    before = contents(tmp_path)
    assert {name.split("/")[0] for name in before} == {"train_32x32.mat", "test_32x32.mat", "MNIST", files.MARKER}
    (tmp_path / files.MARKER).unlink()
    assert "no stand-ins" in refusal(stand_ins.write, tmp_path, **TINY)
    assert {**contents(tmp_path), files.MARKER: before[files.MARKER]} == before


def test_a_folder_that_was_written_half_way_can_be_written_again(tmp_path, monkeypatch, refusal):
    def full_disk(path, content):
        if "data_batch" in path.name:
            raise UserError("no room")
        path.write_bytes(content)

    with monkeypatch.context() as patch:
        patch.setattr(storage, "write_bytes", full_disk)
        refusal(stand_ins.write, tmp_path, **TINY)
    stand_ins.write(tmp_path, **TINY)


def test_the_command_line_refuses_in_one_line(tmp_path, capsys):
    (tmp_path / "photographs").touch()
    for wrong in ([str(tmp_path)], [str(tmp_path / "new"), "--seed", "-1"]):
        assert stand_ins.main(wrong) == 2
        assert capsys.readouterr().err.count("\n") == 1


def test_classes_can_be_told_apart_but_not_trivially(tmp_path):
    """Not by a class's mean picture, as a wave lies anywhere, but by which waves there are. Chance gives 20 %."""
    stand_ins.write(tmp_path, train_per_class=20, test_per_class=20, classes=5, sets=["cifar100"])
    train, test = (catalog.load("cifar100", tmp_path, part) for part in ("train", "test"))
    assert len(torch.cat([train.images, test.images]).unique(dim=0)) == 200

    def accuracy_by_the_nearest_mean(view):
        x, x_test = (view(part.images / 255 - 0.45).flatten(1) for part in (train, test))
        means = torch.stack([x[train.labels == k].mean(0) for k in range(5)])
        return (torch.cdist(x_test, means).argmin(1) == test.labels).float().mean()

    assert accuracy_by_the_nearest_mean(lambda x: x) < 0.5
    assert accuracy_by_the_nearest_mean(lambda x: torch.fft.rfft2(x).abs()) > 0.9
