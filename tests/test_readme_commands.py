"""Every command of the README is run as it stands there, from a folder with drawn data, by recipes of one epoch."""

import os
import re
import shutil

import pytest
from PIL import Image
from test_readme import COMMANDS, README, parsed

import train_classifier
import train_EDE_Net
from datasets import catalog, synthetic
from utils import figures, recipes, sequence_figures

SHORT = {
    "image_size": 16,  # where a command does not say
    "widths": (2, 2, 2, 2),
    "epochs": 1,
    "batch_size": 32,
    "unlabeled_batch_size": 2,
    "min_width": 1,
    "max_rounds": 0,
    "finetune_epochs": 1,
    "finetune_batch_size": 128,
    "evaluate_every": 1,
    "max_accuracy_loss": 100.0,
    "device": "cpu",
    "amp": "off",
}
IN_ORDER = re.findall(r"(train\w*\.py) '(\w+\([^'\n]*)'", README)


def save(image, path) -> None:
    Image.fromarray(image.permute(1, 2, 0).numpy()).save(path)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The working folder of someone who has the data, and photographs of flowers at home."""
    for table in (recipes.CIL, recipes.MTIL):
        short = {name: value for name, value in SHORT.items() if table is recipes.CIL or name in recipes.MTIL_NAMES}
        for name in ("paper", "cpu"):
            monkeypatch.setitem(table, name, {**short, "min_updates": 0})
    for module, names in ((figures, ("classifiers", "ede_net")), (sequence_figures, ("classifiers", "stage_two"))):
        for name in names:
            monkeypatch.setattr(module, name, lambda *arguments: None)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    # The sequence takes 50 exemplars a class, of ten classes; the splits have a hundred classes.
    synthetic.write("data", train_per_class=50, test_per_class=2, sets=("mnist", "svhn", "cifar10"))
    synthetic.write("hundred", train_per_class=3, test_per_class=1, classes=100, sets=("cifar100",))
    shutil.move("hundred/cifar-100-python", "data/cifar-100-python")
    images = catalog.load("cifar10", "data", "train").images
    for number in range(4):
        for part in ("train", "test"):
            place = tmp_path / "home" / "flowers" / part / f"flower {number}"
            place.mkdir(parents=True)
            for copy in range(3):
                save(images[10 * number + copy], place / f"{copy}.jpg")
    shutil.copytree("home/flowers/train", "home/more flowers")
    save(images[0], "rose.jpg")
    save(images[1], "cat.png")
    return tmp_path


def test_the_commands_are_all_there():
    assert len(set(IN_ORDER)) > 30
    assert set(COMMANDS) <= set(IN_ORDER)


def test_every_command_runs(folder, capsys):
    # What is compared in the README, beside what its commands make.
    train_classifier.train_model(split_type="s0-t10")
    train_EDE_Net.train_model(split_type="s0-t10", rehearsal_size=1000)
    for script, text in dict.fromkeys(IN_ORDER):
        if "demo()" in text:  # `.ci/run` and the tests of the sequence run the demos
            continue
        call = parsed(script, text.replace("seeds=[0, 1, 2]", "seeds=[0]"))  # the others' runs are the same again
        try:
            assert call() is not None
        except Exception as error:
            raise AssertionError(f"python {script} '{text}': {error}") from error
        capsys.readouterr()
    made = {path.name for path in (folder / "checkpoints").iterdir()}
    assert {"MTIL", "comparison", "ablation_cifar100_s0-t5_rehearsal_2000"} <= made
    assert os.path.exists("checkpoints/EDE_Net_folder-flowers_s0-t2_resnet18_rehearsal_200/stage_2.pt")
