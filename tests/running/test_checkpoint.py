"""Files are whole or absent, are read without running code, and hold what was written or are refused."""

import errno
import os
import zipfile

import numpy as np
import pytest
import torch
from untrained import network

from models import EDENet
from utils.running import checkpoint


def stage(path, **more):
    net = EDENet([network(0), network(1)])
    content = {"class_names": ["a"], "tasks": [["0to3", 0, 3]], "image_size": 32, "exemplars": {}, "configuration": {}}
    content |= {"fingerprint": checkpoint.fingerprint(net.state_dict()), "model": net.state_dict(), **net.described}
    checkpoint.write(path, "ede_net", {**content, **more})
    return net.eval()


def test_a_network_comes_back_with_the_same_bits_and_layout(tmp_path):
    net, images = stage(tmp_path / "stage_2.pt"), torch.rand(4, 3, 32, 32)
    again = EDENet.load(str(tmp_path / "stage_2.pt"))
    assert torch.equal(again(images), net(images))
    assert (again.widths, again.classes_per_task, again.training) == (net.widths, [3, 3], False)
    assert all(p.is_contiguous(memory_format=torch.channels_last) for p in again.parameters() if p.ndim == 4)
    assert again.meta["class_names"] == ["a"]


class Elsewhere(torch.Tensor):
    """Stands for a tensor on a GPU: it says so when it is saved."""

    @classmethod
    def __torch_function__(cls, function, types, arguments=(), options=None):
        if function is torch.Tensor.cpu:
            return torch.ones(2)
        return super().__torch_function__(function, types, arguments, options or {})


def test_fault_5_tensors_are_saved_on_the_cpu(tmp_path):
    checkpoint.write(tmp_path / "a.pt", "training", {"a": [{"b": (torch.zeros(2).as_subclass(Elsewhere),)}]})
    assert torch.equal(torch.load(tmp_path / "a.pt", weights_only=True)["a"][0]["b"][0], torch.ones(2))


@pytest.mark.parametrize("before", [None, b"old"])
@pytest.mark.parametrize("failing", ["replace", "fsync"])
@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, "No space left"), KeyboardInterrupt()], ids=["full", "stopped"]
)
def test_a_write_that_fails_leaves_what_was_there(tmp_path, monkeypatch, failing, before, error):
    path = tmp_path / "file"
    if before is not None:
        path.write_bytes(before)

    def fail(*arguments):
        raise error

    monkeypatch.setattr(checkpoint.os, failing, fail)
    with pytest.raises(BaseException, match=r"file could not be written \(No space left\)|^$"):
        checkpoint.write_bytes(path, b"new")
    assert (path.read_bytes() if path.exists() else None) == before
    assert [each.name for each in tmp_path.iterdir() if each != path] == []


def test_the_new_file_is_whole_before_it_takes_the_old_ones_place(tmp_path, monkeypatch):
    path, seen, replace = tmp_path / "file", [], os.replace
    path.write_bytes(b"old")

    def watched(source, target):
        seen.append((path.read_bytes(), open(source, "rb").read()))  # noqa: SIM115
        replace(source, target)

    monkeypatch.setattr(checkpoint.os, "replace", watched)
    checkpoint.write_bytes(path, b"new")
    assert seen == [(b"old", b"new")]


# --- what cannot be read


@pytest.mark.parametrize("content", [None, b"", b"no checkpoint", b"PK\x03\x04", b"\x80\x02}q\x00.", b"(" * 50])
def test_what_is_no_checkpoint_is_named(tmp_path, refusal, content):
    path = tmp_path / "stage_1.pt"
    if content is not None:
        path.write_bytes(content)
    assert str(path) in refusal(EDENet.load, path)
    assert str(tmp_path) in refusal(EDENet.load, tmp_path)


def test_2_a_flipped_or_missing_byte_never_gives_other_weights(tmp_path, refusal):
    """Issue 13.2: also where `torch.load` gives memory that was never written."""
    path = tmp_path / "stage_2.pt"
    expected, content, random = stage(path).state_dict(), path.read_bytes(), np.random.default_rng(0)
    directory = content.rindex(b"PK\x01\x02")
    places = [*random.integers(0, len(content), 25).tolist(), *range(directory, len(content), 211)]
    refused = 0
    for place in places:
        path.write_bytes(content[:place] + bytes([content[place] ^ 1 << random.integers(8)]) + content[place + 1 :])
        try:
            found = EDENet.load(path).state_dict()
        except checkpoint.UserError as error:
            assert str(path) in str(error)  # noqa: PT017
            refused += 1
            continue
        assert checkpoint.fingerprint(found) == checkpoint.fingerprint(expected), place
    assert refused
    for share in (0.001, 0.5, 0.999):
        path.write_bytes(content[: int(share * len(content))])
        assert str(path) in refusal(EDENet.load, path)


