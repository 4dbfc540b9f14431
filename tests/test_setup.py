"""What both stages need before they start."""

import pytest

from utils import recipes, setup
from utils.errors import UserError


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


@pytest.mark.parametrize(
    ("learned", "unlabelled"),
    [("cifar100", "cifar10"), ("folder:a", "cifar10"), ("cifar10", "folder:a"), ("folder:a/b", "folder:a/bc")],
)
def test_any_other_set_is_one(learned, unlabelled, monkeypatch):
    asked = []
    monkeypatch.setattr(setup.catalog, "load", lambda *arguments: asked.append(arguments))
    setup.unlabelled_images(recipes.settings(dataset=learned, unlabeled=unlabelled, data_root="root", image_size=16))
    assert asked == [(unlabelled, "root", "unlabeled", 16)]
