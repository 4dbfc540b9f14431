"""Options, their defaults, and what is refused."""

import json
import shlex
from dataclasses import fields

import pytest

import train_classifier
import train_EDE_Net
from utils import command, recipes
from utils.errors import UserError
from utils.recipes import NAMES, Settings

# METHOD.md's table, stage one · distillation · stage two of CIFAR-100, and the paragraphs below it.
PAPER = {
    "lr": 5e-4,
    "distill_lr": 5e-4,
    "finetune_lr": 5e-4,
    "weight_decay": 5e-4,
    "epochs": 400,
    "distill_epochs": 400,
    "finetune_epochs": 50,
    "batch_size": 128,
    "unlabeled_batch_size": 64,
    "unlabeled_views": 2,
    "finetune_batch_size": 64,
    "padding": 4,
    "rotation": 5.0,
    "finetune_rotation": 10.0,
    "clip_norm": 5.0,
    "widths": (64, 128, 256, 512),
    "sharpening": 0.5,
    "alpha": 0.75,
    "lambda_u": 10.0,
    "percent": 0.5,
    "max_accuracy_loss": 4.0,
    "min_width": 8,
    "max_rounds": 8,
    "temperature": 2.0,
    "validation_fraction": 0.1,
    "selection": "validation",
    "exemplars": "random",
    "unlabeled": "cifar10",
    "class_order": None,
    "finetune": "all",
}
# The list of options.
PROTOCOL = {"data_root": "data", "checkpoint_root": "checkpoints", "device": "auto", "seed": 0, "recipe": "paper"}
OWN_IMAGES = {"dataset": "cifar100", "image_size": 32}


def refused(**options):
    with pytest.raises(UserError) as caught:
        recipes.settings(**options)
    message = str(caught.value)
    assert message.isprintable(), "one line"
    return message


@pytest.mark.parametrize("made", [Settings(), recipes.settings(), recipes.settings(recipe="paper")])
def test_the_paper_recipe_is_the_table(made):
    assert {name: getattr(made, name) for name in PAPER} == PAPER
    assert {name: getattr(made, name) for name in PROTOCOL} == PROTOCOL
    assert {name: getattr(made, name) for name in OWN_IMAGES} == OWN_IMAGES


def test_the_cpu_recipe_is_narrower_and_shorter():
    cpu, paper = recipes.settings(recipe="cpu"), recipes.settings()
    assert cpu.widths == (16, 32, 64, 128)
    assert cpu.epochs < paper.epochs
    assert cpu.distill_epochs < paper.distill_epochs


@pytest.mark.parametrize("recipe", recipes.CIL)
def test_an_option_goes_before_its_recipe(recipe):
    assert recipes.settings(recipe=recipe, epochs=7).epochs == 7
    assert recipes.settings(epochs=7, recipe=recipe).recipe == recipe


@pytest.mark.parametrize("recipe", recipes.CIL)
def test_a_recipe_only_has_known_options_of_accepted_values(recipe):
    made = recipes.settings(recipe=recipe)
    assert set(recipes.CIL[recipe]) <= set(NAMES)
    assert all(item.metadata["accepts"](getattr(made, item.name)) for item in fields(made))


@pytest.mark.parametrize(
    ("wrong", "near"),
    [
        ("epoch", "epochs"),
        ("finetune_epoch", "finetune_epochs"),
        ("unlabelled", "unlabeled"),
        ("learning_rate", "lr"),
        ("lambda", "lambda_u"),
        ("width", "widths"),
        ("seeds", "seed"),
        ("checkpoints_root", "checkpoint_root"),
        ("max_acuracy_loss", "max_accuracy_loss"),
    ],
)
def test_an_unknown_option_names_the_nearest(wrong, near):
    message = refused(**{wrong: 1})
    assert f'"{wrong}"' in message
    if near != "lr":
        assert f'"{near}"' in message.split("?")[0]


@pytest.mark.parametrize("entry", [train_classifier.train_model, train_EDE_Net.train_model])
def test_entry_functions_refuse_an_unknown_option_before_anything_is_written(entry, tmp_path):
    with pytest.raises(UserError, match='did you mean "finetune_epochs"'):
        entry(split_type="s0-t10", finetune_epoch=3, checkpoint_root=str(tmp_path / "new"))
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("recipe", ["papr", "", None, 3, ["paper"], True])
def test_an_unknown_recipe_names_the_known_ones(recipe):
    message = refused(recipe=recipe)
    assert "paper" in message
    assert "cpu" in message