@pytest.mark.parametrize("name", ["model", "exemplars", "progress"])
def test_2_other_tensors_than_were_written_are_refused_whatever_they_are(tmp_path, refusal, name):
    path = tmp_path / "a.pt"
    checkpoint.write(path, "training", {name: {"a": torch.zeros(3)}, "number": 3})
    content = checkpoint.read(path, "training")
    assert content["number"] == 3
    saved = torch.load(path, weights_only=True)
    saved[name]["a"][1] = 1e-9
    torch.save(saved, path)
    assert "not what was written" in refusal(checkpoint.read, path, "training")


def test_a_file_that_would_run_code_is_refused(tmp_path, refusal):
    class Evil:
        def __reduce__(self):
            return os.system, (f"touch {tmp_path}/ran",)

    path = tmp_path / "model.pt"
    torch.save({"format": checkpoint.FORMAT, "kind": "ede_net", "model": Evil()}, path)
    assert str(path) in refusal(EDENet.load, path)
    assert not (tmp_path / "ran").exists()


def test_9_a_file_that_says_it_is_large_costs_nothing(tmp_path, refusal):
    """Issue 13.9: 10⁹ classes, a tensor of which one value is there, zeros that were compressed."""
    path = tmp_path / "stage_2.pt"
    stage(path, classes_per_task=[10**9, 10**9])
    assert str(path) in refusal(EDENet.load, path)
    stage(path, widths=[[2**40] * 4] * 2)
    assert str(path) in refusal(EDENet.load, path)
    torch.save({"format": checkpoint.FORMAT, "kind": "ede_net", "model": {"a": torch.zeros(1).expand(10**11)}}, path)
    assert "more values than it holds" in refusal(EDENet.load, path)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", bytes(10**7))
    assert "compressed" in refusal(EDENet.load, path)


@pytest.mark.parametrize(
    "changes",
    [{"kind": "classifier"}, {"format": "ede-net-1"}, {"widths": [[2, 3, 4, 5]]}, {"widths": None}, {"model": {}},
     {"model": {"weight": torch.zeros(1)}}, {"classes_per_task": [3, 2]}, {"classes_per_task": "3"}, {"tasks": 3},
     {"class_names": None}, {"exemplars": None}, {"configuration": None}],
    ids=str,
)  # fmt: skip
def test_14_a_checkpoint_of_something_else_or_of_another_form_is_named(tmp_path, refusal, changes):
    path = tmp_path / "stage_2.pt"
    stage(path, **changes)
    assert str(path) in refusal(EDENet.load, path)


# --- JSON

FORM = {"a": int, "b": [float], "c": {"d": str}, "e": (str, type(None))}
GOOD = {"a": 1, "b": [1, 2.5], "c": {"d": "x"}, "e": None, "more": []}


def test_json_of_the_form_asked_for_comes_back(tmp_path):
    checkpoint.write_json(tmp_path / "a.json", {**GOOD, "name": "Größe"})
    assert checkpoint.read_json(tmp_path / "a.json", FORM) == {**GOOD, "name": "Größe"}


@pytest.mark.parametrize(
    "wrong",
    [{"a": True}, {"a": 1.0}, {"b": 3}, {"b": ["x"]}, {"c": {}}, {"c": []}, {"e": 3}, *[{name: ...} for name in FORM]],
    ids=str,
)
def test_14_json_of_another_form_is_one_line_that_names_the_place(tmp_path, refusal, wrong):
    path = tmp_path / "a.json"
    checkpoint.write_json(path, {name: value for name, value in {**GOOD, **wrong}.items() if value is not ...})
    message = refusal(checkpoint.read_json, path, FORM)
    assert str(path) in message
    assert f"{next(iter(wrong))!r}" in message


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"3", b"\xff", b"[" * 100_000, b"9" * 5000])
def test_14_what_is_no_json_object_is_named(tmp_path, refusal, content):
    (tmp_path / "a.json").write_bytes(content)
    assert str(tmp_path / "a.json") in refusal(checkpoint.read_json, tmp_path / "a.json")


def test_fingerprints_tell_names_values_and_places_apart_and_nothing_else():
    one, other = {"a": torch.zeros(2, 3)}, {"a": torch.zeros(3, 2)}
    assert len({checkpoint.fingerprint(each) for each in (one, other, {"b": torch.zeros(2, 3)}, [], 1, 1.0)}) == 6
    turned = torch.arange(24.0).view(1, 2, 3, 4).to(memory_format=torch.channels_last)
    assert checkpoint.fingerprint(turned) == checkpoint.fingerprint(turned.contiguous())
