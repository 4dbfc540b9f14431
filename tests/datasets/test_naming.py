"""The names of data sets: what is the same, what is refused, and what files are called after it."""

from datasets import catalog, naming

SHORT = {
    "folder:/data/v1.0-花 (2)/": "folder-v1.0-花__2_",
    "folder:/data/a/..": "folder-data",
    f"folder:/data/{'x' * 250}": f"folder-{'x' * 60}",
    "CIFAR-100": "cifar100",
    "Fashion MNIST": "fashionmnist",
    "SVNH": "svhn",
}


def test_short_names_are_safe_in_file_names():
    assert {name: naming.short_name(name) for name in SHORT} == SHORT


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


def test_an_unknown_name_lists_the_known_and_the_nearest(refusal):
    assert "did you mean 'cifar100'" in refusal(naming.canonical_name, "cifar1000")
    for unknown in ("zzz", 3, "a" * 10**6):
        message = refusal(naming.canonical_name, unknown)
        assert "did you mean" not in message
        assert all(name in message for name in naming.KNOWN)
    assert tuple(catalog.CATALOG) == naming.KNOWN
    assert "names no folder" in refusal(naming.short_name, "folder: ")
