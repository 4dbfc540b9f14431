"""Bad input gives one clear line and exit code 2, or works; nothing that is read runs code."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from processes import ROOT
from tiny import SEQUENCE, SPLIT, STAGE_TWO

import train_classifier
import train_EDE_Net
import trainMTIL
from datasets import pickles, stand_ins
from utils.running.errors import UserError, told


def refused(function, *arguments, **options) -> str:
    with pytest.raises((UserError, OSError)) as caught:
        function(*arguments, **options)
    message = told(caught.value)
    assert message.isprintable(), "one line"
    assert len(message) < 2000
    return message


@pytest.mark.parametrize(
    ("script", "call", "word"),
    [
        ("train_classifier.py", "--help", "usage: python train_classifier.py"),
        ("train_EDE_Net.py", "train_model(epoch=1)", '"epochs"'),
        ("train_EDE_Net.py", "train_model(rehearsal_size='2000')", "rehearsal_size"),
        ("train_EDE_Net.py", "predict('a', 'b', top=0)", "top"),
        ("trainMTIL.py", "demo(data_root=5)", "data_root"),
    ],
)
def test_fault_9_help_and_mistakes_in_a_call_are_told_before_torch_is_imported(tmp_path, script, call, word):
    """In less than a second where nothing else runs; the processor's time is what other work does not spoil."""
    code = (
        f"import sys, runpy; sys.argv = [{script!r}, {call!r}]\ntry: runpy.run_path({script!r}, run_name='__main__')\n"
    )
    code += "finally: assert 'torch' not in sys.modules and 'numpy' not in sys.modules, 'imported'"
    before = os.times()
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    after = os.times()
    assert word in done.stdout + done.stderr
    assert done.returncode == (0 if call == "--help" else 2)
    assert done.returncode == 0 or (done.stdout == "" and done.stderr.count("\n") == 1)
    assert (after.children_user + after.children_system) - (before.children_user + before.children_system) < 1


# --- arguments

SPLITS = [
    {"split_list": "0,3,6"}, {"split_list": 3}, {"split_list": []}, {"split_list": [0]}, {"split_list": [0, 3, 2]},
    {"split_list": [1, 3]}, {"split_list": [0, 3.0]}, {"split_list": [0, True]}, {"split_list": {0: 3}},
    {"split_list": [0, 10**30]}, {"split_list": [0, 7]}, {"split_type": "t3"}, {"split_type": 3},
    {"split_type": "s0-t4"},    {"split_list": [0, 3, 6], "split_type": "s0-t3"}, {"split_type": "../../s0-t3"},
]  # fmt: skip
OPTIONS = [
    {"class_order": [0, 1, 2]}, {"class_order": [0] * 6}, {"device": "gpu"}, {"device": "mps"}, {"data_root": "a\0b"},
    {"checkpoint_root": "a\ud800"}, {"checkpoint_root": "x" * 300}, {"data_root": "x" * 300}, {"dataset": "folder:\n"},
    {"dataset": "cifar1000"}, {"unlabeled": "cifar100"}, {"dataset": "folder:" + "x" * 300}, {"prune": 1},
    {"mixmatch": None}, {"validation_fraction": 0.99}, {"epoch": 2},
]  # fmt: skip
ENTRIES = {
    "stage one": train_classifier.train_model,
    "stage two": train_EDE_Net.train_model,
    "baseline": lambda **options: train_EDE_Net.baseline("replay", **options),
    "ablation": lambda **options: train_EDE_Net.ablation(seeds=[0], **options),
}


@pytest.mark.parametrize("entry", ENTRIES)
def test_12_wrong_arguments_are_one_line_and_nothing_is_written(data, tmp_path, entry):
    """Issue 13.12: also paths that are no paths. All entry functions refuse alike."""
    for wrong in [*SPLITS, *OPTIONS]:
        if entry in ("baseline", "ablation") and {"prune", "mixmatch", "validation_fraction"} & wrong.keys():
            continue
        places = {"data_root": str(data), "checkpoint_root": str(tmp_path / "root")}
        named = {} if {"split_list", "split_type"} & wrong.keys() else {"split_list": [0, 3, 6]}
        plain = {name: value for name, value in SPLIT.items() if name not in ("split_list", "split_type")}
        message = refused(ENTRIES[entry], **{**plain, **places, **named, **wrong})
        assert any(word in message for word in (*wrong, "data set", "name too long", "training images", "is not there"))
        assert not list(tmp_path.rglob("*.pt"))


@pytest.mark.parametrize(
    "wrong",
    [{"data_type": value} for value in (None, 3, "", "CIFAR", ["MNIST", "mnist"], "MNIST\n?", [3])]
    + [{"num_class": value} for value in (9, 0, "10", None)]
    + [{"batch_size": 0}, {"class_order": 1993}],
    ids=str,
)  # fmt: skip
def test_the_sequences_stage_one_refuses_it_in_one_line(data, tmp_path, wrong):
    options = {**SEQUENCE, "data_root": str(data), "checkpoint_root": str(tmp_path / "root"), "data_type": "MNIST"}
    message = refused(trainMTIL.train_MTIL_classifier, **{**options, **wrong})
    assert next(iter(wrong)) in message or "data set" in message or "is named" in message
    assert not (tmp_path / "root").exists()