TEXT, FLAG = [None, 3, "", ["a"]], [1, 0, None, "True"]
COUNT = [0, -1, 1.0, "3", True, None, float("nan"), [3]]
NATURAL = [-1, 0.5, "3", False, None]
POSITIVE = [0, -1.0, "0.1", True, None, float("nan"), float("inf"), [0.1]]
NOT_NEGATIVE = [-0.1, "0", False, None, float("nan"), float("-inf")]
SHARE = [0, 1, 1.5, -0.5, "0.5", True, None]
WRONG = {
    "data_root": TEXT,
    "dataset": TEXT,
    "image_size": [15, 0, -32, 32.0, "32", True, None, [32, 32]],
    "checkpoint_root": TEXT,
    "classifier_root": ["", 3, ["a"], True],
    "device": TEXT,
    "data_device": ["cuda", "gpu", None, 3],
    "dry_run": [0, 1, "True", None],
    "compile": [0, 1, "True", None],
    "deterministic": [0, 1, "True", None],
    "seed": [-1, 2**32, 1.0, "0", True, None],
    "class_order": [-1, 2**32, 1.5, "1993", True, [0.5], [True], ["a"], {0, 1}],
    "selection": ["train", "Test", None, True, 3, ["test"]],
    "unlabeled": TEXT,
    "exemplars": ["nearest", "Random", None, 3, ["random"]],
    "recipe": ["fast", None, 3],
    "restart": FLAG,
    "widths": [(64, 128, 256), (64, 128, 256, 0), (64, 128, 256, 1.0), (1, 2, 3, True), "1234", 64, None, {1, 2, 3, 4}],
    "epochs": COUNT,
    "batch_size": COUNT,
    "lr": POSITIVE,
    "weight_decay": NOT_NEGATIVE,
    "clip_norm": POSITIVE,
    "validation_fraction": SHARE,
    "padding": NATURAL,
    "rotation": NOT_NEGATIVE,
    "unlabeled_batch_size": COUNT,
    "unlabeled_views": COUNT,
    "sharpening": POSITIVE,
    "alpha": POSITIVE,
    "lambda_u": NOT_NEGATIVE,
    "percent": SHARE,
    "max_accuracy_loss": NOT_NEGATIVE,
    "min_width": COUNT,
    "width_multiple": COUNT,
    "max_rounds": NATURAL,
    "distill_epochs": COUNT,
    "distill_lr": POSITIVE,
    "temperature": POSITIVE,
    "finetune": ["head", "All", None, 3],
    "finetune_epochs": COUNT,
    "finetune_batch_size": [*COUNT, 1],  # one row cannot hold both an exemplar and a current image
    "finetune_lr": POSITIVE,
    "min_updates": NATURAL,
    "finetune_rotation": NOT_NEGATIVE,
    "evaluate_every": COUNT,
    "evaluate_last": COUNT,
    "save_every": COUNT,
    "amp": ["on", "fp16", None, True],
}


def test_wrong_values_are_known_for_every_option():
    assert set(WRONG) == set(NAMES)


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in WRONG.items() for value in values])
def test_a_wrong_value_is_refused_by_name(name, value):
    message = refused(**{name: value})
    assert message.startswith(f"{name}=")
    assert "expected" in message


@pytest.mark.parametrize(
    "good",
    [
        {"lr": 1},
        {"widths": [1, 2, 3, 4]},
        {"class_order": 1993},
        {"class_order": list(range(100))},
        {"max_rounds": 0},
        {"rotation": 0},
        {"lambda_u": 0},
        {"classifier_root": None},
        {"seed": 2**32 - 1},
    ],
    ids=str,
)
def test_sensible_values_are_accepted(good):
    made = recipes.settings(**good)
    for name, value in good.items():
        found = getattr(made, name)
        assert (list(found) if isinstance(value, list) else found) == value


@pytest.mark.parametrize("stage", [1, 2, "finetune", "replay", "joint", "concatenate"])
def test_a_configuration_is_plain_values(stage):
    configuration = recipes.settings(class_order=(1, 0)).configuration(stage)
    assert json.loads(json.dumps(configuration)) == configuration


def test_the_configurations_hold_all_that_decides_the_results():
    one, two = (set(recipes.settings().configuration(stage)) for stage in (1, 2))
    places = {"data_root", "checkpoint_root", "classifier_root", "device", "data_device", "restart", "save_every"}
    ways = {"dry_run", "compile", "deterministic"}  # of computing the same, but for the last digits
    data = {"dataset", "unlabeled"}  # which a run's arguments describe, by name and fingerprint
    assert one | two == set(NAMES) - places - ways - data
    assert "image_size" in one & two
    assert {"seed", "class_order", "selection", "alpha", "padding", "weight_decay", "clip_norm", "amp"} <= one & two
    assert {"widths", "epochs", "lr", "percent", "max_rounds", "temperature", "lambda_u"} <= one
    assert {"exemplars", "finetune", "finetune_epochs", "finetune_lr", "finetune_batch_size"} <= two


def test_a_baselines_configuration_holds_what_decides_its_results():
    kinds = ("finetune", "replay", "joint", "concatenate")
    found = {kind: set(recipes.settings().configuration(kind)) for kind in kinds}
    assert found["concatenate"] == {"seed", "class_order", "selection", "recipe", "image_size"}
    assert found["finetune"] == found["joint"] == found["replay"] - {"exemplars"}
    trained = {"seed", "class_order", "recipe", "image_size", "widths", "epochs", "batch_size", "lr", "weight_decay"}
    mixed = {"unlabeled_batch_size", "unlabeled_views", "sharpening", "alpha", "lambda_u"}
    assert found["joint"] == trained | mixed | {"clip_norm", "padding", "rotation", "amp"}


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"recipe": "cpu", "epochs": 3, "class_order": list(range(100)), "widths": [1, 2, 3, 4]},
        {"data_root": "it's here", "checkpoint_root": 'say "what"', "recipe": "demo"},
        {"data_root": "back\\slash", "lr": 1e-5, "selection": "test", "device": "cpu"},
    ],
    ids=str,
)
def test_a_printed_command_is_the_call_again(options):
    made = recipes.settings(**options)
    call = {"split_list": [0, 5, 10], "split_type": "s0-t2", "prune": True, "mixmatch": False}
    python, script, text = shlex.split(recipes.command_line("train_classifier.py", "train_model", call, made))
    assert (python, script) == ("python", "train_classifier.py")
    parsed = command.parse_call(text, [train_classifier.train_model], options=NAMES)
    assert {name: parsed.keywords.pop(name) for name in call} == call
    assert recipes.settings(**parsed.keywords) == made
