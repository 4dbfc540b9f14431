"""Bad input gives one clear line and exit code 2, or works; nothing that is read runs code."""

import os
import pickle
import shutil
import subprocess
import sys

import pytest
from processes import ROOT, SEQUENCE, SPLIT

import train_classifier
import train_EDE_Net
import trainMTIL
from datasets import stand_ins


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

WRONG = [
    {"split_list": "0,3,6"}, {"split_list": []}, {"split_list": [0, 3, 2]}, {"split_list": [0, 10**30]},
    {"split_type": "s0-t4"}, {"split_list": [0, 3, 6], "split_type": "s0-t3"}, {"split_type": "../../s0-t3"},
    {"class_order": [0, 1, 2]}, {"device": "mps"}, {"data_root": "a\0b"}, {"checkpoint_root": "x" * 300},
    {"data_root": "x" * 300}, {"dataset": "folder:\n"}, {"dataset": "cifar1000"}, {"unlabeled": "cifar100"},
    {"dataset": "folder:" + "x" * 300}, {"prune": 1}, {"mixmatch": None}, {"epoch": 2},
]  # fmt: skip
ENTRIES = {
    "stage one": train_classifier.train_model,
    "stage two": train_EDE_Net.train_model,
    "baseline": lambda **options: train_EDE_Net.baseline("replay", **options),
    "ablation": lambda **options: train_EDE_Net.ablation(seeds=[0], **options),
}


@pytest.mark.parametrize("entry", ENTRIES)
def test_12_wrong_arguments_are_one_line_and_nothing_is_written(data, tmp_path, refusal, entry):
    """Issue 13.12: also paths that are no paths. All entry functions refuse alike."""
    places = {"data_root": str(data), "checkpoint_root": str(tmp_path / "root")}
    plain = {name: value for name, value in SPLIT.items() if name not in ("split_list", "split_type")}
    for wrong in WRONG:
        if entry in ("baseline", "ablation") and {"prune", "mixmatch"} & wrong.keys():
            continue
        named = {} if {"split_list", "split_type"} & wrong.keys() else {"split_list": [0, 3, 6]}
        message = refusal(ENTRIES[entry], **{**plain, **places, **named, **wrong})
        assert any(word in message for word in (*wrong, "data set", "name too long", "too long", "is not there"))
        assert not list(tmp_path.rglob("*.pt"))


def test_the_sequence_refuses_it_in_one_line(data, tmp_path, refusal):
    options = {**SEQUENCE, "data_root": str(data), "checkpoint_root": str(tmp_path / "root")}
    for wrong in (
        *[{"data_type": value} for value in (None, 3, "", "CIFAR", ["MNIST", "mnist"], "MNIST\n?", [3])],
        {"num_class": 9}, {"num_class": "10"}, {"batch_size": 0}, {"class_order": 1993},
    ):  # fmt: skip
        refusal(trainMTIL.train_MTIL_classifier, **{"data_type": "MNIST", **options, **wrong})
    for wrong in (
        *[{"data_list": value} for value in (None, "MNIST", ["MNIST"], ["MNIST", "mnist"], ["MNIST", ["SVNH"]])],
        {"num_per_class": 0}, {"num_per_class": "5"}, {"num_per_class": 10**30}, {"batch_size": 1},
    ):  # fmt: skip
        refusal(trainMTIL.train_EDE_Net, **{"data_list": ["MNIST", "SVNH"], **options, **wrong})
    assert not (tmp_path / "root").exists()


def test_a_network_that_is_missing_is_named_with_the_command_that_makes_it(data, tmp_path, refusal):
    places = {"data_root": str(data), "checkpoint_root": str(tmp_path / "root")}
    message = refusal(train_EDE_Net.train_model, **SPLIT, **places, rehearsal_size=16)
    assert "model_0to2_prune.json is not there" in message
    assert "python train_classifier.py 'train_model(split_list=[0, 2, 4]" in message
    message = refusal(trainMTIL.train_EDE_Net, data_list=["svhn", "MNIST"], **SEQUENCE, **places)
    assert "model_svhn.json is not there" in message
    assert "python trainMTIL.py 'train_MTIL_classifier(" in message


def test_what_is_one_training_is_refused_under_torchrun(refusal, monkeypatch):
    for name, value in {"TORCHELASTIC_RUN_ID": "1", "RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1"}.items():
        monkeypatch.setenv(name, value)
    for function, options in (
        (train_classifier.train_model, {"restart": True}),
        (train_EDE_Net.train_model, {}),
        (train_EDE_Net.baseline, {"kind": "replay"}),
        (train_EDE_Net.demo, {}),
        (trainMTIL.train_EDE_Net, {}),
        (trainMTIL.demo, {}),
    ):
        assert "in one process: start the script without torchrun" in refusal(function, **options)


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
        (lambda root: train_EDE_Net.predict(5, "a.pt"), "image"),
        (lambda root: train_EDE_Net.predict("a.png", str(root / "nowhere.pt")), "nowhere.pt"),
        (lambda root: train_EDE_Net.predict("x" * 300, "x" * 300), "xxx"),
        (lambda root: train_EDE_Net.demo(data_root=5), "data_root"),
    ],
)
def test_14_other_functions_refuse_it_in_one_line_too(tmp_path, refusal, call, word):
    """Issue 13.14."""
    assert word in refusal(call, tmp_path)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize("closed", ["data_root", "checkpoint_root", "image", "folder", "checkpoint"])
def test_12_a_closed_folder_is_one_line_with_its_name(finished, data, tmp_path, refusal, closed):
    """Issue 13.12."""
    folder = tmp_path / "closed"
    folder.mkdir(mode=0o700)
    stage = shutil.copy(finished.ede_net / "stage_1.pt", tmp_path)
    for path in (tmp_path, *tmp_path.parents[:-2], data, tmp_path / "stage_1.pt"):
        path.chmod(0o755)
    inside = str(folder / "inside")
    options = {**SPLIT, "data_root": str(data), "checkpoint_root": str(tmp_path / "root")}
    call = {
        "image": lambda: train_EDE_Net.predict(image=inside, checkpoint=stage),
        "checkpoint": lambda: train_EDE_Net.predict(image="a.png", checkpoint=inside),
        "folder": lambda: train_EDE_Net.evaluate(inside),
    }.get(closed) or (lambda: train_classifier.train_model(**{**options, closed: inside}))
    os.seteuid(65534)
    try:
        assert str(folder) in refusal(call)
    finally:
        os.seteuid(0)


@pytest.mark.parametrize("damage", ["cut", "code"])
def test_damaged_data_is_named_and_runs_nothing(tmp_path, refusal, damage):
    class Evil:
        def __reduce__(self):
            return os.system, (f"touch '{tmp_path}/ran'",)

    stand_ins.write(tmp_path, train_per_class=2, test_per_class=1, classes=6, sets=("cifar100", "cifar10"))
    path = tmp_path / "cifar-100-python/train"
    path.write_bytes(path.read_bytes()[:1000] if damage == "cut" else pickle.dumps(Evil()))
    options = {**SPLIT, "data_root": str(tmp_path), "checkpoint_root": str(tmp_path / "root")}
    assert str(path) in refusal(train_classifier.train_model, **options)
    assert not (tmp_path / "ran").exists()
    assert not (tmp_path / "root").exists()