@pytest.mark.parametrize(
    "wrong",
    [{"data_list": value} for value in (None, "MNIST", [], ["MNIST"], ["MNIST", "mnist"], ["MNIST", ["SVNH"]])]
    + [{"num_per_class": value} for value in (0, 1.5, "5", None, 10**30)]
    + [{"batch_size": 1}],
    ids=str,
)  # fmt: skip
def test_the_sequences_stage_two_refuses_it_in_one_line(data, tmp_path, wrong):
    options = {
        **SEQUENCE,
        "data_root": str(data),
        "checkpoint_root": str(tmp_path / "root"),
        "data_list": ["MNIST", "SVNH"],
    }
    message = refused(trainMTIL.train_EDE_Net, **{**options, **wrong})
    assert next(iter(wrong)) in message or "data set" in message or "is named" in message


def test_a_network_that_is_missing_is_named_with_the_command_that_makes_it(data, tmp_path):
    places = {"data_root": str(data), "checkpoint_root": str(tmp_path / "root")}
    message = refused(train_EDE_Net.train_model, **SPLIT, **places, rehearsal_size=16)
    assert "model_0to2_prune.json is not there" in message
    assert "python train_classifier.py 'train_model(split_list=[0, 2, 4]" in message
    message = refused(trainMTIL.train_EDE_Net, data_list=["svhn", "MNIST"], **SEQUENCE, **places)
    assert "model_svhn.json is not there" in message
    assert "python trainMTIL.py 'train_MTIL_classifier(" in message


@pytest.mark.parametrize(
    ("call", "word"),
    [
        (lambda root: train_EDE_Net.compare("a\0", "b"), "a"),
        (lambda root: train_EDE_Net.compare(str(root)), "two"),
        (lambda root: train_EDE_Net.compare(5, 6), "5"),
        (lambda root: train_EDE_Net.evaluate(str(root / "nowhere")), "nowhere"),
        (lambda root: train_EDE_Net.evaluate("a\0"), "folder"),
        (lambda root: train_EDE_Net.evaluate(str(root), stage="2"), "stage"),
        (lambda root: train_EDE_Net.evaluate(str(root), device=5), "device"),
        (lambda root: train_EDE_Net.predict(5, "a.pt"), ""),
        (lambda root: train_EDE_Net.predict("a.png", str(root / "nowhere.pt")), "nowhere.pt"),
        (lambda root: train_EDE_Net.predict("x" * 300, "x" * 300), "xxx"),
        (lambda root: train_EDE_Net.demo(data_root=5), "data_root"),
    ],
)
def test_14_other_functions_refuse_it_in_one_line_too(tmp_path, call, word):
    """Issue 13.14."""
    assert word in refused(call, tmp_path)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize("closed", ["data_root", "checkpoint_root", "classifier_root", "image", "folder", "checkpoint"])
def test_12_a_closed_folder_is_one_line_with_its_name(split, data, tmp_path, closed):
    """Issue 13.12."""
    folder = tmp_path / "closed"
    folder.mkdir(mode=0o700)
    stage = shutil.copy(split.root / STAGE_TWO / "stage_1.pt", tmp_path)
    for path in (tmp_path, *tmp_path.parents[:-2], data, tmp_path / "stage_1.pt"):
        path.chmod(0o755)
    inside = str(folder / "inside")
    options = {**SPLIT, "data_root": str(data), "checkpoint_root": str(tmp_path / "root")}
    call = {
        "image": lambda: train_EDE_Net.predict(image=inside, checkpoint=stage),
        "checkpoint": lambda: train_EDE_Net.predict(image="a.png", checkpoint=inside),
        "folder": lambda: train_EDE_Net.evaluate(inside),
    }.get(closed) or (lambda: train_EDE_Net.train_model(**{**options, closed: inside}, rehearsal_size=16))
    os.seteuid(65534)
    try:
        with pytest.raises((UserError, OSError)) as caught:
            call()
    finally:
        os.seteuid(0)
    assert str(folder) in told(caught.value) or closed == "classifier_root"


# --- data files and own images


class Evil:
    """A pickle of this would run a command."""

    def __init__(self, marker: Path):
        self.marker = marker

    def __reduce__(self):
        return os.system, (f"touch '{self.marker}'",)


@pytest.mark.parametrize("damage", ["cut", "empty", "text", "code", "no images of a class"])
def test_damaged_data_is_named_and_runs_nothing(tmp_path, damage):
    stand_ins.write(tmp_path, train_per_class=2, test_per_class=1, classes=6, sets=("cifar100", "cifar10"))
    path = tmp_path / "cifar-100-python/train"
    content = path.read_bytes()
    if damage == "no images of a class":
        import pickle

        read = pickles.loads(content)
        path.write_bytes(pickle.dumps({"data": read["data"], "fine_labels": [0] * len(read["data"])}, protocol=2))
    elif damage == "code":
        torch.save(Evil(tmp_path / "ran"), path)
    else:
        path.write_bytes({"cut": content[: len(content) // 2], "empty": b"", "text": b"no data\n" * 99}[damage])
    options = {**SPLIT, "data_root": str(tmp_path), "checkpoint_root": str(tmp_path / "root")}
    message = refused(train_classifier.train_model, **options)
    assert str(path) in message or "no training image" in message
    assert not (tmp_path / "ran").exists()
    assert not (tmp_path / "root").exists()
