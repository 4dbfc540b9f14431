"""Bad input gives one clear line and exit code 2, or works; nothing that is read runs code."""

import os
import shutil
import subprocess
import sys
from functools import partial

import pytest
from processes import ROOT, SEQUENCE, SPLIT

import train_classifier
import train_EDE_Net
import trainMTIL


@pytest.mark.parametrize(
    ("script", "call", "word"),
    [
        ("train_classifier.py", "--help", "usage: python train_classifier.py"),
        ("train_EDE_Net.py", "train_model(purne=1)", 'unknown option "purne": did you mean "prune"'),
        ("train_EDE_Net.py", "train_model(rehearsal_size='2000')", "rehearsal_size"),
        ("train_EDE_Net.py", "predict('a', 'b', top=0)", "top"),
        ("trainMTIL.py", "demo(data_root=5)", "data_root"),
    ],
)
def test_fault_9_help_and_mistakes_in_a_call_are_told_before_torch_is_imported(script, call, word):
    start = "import runpy, sys\nsys.argv.pop(0)\ntry: runpy.run_path(sys.argv[0], run_name='__main__')\n"
    code = start + "finally: assert not {'torch', 'numpy'} & {*sys.modules}"
    done = subprocess.run([sys.executable, "-c", code, script, call], cwd=ROOT, capture_output=True, text=True)
    assert word in done.stdout + done.stderr
    assert done.returncode == (0 if call == "--help" else 2)
    assert done.returncode == 0 or (done.stdout == "" and done.stderr.count("\n") == 1)


WRONG = [
    {"split_list": "0,2,4"}, {"split_list": [0, 3, 2]}, {"split_type": "s0-t3"}, {"split_type": "../../s0-t2"},
    {"class_order": [0, 1, 2]}, {"device": "mps"}, {"data_root": "a\0b"}, {"checkpoint_root": "x" * 300},
    {"data_root": "x" * 300}, {"dataset": "folder:\n"}, {"dataset": "cifar1000"}, {"unlabeled": "cifar100"},
    {"dataset": "folder:" + "x" * 300}, {"prune": 1}, {"mixmatch": None}, {"epoch": 2}, {"split_list": [0, 1, 4]},
]  # fmt: skip
BASELINE, ABLATION = partial(train_EDE_Net.baseline, "replay"), partial(train_EDE_Net.ablation, seeds=[0])


@pytest.mark.parametrize("entry", [train_classifier.train_model, train_EDE_Net.train_model, BASELINE, ABLATION])
def test_12_wrong_arguments_are_one_line_and_nothing_is_written(stand_in, tmp_path, refusal, entry):
    """Issue 13.12: also paths that are no paths. All entry functions refuse alike."""
    places = {"data_root": str(stand_in), "checkpoint_root": str(tmp_path / "root")}
    for wrong in WRONG:
        message = refusal(entry, **{**SPLIT, **places, **wrong})
        assert any(word in message for word in (*wrong, "data set", "too long", "is not there"))
    assert not list(tmp_path.rglob("*.pt"))


def test_exemplars_that_stage_one_cannot_know_are_refused_before_anything_is_trained(stand_in, tmp_path, refusal):
    places = {"data_root": str(stand_in), "checkpoint_root": str(tmp_path / "root"), "rehearsal_size": 16}
    for entry in (train_classifier.train_model, train_EDE_Net.train_model, ABLATION):
        message = refusal(entry, **{**SPLIT, **places, "recipe": "cpu-plus", "exemplars": "herding"})
        assert ("other_exemplars=0" in message, (tmp_path / "root").exists()) == (True, False)


def test_the_sequence_refuses_it_in_one_line(stand_in, tmp_path, refusal):
    options = {**SEQUENCE, "data_root": str(stand_in), "checkpoint_root": str(tmp_path / "root")}
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


def test_a_network_that_is_missing_is_named_with_the_command_that_makes_it(stand_in, tmp_path, refusal):
    places = {"data_root": str(stand_in), "checkpoint_root": str(tmp_path / "root")}
    message = refusal(train_EDE_Net.train_model, **SPLIT, **places, rehearsal_size=16)
    assert "model_0to2_prune.json is not there" in message
    assert "python train_classifier.py 'train_model(split_list=[0, 2, 4]" in message
    message = refusal(trainMTIL.train_EDE_Net, data_list=["svhn", "MNIST"], **SEQUENCE, **places)
    assert "model_svhn.json is not there" in message
    assert "python trainMTIL.py 'train_MTIL_classifier(" in message


def test_what_is_one_training_is_refused_under_torchrun(refusal, monkeypatch):
    for name, value in {"TORCHELASTIC_RUN_ID": "1", "RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("datasets.stand_ins.demo_options", None)  # refused before anything is drawn or trained
    for function, options in (
        (train_classifier.train_model, {"restart": True}),
        (train_classifier.train_model, {"dry_run": True}),
        (train_classifier.train_model, {"warm_epochs": 1}),
        (train_EDE_Net.train_model, {}),
        (train_EDE_Net.baseline, {"kind": "replay"}),
        (train_EDE_Net.demo, {}),
        (trainMTIL.train_EDE_Net, {}),
        (trainMTIL.demo, {}),
    ):
        assert "in one process: start the script without torchrun" in refusal(function, **options)


def test_14_other_functions_refuse_it_in_one_line_too(tmp_path, refusal):
    """Issue 13.14."""
    assert "a" in refusal(train_EDE_Net.compare, "a\0", "b")
    assert "folder" in refusal(train_EDE_Net.evaluate, "a\0")
    assert "stage" in refusal(train_EDE_Net.evaluate, str(tmp_path), stage="2")
    assert "dataset" in refusal(train_EDE_Net.evaluate, str(tmp_path), dataset=5)
    assert "delete checkpoints/ablation_" in refusal(train_EDE_Net.ablation, restart=True)
    assert "image" in refusal(train_EDE_Net.predict, 5, "a.pt")
    assert "nowhere.pt" in refusal(train_EDE_Net.predict, "a.png", str(tmp_path / "nowhere.pt"))
    assert "xxx" in refusal(train_EDE_Net.predict, "x" * 300, "x" * 300)
    assert "data_root" in refusal(train_EDE_Net.demo, data_root=5)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_12_a_closed_folder_is_one_line_with_its_name(finished, stand_in, tmp_path, refusal):
    """Issue 13.12."""
    closed, stage = tmp_path / "closed", shutil.copy(finished.ede_net / "stage_1.pt", tmp_path)
    closed.mkdir(mode=0o700)
    for path in (tmp_path, *tmp_path.parents[:-2], stand_in, tmp_path / "stage_1.pt"):
        path.chmod(0o755)
    inside = str(closed / "inside")
    options = {**SPLIT, "data_root": str(stand_in), "checkpoint_root": str(tmp_path / "root")}
    os.seteuid(65534)
    try:
        for root in ("data_root", "checkpoint_root"):
            assert str(closed) in refusal(train_classifier.train_model, **{**options, root: inside})
        assert str(closed) in refusal(train_EDE_Net.evaluate, inside)
        assert str(closed) in refusal(train_EDE_Net.predict, inside, checkpoint=stage)
        assert str(closed) in refusal(train_EDE_Net.predict, "a.png", checkpoint=inside)
    finally:
        os.seteuid(0)
