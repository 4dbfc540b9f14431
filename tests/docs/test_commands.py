"""Every command of README.md and docs/ is run as it stands there, from a folder with drawn data.

Its trainings are one epoch of batches that are drawn and not learned from: how they learn is tested elsewhere.
"""

import ast
import re
import runpy
import shlex
import sys
import tempfile
from copy import copy
from functools import partial
from pathlib import Path

import pytest
import torch
from PIL import Image

import train_classifier
import train_EDE_Net
from datasets import stand_ins
from models import cost
from utils.method import training
from utils.running.command import options_table
from utils.running.options import OPTIONS

ROOT = Path(__file__).parents[2]
PAGES = [path.read_text(encoding="utf-8") for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))]
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```", "\n".join(PAGES), re.DOTALL | re.MULTILINE)
LINES = [line for _, block in BLOCKS for line in block.splitlines()]
COMMANDS = list(dict.fromkeys(line for line in LINES if line.startswith(("python ", "torchrun "))))

SHORT = {
    "widths": (2, 2, 2, 2),
    "epochs": 1,
    "batch_size": 32,
    "unlabeled_batch_size": 2,
    "min_width": 1,
    "max_rounds": 0,
    "finetune_epochs": 1,
    "finetune_batch_size": 256,
    "min_updates": 0,
    "evaluate_every": 1,
    "max_accuracy_loss": 100.0,
    "device": "cpu",
    "amp": "off",
}
RECIPES = {
    "image_size": dict.fromkeys(("paper", "plus", "cpu", "cpu_plus", "demo"), 16),  # not in the sequence
    "warm_epochs": {"plus": 1},
}


@pytest.fixture
def at_home(tmp_path, monkeypatch, without_figures):
    """The working folder of someone who has the data, and photographs of flowers at home; all options are short."""
    for name, option in OPTIONS.items():  # two recipes for all, so that one network serves many commands
        additions = {key: value for key, value in option.recipes.items() if "plus" in key}
        recipes = {} if name in SHORT else RECIPES.get(name, additions)
        short = copy(option)
        short.default, short.recipes = SHORT.get(name, option.default), recipes
        monkeypatch.setitem(OPTIONS, name, short)
    monkeypatch.setattr(cost, "flops", lambda *arguments: 1)
    monkeypatch.setattr(training.Updates, "update", drawn_only)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    # The sequence takes 50 exemplars a class, of ten classes; the splits have a hundred classes.
    stand_ins.write("data", train_per_class=50, test_per_class=2, sets=("mnist", "svhn", "cifar10"))
    stand_ins.write("data", train_per_class=2, test_per_class=1, classes=100, sets=("cifar100",))
    monkeypatch.setattr(stand_ins, "write", partial(stand_ins.write, train_per_class=20, test_per_class=1, classes=15))
    photograph = Image.effect_noise((80, 60), 100).convert("RGB")
    flowers = [f"home/flowers/{part}/flower {number}" for part in ("train", "test") for number in range(4)]
    for folder in (*flowers, "home/more flowers"):
        Path(folder).mkdir(parents=True)
        for number in range(3):
            photograph.save(f"{folder}/{number}.jpg")
    photograph.save("rose.jpg")
    photograph.save("cat.png")


def drawn_only(updates: training.Updates, number: int, rate: float) -> torch.Tensor:
    """In place of an update: the batch is drawn, and nothing learned from it. Returns a loss."""
    return torch.zeros(()) * len(updates.batches.draw(number))


def run(words: list[str]) -> object:
    """Runs `python …` in this process; returns the exit code."""
    if words[:2] == ["-m", "datasets.stand_ins"]:
        words += ["--train-per-class", "2", "--test-per-class", "1"]
    sys.argv = words[1:] if words[0] == "-m" else words
    try:
        runpy.run_module(sys.argv[0].removesuffix(".py"), run_name="__main__")
    except SystemExit as end:
        return end.code
    return None


def test_the_four_splits_and_the_sequence_have_their_commands():
    for script in ("train_classifier.py", "train_EDE_Net.py"):
        for split in ("s0-t10", "s0-t5", "s50-t5", "s50-t10"):
            assert any(line.startswith(f'python {script} \'train_model(split_type="{split}"') for line in COMMANDS)
    for count in (1, 5, 20, 50):
        call = f'train_EDE_Net(data_list=["MNIST", "SVNH", "cifar10"], num_per_class={count})'
        assert f"python trainMTIL.py '{call}'" in COMMANDS


@pytest.mark.filterwarnings("ignore:.*found in sys.modules:RuntimeWarning")
def test_every_command_runs(at_home, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", sys.argv)
    # What is compared in the README, beside what its commands make.
    train_classifier.train_model(split_type="s0-t10")
    train_EDE_Net.train_model(split_type="s0-t10", rehearsal_size=1000)
    for line in COMMANDS:
        if line == "python -m tests.benchmark":  # has tests of its own
            continue
        tool, *words = shlex.split(line.replace("seeds=[0, 1, 2]", "seeds=[0]"))  # the others' runs are the same again
        count = int(words.pop(0).removeprefix("--nproc-per-node=")) if tool == "torchrun" else 1
        for rank in range(count):
            job = {"TORCHELASTIC_RUN_ID": "test", "WORLD_SIZE": count, "RANK": rank, "LOCAL_RANK": rank}
            with monkeypatch.context() as process:
                for name in job if tool == "torchrun" else ():
                    process.setenv(name, str(job[name]))
                code = run([*words])
            assert code == 0, f"{line}: {capsys.readouterr().err}"
    capsys.readouterr()
    made = {path.name for path in Path("checkpoints").iterdir()}
    assert {"MTIL", "comparison", "ablation_cifar100_s0-t5_rehearsal_2000"} <= made
    [code] = [block for language, block in BLOCKS if language == "python"]  # which uses what the commands have made
    with torch.random.fork_rng():
        exec(code, {})
    assert len(ast.literal_eval(capsys.readouterr().out)) == 8


@pytest.mark.parametrize(("marker", "sequence"), [("options", False), ("options of the sequence", True)])
def test_the_tables_of_options_are_those_of_the_code(marker, sequence):
    page = (ROOT / "docs" / "options.md").read_text(encoding="utf-8")
    assert f"<!-- {marker} -->\n{options_table(sequence)}\n<!-- end of {marker} -->" in page, "put that there"
