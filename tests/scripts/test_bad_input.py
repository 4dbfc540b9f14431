"""Bad input gives one clear line, or works; nothing that is read runs code."""

import os
import shutil
import struct
import zipfile
from pathlib import Path

import numpy as np
import processes
import pytest
import torch
from processes import call_of

import train_classifier
import train_EDE_Net
import trainMTIL
from datasets import catalog, pickles, synthetic
from datasets.rehearsal import require_room
from datasets.stream import TaskStream
from datasets.tasks import resolve_split
from models import EDENet, resnet18
from utils import checkpoint
from utils.errors import UserError


def refused(function, **options) -> str:
    with pytest.raises(UserError) as caught:
        function(**options)
    message = str(caught.value)
    assert message.isprintable(), "one line"
    return message


# --- arguments

SPLITS = [
    {"split_list": "0,3,6"}, {"split_list": 3}, {"split_list": True}, {"split_list": []}, {"split_list": [0]},
    {"split_list": [0, 3, 2]}, {"split_list": [0, 3, 3]}, {"split_list": [1, 3]}, {"split_list": [0, -3]},
    {"split_list": [0, 3.0]}, {"split_list": [0, True]}, {"split_list": ["0", "3"]}, {"split_list": [[0, 3]]},
    {"split_list": {0: 3}}, {"split_list": [0, 10]}, {"split_list": [0, 10**30]}, {"split_list": [0, None]},
    {"split_type": "t3"}, {"split_type": ""}, {"split_type": 3}, {"split_type": True}, {"split_type": ["s0-t3"]},
    {"split_type": "s0-t2"}, {"split_type": "s9-t1"}, {"split_type": "s0-t0"}, {"split_type": "s0-t100"},
    {"split_list": [0, 3, 6], "split_type": "s0-t3"}, {"split_list": [0, 3, 6], "split_type": "s2-t1"},
]  # fmt: skip
SWITCHES = [{name: value} for name in ("prune", "mixmatch") for value in (1, 0, None, "yes", "True", [])]
OPTIONS = [
    {"class_order": [0, 1, 2]}, {"class_order": [0] * 9}, {"class_order": list(range(1, 10))}, {"class_order": []},
    {"device": "gpu"}, {"device": "cuda:99"}, {"device": "meta"}, {"device": "cpu:x"}, {"device": "\0"},
    {"data_root": "a\0b"}, {"checkpoint_root": "a\0b"}, {"checkpoint_root": "a\ud800"}, {"checkpoint_root": "x" * 300},
    {"validation_fraction": 0.99}, {"lr": 10**400}, {"lambda_u": float("nan")}, {"epochs": 2.0}, {"epoch": 2},
]  # fmt: skip
REHEARSALS = [{"rehearsal_size": value} for value in ("2000", True, None, -1, 0, 1.5, 31.0, [31], float("nan"), 5)]


@pytest.mark.parametrize("wrong", [*SPLITS, *SWITCHES, *OPTIONS], ids=repr)
def test_stage_one_refuses_it_in_one_line(tiny_options, tmp_path, wrong):
    named = {} if "split_list" in wrong or "split_type" in wrong else {"split_list": [0, 3, 6]}
    options = {**tiny_options, "checkpoint_root": str(tmp_path / "root"), **named, **wrong}
    message = refused(train_classifier.train_model, **options)
    assert len(message) < 2_000
    assert any(word in message for word in (*wrong, "training images", "File name too long"))


@pytest.mark.parametrize("wrong", [*REHEARSALS, *SWITCHES[:2], *SPLITS[:2]], ids=repr)
def test_stage_two_refuses_it_in_one_line(tiny_options, tmp_path, wrong):
    options = {**tiny_options, "checkpoint_root": str(tmp_path / "root"), "split_list": [0, 3, 6, 9], **wrong}
    message = refused(train_EDE_Net.train_model, **options)
    assert next(iter(wrong)) in message
    assert not (tmp_path / "root").exists()


