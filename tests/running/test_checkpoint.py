"""Files are whole or absent, are read without running code, and give back the same network."""

import errno
import os

import numpy as np
import pytest
import torch

from models import EDENet, ResNet18, resnet18
from utils import checkpoint
from utils.errors import UserError

MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.3, 0.4)


def network(widths=(2, 3, 4, 5), classes=3, seed=0):
    """A network with batch-norm statistics that differ from fresh ones."""
    model = resnet18(classes, widths, MEAN, STD, seed).train()
    with torch.no_grad():
        for _ in range(3):
            model(torch.rand(8, 3, 32, 32, generator=torch.Generator().manual_seed(seed)))
    return model.eval()


def ede_net():
    return EDENet([network(), network((5, 4, 3, 2), 2, 1), network((3, 3, 3, 3), 4, 2)]).eval()


IMAGES = torch.rand(6, 3, 32, 32, generator=torch.Generator().manual_seed(3))


@pytest.fixture
def classifier_file(tmp_path):
    path = tmp_path / "model_0to3.pt"
    checkpoint.write_classifier(path, network(), {"task": "0to3", "results": {"accuracy": 12.5, "names": ["a", "b"]}})
    return path


@pytest.fixture
def stage_file(tmp_path):
    path = tmp_path / "stage_3.pt"
    checkpoint.write_ede_net(path, ede_net(), {"class_names": ["a", "b"], "exemplars": [[3, 1], [], [7]]})
    return path


def refused(function, *arguments):
    with pytest.raises(UserError) as caught:
        function(*arguments)
    message = str(caught.value)
    assert message.isprintable(), "one line"
    return message


# --- everything comes back


def test_a_sub_model_reloads_to_the_same_logits(classifier_file):
    model, content = checkpoint.load_classifier(classifier_file)
    assert torch.equal(model(IMAGES), network()(IMAGES))
    assert (model.widths, model.num_classes, model.training) == ((2, 3, 4, 5), 3, False)
    assert content["task"] == "0to3"
    assert content["results"] == {"accuracy": 12.5, "names": ["a", "b"]}


def test_a_whole_ede_net_reloads_to_the_same_logits(stage_file):
    net = EDENet.load(str(stage_file))
    assert torch.equal(net(IMAGES), ede_net()(IMAGES))
    assert net.widths == [(2, 3, 4, 5), (5, 4, 3, 2), (3, 3, 3, 3)]
    assert net.classes_per_task == [3, 2, 4]
    assert net.meta["class_names"] == ["a", "b"]
    assert net.meta["exemplars"] == [[3, 1], [], [7]]
    assert not net.training


def test_a_reloaded_network_goes_on_training_like_the_one_saved(stage_file):
    states = []
    for net in (ede_net(), EDENet.load(stage_file)):
        optimizer = torch.optim.Adam(net.train().parameters(), lr=1e-2)
        for _ in range(2):
            optimizer.zero_grad()
            net(IMAGES).square().mean().backward()
            optimizer.step()
        states.append(net.state_dict())
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_the_state_of_an_ede_net_holds_every_sub_model():
    net, names = ede_net(), set(ede_net().state_dict())
    for number, submodel in enumerate(net.submodels):
        assert {f"submodels.{number}.{name}" for name in submodel.state_dict()} <= names
    assert len(names) == sum(len(submodel.state_dict()) for submodel in net.submodels)


def test_files_are_readable_without_running_code(classifier_file, stage_file):
    for path in (classifier_file, stage_file):
        assert isinstance(torch.load(path, weights_only=True), dict)


def test_weights_keep_their_layout(classifier_file):
    model, _ = checkpoint.load_classifier(classifier_file)
    assert all(p.is_contiguous(memory_format=torch.channels_last) for p in model.parameters() if p.ndim == 4)


# --- whole or absent


def leftovers(folder):
    return [path.name for path in folder.iterdir() if path.name != "file"]


@pytest.mark.parametrize("before", [None, b"old"])
@pytest.mark.parametrize("failing", ["replace", "fsync"])
def test_a_write_that_fails_leaves_what_was_there(tmp_path, monkeypatch, failing, before):
    path = tmp_path / "file"
    if before is not None:
        path.write_bytes(before)

    def full(*arguments):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(checkpoint.os, failing, full)
    message = refused(checkpoint.write_bytes, path, b"new")
    assert str(path) in message
    assert os.strerror(errno.ENOSPC) in message
    assert (path.read_bytes() if path.exists() else None) == before
    assert leftovers(tmp_path) == []


