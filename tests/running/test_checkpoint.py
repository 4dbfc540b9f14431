"""Files are whole or absent, are read without running code, and hold what was written or are refused."""

import os
import zipfile
from unittest.mock import Mock

import numpy as np
import pytest
import torch

from utils.running import checkpoint, storage
from utils.running.errors import UserError

CONTENT = {"made_from": {"lr": 0.1}, "model": {"a": torch.arange(6.0).view(2, 3), "b": torch.ones(3).double()}}


@pytest.fixture
def path(tmp_path):
    """A checkpoint's."""
    storage.write_bytes(tmp_path / "a.pt", checkpoint.packed("training", CONTENT))
    return tmp_path / "a.pt"


def read(path):
    return checkpoint.read(path, "training")


def test_fault_5_tensors_are_saved_on_the_cpu(path, monkeypatch):
    monkeypatch.setattr(torch.Tensor, "cpu", lambda tensor: torch.ones(2))  # stands for the copy of one on a GPU
    path.write_bytes(checkpoint.packed("training", {"a": [{"b": (torch.zeros(2),)}]}))
    assert torch.equal(torch.load(path, weights_only=True)["a"][0]["b"][0], torch.ones(2))


@pytest.mark.parametrize("error", [OSError(28, "No space left"), KeyboardInterrupt()])
@pytest.mark.parametrize("failing", ["replace", "fsync"])
def test_a_write_that_fails_leaves_what_was_there(tmp_path, monkeypatch, failing, error):
    (tmp_path / "file").write_bytes(b"old")
    monkeypatch.setattr(os, failing, Mock(side_effect=error))
    with pytest.raises(type(error), match=r"file'$|^$"):
        storage.write_bytes(tmp_path / "file", b"new")
    assert {each.name: each.read_bytes() for each in tmp_path.iterdir()} == {"file": b"old"}


def test_the_new_file_is_whole_before_it_takes_the_old_ones_place(tmp_path, monkeypatch):
    path, other, seen, replace = tmp_path / "file", tmp_path / "other", [], os.replace
    path.write_bytes(b"old")
    other.write_bytes(b"old, too")

    def watched(source, target):
        seen.append((path.read_bytes(), other.exists(), open(source, "rb").read()))  # noqa: SIM115
        replace(source, target)

    monkeypatch.setattr(os, "replace", watched)
    storage.write_bytes(path, b"new", [other])
    assert seen == [(b"old", False, b"new")]


@pytest.mark.parametrize("content", [None, b"", b"no checkpoint", b"PK\x03\x04", b"\x80\x02}q\x00.", b"(" * 50])
def test_what_is_no_checkpoint_is_named(path, refusal, content):
    path.unlink() if content is None else path.write_bytes(content)
    assert str(path) in refusal(read, path)
    assert str(path.parent) in refusal(read, path.parent)


def test_2_a_flipped_or_missing_byte_never_gives_other_weights(path, refusal):
    """Issue 13.2: also where `torch.load` gives memory that was never written."""
    expected, content, random = checkpoint.fingerprint(read(path)), path.read_bytes(), np.random.default_rng(0)
    directory, refused = content.rindex(b"PK\x01\x02"), 0
    for place in [*random.integers(0, len(content), 50).tolist(), *range(directory, len(content), 11)]:
        path.write_bytes(content[:place] + bytes([content[place] ^ 1 << random.integers(8)]) + content[place + 1 :])
        try:
            assert checkpoint.fingerprint(read(path)) == expected, place
        except UserError as error:
            assert str(path) in str(error)  # noqa: PT017
            refused += 1
    assert refused > 10
    for share in (0.001, 0.5, 0.999):
        path.write_bytes(content[: int(share * len(content))])
        assert str(path) in refusal(read, path)


@pytest.mark.parametrize("change", [{"made_from": {"lr": 0.2}}, {"model": {}}, {"checksum": None}, {"checksum": ...}])
def test_2_other_content_than_was_written_is_refused_whatever_it_is(path, refusal, change):
    changed = {**torch.load(path, weights_only=True), **change}
    torch.save({name: value for name, value in changed.items() if value is not ...}, path)
    assert str(path) in refusal(read, path)


def test_a_file_that_would_run_code_is_refused(path, refusal):
    class Evil:
        def __reduce__(self):
            return os.system, (f"touch {path.parent}/ran",)

    torch.save({"format": checkpoint.FORMAT, "kind": "training", "model": Evil()}, path)
    assert str(path) in refusal(read, path)
    assert not (path.parent / "ran").exists()


def test_9_a_file_that_says_it_is_large_costs_nothing(path, refusal):
    """Issue 13.9: a tensor of which one value is there, zeros that were compressed."""
    torch.save({**torch.load(path, weights_only=True), "model": torch.zeros(1).expand(10**11)}, path)
    assert "more values than it holds" in refusal(read, path)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", bytes(10**7))
    assert "compressed" in refusal(read, path)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"3", b"\xff", b"[" * 100_000, b"9" * 5000])
def test_14_what_is_no_json_object_is_named(tmp_path, refusal, content):
    path = tmp_path / "a.json"
    path.write_bytes(storage.as_json({"name": "Größe", "b": [1, 2.5]}))
    assert storage.read_json(path) == {"name": "Größe", "b": [1, 2.5]}
    path.write_bytes(content)
    assert str(path) in refusal(storage.read_json, path)


def test_fingerprints_tell_names_values_and_places_apart_and_nothing_else():
    one, other = {"a": torch.zeros(2, 3)}, {"a": torch.zeros(3, 2)}
    assert len({checkpoint.fingerprint(each) for each in (one, other, {"b": torch.zeros(2, 3)}, [], 1, 1.0)}) == 6
    turned = torch.arange(24.0).view(1, 2, 3, 4).to(memory_format=torch.channels_last)
    assert checkpoint.fingerprint(turned) == checkpoint.fingerprint(turned.contiguous())