@pytest.fixture(scope="module")
def mtil_data(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("mtil")
    synthetic.write(folder, train_per_class=3, test_per_class=1, sets=("mnist", "svhn"))
    return folder


@pytest.fixture(scope="module")
def mtil(mtil_data, tmp_path_factory) -> dict:
    """Options of a sequence of which stage one has been trained."""
    options = {
        "recipe": "demo", "device": "cpu", "amp": "off", "data_root": str(mtil_data), "widths": [2, 2, 2, 2],
        "epochs": 1, "finetune_epochs": 1, "min_updates": 1, "checkpoint_root": str(tmp_path_factory.mktemp("root")),
    }  # fmt: skip
    for name in ("mnist", "svnh"):
        trainMTIL.train_MTIL_classifier(data_type=name, batch_size=50, **options)
    return options


@pytest.mark.parametrize(
    "wrong",
    [
        *[{"data_type": value} for value in (None, 3, True, "", "CIFAR", ["MNIST"], "MNIST\n?")],
        *[{"num_class": value} for value in (9, 0, -10, "10", None, 10.5, [10], True)],
        *[{"batch_size": value} for value in (0, -1, "128", 1.5, True, None)],
    ],
    ids=repr,
)
def test_the_sequences_stage_one_refuses_it_in_one_line(mtil, wrong):
    message = refused(trainMTIL.train_MTIL_classifier, **{"data_type": "MNIST", **mtil, **wrong})
    assert next(iter(wrong)) in message or "data set" in message


def test_a_wrong_number_of_classes_costs_no_network_even_with_restart(mtil):
    folder = Path(mtil["checkpoint_root"]) / "MTIL" / "classifier_resnet18"
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert folder / "model_mnist.pt" in before
    for restart in (False, True):
        message = refused(trainMTIL.train_MTIL_classifier, data_type="MNIST", num_class=9, restart=restart, **mtil)
        assert message == "num_class=9, but mnist has 10 classes: give that number"
    assert before == {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_first_network_that_is_missing_is_named_with_the_command_that_makes_it(mtil, tmp_path):
    options = {**mtil, "checkpoint_root": str(tmp_path), "batch_size": 64, "finetune_epochs": 7}
    message = refused(trainMTIL.train_EDE_Net, data_list=["svhn", "MNIST"], **options)
    assert "model_svhn.pt is not there" in message
    assert 'train_MTIL_classifier(data_type="svhn"' in message
    assert "widths=" in message
    assert "finetune" not in message


@pytest.mark.parametrize(
    "wrong",
    [
        *[{"data_list": value} for value in (None, "MNIST", 3, [], ["MNIST"], {"MNIST"}, ["MNIST", "mnist"])],
        *[{"data_list": ["MNIST", value]} for value in ("CIFAR", 3, None, ["SVNH"])],
        *[{"num_per_class": value} for value in (0, -1, 1.5, True, "5", None, [5], 4, 10**30)],
        *[{"batch_size": value} for value in (0, 1, "128", None)],
        {"finetune_batch_size": 1},
    ],
    ids=repr,
)
def test_the_sequences_stage_two_refuses_it_in_one_line(mtil, wrong):
    arguments = {"data_list": ["MNIST", "SVNH"], "num_per_class": 1, **mtil, **wrong}
    message = refused(trainMTIL.train_EDE_Net, **arguments)
    assert next(iter(wrong)) in message or "data set" in message


# --- unusual, but it works


def test_all_images_of_a_class_may_be_exemplars_of_the_sequence(mtil):
    results = trainMTIL.train_EDE_Net(data_list=["svhn", "Mnist"], num_per_class=3, batch_size=10**6, **mtil)
    assert results["networks"][-1]["num_per_class"] == 3


def test_small_sets_large_batches_and_a_large_memory_work(tiny_options, tmp_path):
    """Tasks of one class, batches larger than the task and than the unlabelled set, a memory larger than the data."""
    options = {
        **tiny_options, "checkpoint_root": str(tmp_path), "split_list": [0, 1, 2, 3], "epochs": 1, "finetune_epochs": 1,
        "batch_size": 1000, "unlabeled_batch_size": 130, "finetune_batch_size": 50, "max_rounds": 2,
        "distill_epochs": 1, "unlabeled_views": 1, "padding": 40, "rotation": 1000.0, "width_multiple": 100,
    }  # fmt: skip
    assert len(catalog.load("cifar10", options["data_root"], "train")) < options["unlabeled_batch_size"]
    first = train_classifier.train_model(**options)
    assert [task["before"]["test_accuracy"] for task in first["tasks"]] == [100.0] * 3
    second = train_EDE_Net.train_model(rehearsal_size=1000, **options)
    assert [len(row) for row in second["accuracy_matrix"]] == [1, 2, 3]
    net = EDENet.load(tmp_path / "EDE_Net_cifar100_s0-t3_resnet18_rehearsal_1000/stage_3.pt")
    assert [len(indices) for indices in net.meta["exemplars"]] == [12, 12, 12]


def test_a_hundred_tasks_of_one_class_can_be_set_up(tmp_path):
    synthetic.write(tmp_path, train_per_class=2, test_per_class=1, sets=("cifar100",))
    train, test = (catalog.load("cifar100", tmp_path, part) for part in ("train", "test"))
    bounds = resolve_split(None, "s0-t100", 100)
    require_room(100, bounds[-2])
    stream = TaskStream(train, test, range(100), bounds)
    assert len(stream.tasks) == 100
    for task in stream.tasks:
        stream.begin(task)
        assert stream.training_images(task).labels.tolist() == [task.index] * 2
        assert len(stream.test_images(task)) == 1


# --- files of a run


class Evil:
    """A pickle of this would run a command."""

    def __init__(self, marker: Path):
        self.marker = marker

    def __reduce__(self):
        return os.system, (f"touch '{self.marker}'",)


def cut(path, marker):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def emptied(path, marker):
    path.write_bytes(b"")


def one_byte_flipped(path, marker):
    """In the middle of the largest tensor, which PyTorch itself would read without a word."""
    content = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        largest = max(archive.infolist(), key=lambda entry: entry.file_size)
    lengths = struct.unpack_from("<2H", content, largest.header_offset + 26)  # of the name and of what follows it
    content[largest.header_offset + 30 + sum(lengths) + largest.file_size // 2] ^= 1
    path.write_bytes(content)


def text(path, marker):
    path.write_text("no checkpoint\n" * 99)


def running_code(path, marker):
    torch.save({**torch.load(path, weights_only=True), "evil": Evil(marker)}, path)


def of_another_kind(path, marker):
    torch.save({**torch.load(path, weights_only=True), "kind": "another"}, path)


def of_another_program(path, marker):
    torch.save(resnet18(3, (2, 2, 2, 2)).state_dict(), path)


def of_another_architecture(path, marker):
    content = torch.load(path, weights_only=True)
    other = resnet18(4, (3, 3, 3, 3)) if content["kind"] != "ede_net" else EDENet([resnet18(4, (3, 3, 3, 3))])
    torch.save({**content, "model": other.state_dict()}, path)


def of_another_task(path, marker):
    """A good file, but not the one that belongs here."""
    if path.name.startswith("stage"):
        checkpoint.write_ede_net(path, EDENet([resnet18(3, (3, 3, 3, 3))] * 3), {"task": 3, "submodels": []})
    else:
        checkpoint.write_classifier(path, resnet18(5, (3, 3, 3, 3)), {"task": "0to5", "results": {}})


DAMAGES = [cut, emptied, one_byte_flipped, text, running_code, of_another_kind, of_another_program,
           of_another_architecture, of_another_task]  # fmt: skip


@pytest.fixture
def copied(finished, tmp_path) -> Path:
    """A copy of the finished run of both stages."""
    shutil.copytree(finished.root, tmp_path / "root")
    return tmp_path / "root"


def again(finished, root: Path, stage: int) -> str:
    options = {**finished.options, "checkpoint_root": str(root)}
    if stage == 1:
        return refused(train_classifier.train_model, **options)
    return refused(train_EDE_Net.train_model, rehearsal_size=finished.rehearsal, **options)


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
@pytest.mark.parametrize(
    ("stage", "name", "removed"),
    [
        (1, "model_0to3.pt", []),
        (1, "model_6to9_prune.pt", []),
        (2, "model_0to3_prune.pt", ["stage_1.pt"]),
        (2, "stage_1.pt", ["stage_2.pt"]),
    ],
)
def test_a_damaged_checkpoint_is_named_in_one_line(finished, copied, tmp_path, stage, name, removed, damage):
    if name == "model_6to9_prune.pt" and damage in (of_another_task, of_another_architecture):
        pytest.skip("a finished run only reads its results")
    (path,) = copied.rglob(name)
    for other in removed:
        next(copied.rglob(other)).unlink()
    damage(path, tmp_path / "ran")
    assert str(path) in again(finished, copied, stage)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("damage", [cut, text, running_code, of_another_kind, of_another_architecture])
@pytest.mark.parametrize("name", ["6to9_training.pt", "6to9_round1.pt", "6to9_distillation1.pt"])
def test_a_damaged_unfinished_file_is_named_in_one_line(finished, copied, tmp_path, name, damage):
    folder = copied / finished.classifier.name
    good, path = folder / "model_6to9.pt", folder / "unfinished" / name
    path.parent.mkdir()
    if "round" in name:
        shutil.copy(good, path)
    else:
        net = resnet18(3, finished.options["widths"])
        checkpoint.write(path, "training", {"model": net.state_dict(), "optimizer": {}, "scaler": {}, "progress": {}})
    (folder / "model_6to9_prune.pt").unlink()
    if "training" in name:
        good.unlink()
    damage(path, tmp_path / "ran")
    assert str(path) in again(finished, copied, 1)
    assert not (tmp_path / "ran").exists()


def test_an_unfinished_file_of_another_training_is_named(finished, copied):
    folder = copied / finished.classifier.name
    path = folder / "unfinished" / "6to9_training.pt"
    path.parent.mkdir()
    net = resnet18(3, finished.options["widths"], seed=0)
    for name in ("model_6to9.pt", "model_6to9_prune.pt"):
        (folder / name).unlink()
    for content in ({}, {"optimizer": {}}, {"optimizer": torch.optim.Adam(net.head.parameters()).state_dict()}):
        checkpoint.write(path, "training", {"model": net.state_dict(), **content})
        assert str(path) in again(finished, copied, 1)


@pytest.mark.parametrize("stage", [1, 2])
@pytest.mark.parametrize("content", ["", "{", "[]", "\0"])
def test_a_damaged_configuration_is_named_in_one_line(finished, copied, stage, content):
    folder = copied / (finished.classifier if stage == 1 else finished.ede_net).name
    (folder / "configuration.json").write_text(content)
    assert str(folder / "configuration.json") in again(finished, copied, stage)


# --- data files


def altered(batch: Path, **changes) -> None:
    content = pickles.loads(batch.read_bytes(), batch)
    batch.write_bytes(pickles.dumps({**{name: content[name] for name in ("data", "fine_labels")}, **changes}))


DATA = {
    "labels out of range": lambda path, marker: altered(path, fine_labels=[9] * 108),
    "images of another size": lambda path, marker: altered(path, data=np.zeros((108, 28 * 28 * 3), np.uint8)),
    "fewer labels than images": lambda path, marker: altered(path, fine_labels=[0]),
    "no images": lambda path, marker: altered(path, data=np.zeros((0, 3072), np.uint8), fine_labels=[]),
    "cut short": cut,
    "empty": emptied,
    "text": text,
    "code": lambda path, marker: path.write_bytes(f"cos\nsystem\n(S'touch {marker}'\ntR.".encode()),
    "a checkpoint with code": lambda path, marker: torch.save(Evil(marker), path),
}


@pytest.mark.parametrize("damage", DATA)
def test_damaged_data_is_named_in_one_line(tiny_options, stand_in, tmp_path, damage):
    shutil.copytree(stand_in, tmp_path / "data")
    path = tmp_path / "data/cifar-100-python/train"
    DATA[damage](path, tmp_path / "ran")
    options = {**tiny_options, "data_root": str(tmp_path / "data"), "checkpoint_root": str(tmp_path / "root")}
    assert str(path) in refused(train_classifier.train_model, split_list=[0, 3], **options)
    assert not (tmp_path / "ran").exists()
    assert not (tmp_path / "root").exists()


def test_a_class_without_images_is_named(tiny_options, stand_in, tmp_path):
    shutil.copytree(stand_in, tmp_path / "data")
    altered(tmp_path / "data/cifar-100-python/train", fine_labels=[0] * 108)
    options = {**tiny_options, "data_root": str(tmp_path / "data"), "checkpoint_root": str(tmp_path / "root")}
    assert "no training image" in refused(train_classifier.train_model, split_list=[0, 3], **options)


# --- on the command line


@pytest.mark.parametrize(
    ("script", "call"),
    [
        ("train_classifier.py", call_of("train_model", split_list=[0, 3], epoch=1)),
        ("train_classifier.py", call_of("train_model", split_list=[0, 3], widths="wide")),
        ("train_EDE_Net.py", call_of("train_model", split_list=[0, 3, 6], rehearsal_size="2000")),
        ("train_EDE_Net.py", call_of("train_model", split_list=[0, 3, 6])),
        ("trainMTIL.py", call_of("train_EDE_Net", data_list=["MNIST"])),
        ("train_classifier.py", "train_model(data_root=__import__('os').system('touch ran'))"),
        ("train_EDE_Net.py", "demo(" + "[" * 1_000_000),
    ],
    ids=lambda value: value[:40],
)
def test_a_mistake_is_one_line_on_stderr_and_exit_code_2(tiny_options, tmp_path, script, call):
    places = f", data_root={tiny_options['data_root']!r}, checkpoint_root={str(tmp_path / 'root')!r})"
    started = processes.Script(
        tmp_path, script, call[:-1] + places if call.endswith(")") and "os" not in call else call
    )
    assert started.wait() == 2
    assert started.out == ""
    assert started.err.startswith("error: ")
    assert started.err.count("\n") == 1
    assert not Path(processes.ROOT / "ran").exists()
