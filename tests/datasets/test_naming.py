"""The names of data sets: what is the same, what is refused, and what files are called after it."""

import pytest

from datasets import catalog, naming


@pytest.mark.parametrize(
    ("name", "short"),
    [
        ("folder:/data/flowers/", "folder-flowers"),
        ("folder:/data/my flowers (2)", "folder-my_flowers__2_"),
        ("folder:/data/v1.0-a_b", "folder-v1.0-a_b"),
        ("folder:/data/花", "folder-花"),
        ("folder:/data/a/..", "folder-data"),
        (f"folder:/data/{'x' * 250}", f"folder-{'x' * 60}"),
        ("CIFAR-100", "cifar100"),
        ("Fashion MNIST", "fashionmnist"),
        ("SVNH", "svhn"),
        ("SvHn", "svhn"),
    ],
)
def test_short_names_are_safe_in_file_names(name, short):
    assert naming.short_name(name) == short
    assert naming.same(name, name)
    assert naming.is_folder(name) or naming.canonical_name(naming.title(name)) == short


def test_every_set_of_the_table_has_a_name():
    assert catalog.CATALOG.keys() == naming.TITLES.keys()


def test_a_folder_is_known_under_other_names(tmp_path, monkeypatch):
    tree, link = tmp_path / "pets", tmp_path / "link"
    tree.mkdir()
    link.symlink_to(tree)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tree)
    for other in (link, tree / "train", tmp_path, "~/pets", "."):
        assert naming.same(f"folder:{tree}", f"folder:{other}")
    assert naming.short_name("folder:.") == naming.short_name("folder:~/pets") == "folder-pets"
    assert not naming.same(f"folder:{tree}", f"folder:{tree}s")
    assert not naming.same(f"folder:{tree}", "cifar10")


@pytest.mark.parametrize(
    ("unknown", "nearest"),
    [("cifar1000", "cifar100"), ("mnits", "mnist"), ("zzz", None), (3, None), ("a" * 10**6, None)],
)
def test_an_unknown_name_lists_the_known_and_the_nearest(refusal, unknown, nearest):
    message = refusal(naming.canonical_name, unknown)
    assert all(name in message for name in catalog.CATALOG)
    assert ("did you mean" in message) == (nearest is not None)
    assert nearest is None or f"did you mean {nearest!r}" in message
    assert "names no folder" in refusal(naming.short_name, "folder: ")
