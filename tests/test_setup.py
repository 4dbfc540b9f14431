"""What both stages need before they start."""

import shutil

import pytest
import torchvision

from datasets import files
from utils import checkpoint, recipes, report, setup
from utils.errors import UserError
from utils.run import configuration_file


@pytest.mark.parametrize(
    ("learned", "unlabelled"),
    [
        ("cifar100", "cifar100"),
        ("cifar100", "CIFAR-100"),
        ("CIFAR10", "cifar10"),
        ("svhn", "SVNH"),
        ("folder:{}/flowers", "folder:{}/flowers"),
        ("folder:{}/flowers", "folder:{}/flowers/"),
        ("folder:{}/flowers", "folder:{}/birds/../flowers"),
        ("folder:{}/flowers", "folder:{}/flowers/train"),
        ("folder:{}/flowers", "folder:{}/flowers/test/rose"),
        ("folder:{}/flowers", "folder:{}"),
        ("folder:{}/flowers", "folder:{}/link"),
    ],
)
def test_the_data_set_that_is_learned_is_no_unlabelled_set(learned, unlabelled, tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "flowers")
    names = {"dataset": learned.format(tmp_path), "unlabeled": unlabelled.format(tmp_path)}
    settings = recipes.settings(**names, data_root=str(tmp_path))
    with pytest.raises(UserError, match="is the data set that is learned") as caught:
        setup.unlabelled_images(settings)
    assert names["unlabeled"] in str(caught.value)


def test_missing_unlabelled_images_are_called_so(tmp_path, monkeypatch):
    def download(_):
        raise OSError("no network")

    monkeypatch.setattr(torchvision.datasets.CIFAR10, "download", download)
    settings = recipes.settings(dataset="folder:flowers", data_root=str(tmp_path))
    with pytest.raises(UserError, match="MixMatch's unlabelled images") as caught:
        setup.unlabelled_images(settings)
    for words in ('unlabeled="cifar10"', "cifar-10-batches-py", "mixmatch=False"):
        assert words in str(caught.value)


@pytest.mark.parametrize("drawn", [True, False])
def test_stand_ins_are_called_so_in_every_heading_and_joined_with_nothing_else(stand_in, tmp_path, drawn):
    root = tmp_path / "data"
    shutil.copytree(stand_in, root)
    if not drawn:
        (root / files.MARKER).unlink()
    settings = recipes.settings(data_root=str(root), checkpoint_root=str(tmp_path))
    train, _ = setup.read(settings)
    split = setup.split([0, 3, 6], None, 9, settings)
    arguments = setup.arguments(settings, split, train, prune=True, mixmatch=True)
    configuration = {**arguments, **settings.configuration(1)}
    heading = report.heading("Stage one", configuration)
    assert ("drawn stand-ins for cifar100, s0-t2" in heading) == drawn
    assert "cifar100, s0-t2" in heading
    folder = setup.classifier_folder(settings, split, mixmatch=True)
    folder.mkdir()
    other = {**configuration, "unlabeled": "cifar10", "dataset_stand_in": True}
    if drawn:
        del other["dataset_stand_in"]
    checkpoint.write_json(configuration_file(folder), other)
    with pytest.raises(UserError, match="dataset_stand_in"):
        setup.stage_one(settings, split, arguments)


@pytest.mark.parametrize(
    ("learned", "unlabelled"),
    [("cifar100", "cifar10"), ("folder:a", "cifar10"), ("cifar10", "folder:a"), ("folder:a/b", "folder:a/bc")],
)
def test_any_other_set_is_one(learned, unlabelled, monkeypatch):
    asked = []
    monkeypatch.setattr(setup.catalog, "load", lambda *arguments: asked.append(arguments))
    setup.unlabelled_images(recipes.settings(dataset=learned, unlabeled=unlabelled, data_root="root", image_size=16))
    assert asked == [(unlabelled, "root", "unlabeled", 16)]