def test_a_write_cut_short_by_a_stop_leaves_what_was_there(tmp_path, monkeypatch):
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def stopped(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(checkpoint.os, "replace", stopped)
    with pytest.raises(KeyboardInterrupt):
        checkpoint.write_bytes(path, b"new")
    assert path.read_bytes() == b"old"
    assert leftovers(tmp_path) == []


def test_the_new_file_is_whole_before_it_takes_the_old_ones_place(tmp_path, monkeypatch):
    path, seen, replace = tmp_path / "file", [], os.replace
    path.write_bytes(b"old")

    def watched(source, target):
        seen.append((path.read_bytes(), open(source, "rb").read()))  # noqa: SIM115
        replace(source, target)

    monkeypatch.setattr(checkpoint.os, "replace", watched)
    checkpoint.write_bytes(path, b"new")
    assert seen == [(b"old", b"new")]
    assert path.read_bytes() == b"new"
    assert leftovers(tmp_path) == []


def test_a_folder_that_is_not_there_is_an_error_that_names_the_file(tmp_path):
    path = tmp_path / "nowhere" / "file.pt"
    assert str(path) in refused(checkpoint.write, path, "classifier", {})


# --- what cannot be read


def test_a_missing_file_is_named(tmp_path):
    path = tmp_path / "stage_1.pt"
    assert str(path) in refused(EDENet.load, path)
    assert str(path) in refused(checkpoint.load_classifier, path)
    assert str(tmp_path) in refused(checkpoint.load_classifier, tmp_path)


@pytest.mark.parametrize("share", [0.0, 0.001, 0.1, 0.5, 0.9, 0.999])
def test_a_file_cut_short_is_named(classifier_file, share):
    content = classifier_file.read_bytes()
    classifier_file.write_bytes(content[: int(share * len(content))])
    assert str(classifier_file) in refused(checkpoint.load_classifier, classifier_file)


@pytest.mark.parametrize(
    "content", [b"", b"\x00" * 100, b"no checkpoint\n", b"PK\x03\x04", b"\x80\x02}q\x00.", b"(" * 50]
)
def test_a_file_of_something_else_is_named(tmp_path, content):
    path = tmp_path / "model.pt"
    path.write_bytes(content)
    assert str(path) in refused(checkpoint.load_classifier, path)


def damaged_copies(content, count=60):
    """The file with one byte flipped, somewhere."""
    for position in np.random.default_rng(0).integers(0, len(content), count).tolist():
        yield position, content[:position] + bytes([content[position] ^ 0xFF]) + content[position + 1 :]


def test_a_flipped_byte_is_never_an_error_that_does_not_name_the_file(classifier_file):
    messages = []
    for _, damaged in damaged_copies(classifier_file.read_bytes()):
        classifier_file.write_bytes(damaged)
        try:
            checkpoint.load_classifier(classifier_file)
        except UserError as error:
            messages.append(str(error))
    assert messages
    assert all(str(classifier_file) in message for message in messages)


def test_a_flipped_byte_never_gives_another_network(classifier_file):
    """The file holds checksums of its parts."""
    expected = network()(IMAGES)
    for position, damaged in damaged_copies(classifier_file.read_bytes()):
        classifier_file.write_bytes(damaged)
        try:
            model, _ = checkpoint.load_classifier(classifier_file)
        except UserError:
            continue
        assert torch.equal(model(IMAGES), expected), f"byte {position}"


@pytest.mark.parametrize("thing", [[1, 2], {"a": 1}, torch.zeros(3), {"format": "ede-net-1"}, {"kind": "classifier"}])
def test_another_programs_checkpoint_is_named(tmp_path, thing):
    path = tmp_path / "model.pt"
    torch.save(thing, path)
    assert str(path) in refused(checkpoint.load_classifier, path)


def test_a_file_that_would_run_code_is_refused(tmp_path):
    class Evil:
        def __reduce__(self):
            return os.system, (f"touch {tmp_path}/ran",)

    path = tmp_path / "model.pt"
    torch.save({"format": "ede-net-1", "kind": "classifier", "model": Evil()}, path)
    assert str(path) in refused(checkpoint.load_classifier, path)
    assert not (tmp_path / "ran").exists()


def test_a_checkpoint_of_another_kind_is_named_with_both_kinds(classifier_file, stage_file):
    message = refused(EDENet.load, classifier_file)
    assert all(part in message for part in (str(classifier_file), "classifier", "ede_net"))
    message = refused(checkpoint.load_classifier, stage_file)
    assert all(part in message for part in (str(stage_file), "classifier", "ede_net"))


def altered(path, **changes):
    content = torch.load(path, weights_only=True)
    torch.save({name: value for name, value in {**content, **changes}.items() if value is not ...}, path)
    return path


@pytest.mark.parametrize(
    "changes",
    [
        {"widths": [3, 3, 4, 5]},
        {"num_classes": 4},
        {"widths": [2, 3, 4]},
        {"widths": None},
        {"widths": ...},
        {"num_classes": 0},
        {"num_classes": "many"},
        {"model": {}},
        {"model": None},
        {"model": ...},
    ],
    ids=str,
)
def test_a_sub_model_of_another_architecture_is_named(classifier_file, changes):
    altered(classifier_file, **changes)
    assert str(classifier_file) in refused(checkpoint.load_classifier, classifier_file)


@pytest.mark.parametrize(
    "changes",
    [
        {"widths": [[2, 3, 4, 5]]},
        {"classes_per_task": [3, 2]},
        {"classes_per_task": [3, 2, 5]},
        {"widths": None},
        {"classes_per_task": ...},
        {"model": {}},
        {"model": ...},
    ],
    ids=str,
)
def test_an_ede_net_of_another_architecture_is_named(stage_file, changes):
    altered(stage_file, **changes)
    assert str(stage_file) in refused(EDENet.load, stage_file)


def test_weights_of_another_architecture_name_the_file(tmp_path):
    path = tmp_path / "unfinished.pt"
    assert str(path) in refused(checkpoint.load_weights, ResNet18(3, (2, 3, 4, 6)), network().state_dict(), path)


def test_json_that_is_damaged_is_named(tmp_path):
    path = tmp_path / "configuration.json"
    checkpoint.write_json(path, {"split": [0, 5], "name": "Größe"})
    assert checkpoint.read_json(path) == {"split": [0, 5], "name": "Größe"}
    path.write_text("{")
    assert str(path) in refused(checkpoint.read_json, path)
    path.write_bytes(b"\xff\xfe")
    assert str(path) in refused(checkpoint.read_json, path)
