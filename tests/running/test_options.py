"""Options: the paper's table, what is accepted, and the command line that gives them again."""

import json
import shlex

import pytest

import train_classifier
from utils.running import command, options
from utils.running.options import OPTIONS, RECIPES, settings

# METHOD.md's table, stage one · distillation · stage two of CIFAR-100, and the paragraphs below it, row by row.
PAPER = {
    "lr": 5e-4, "distill_lr": 5e-4, "finetune_lr": 5e-4, "weight_decay": 5e-4,
    "epochs": 400, "distill_epochs": 400, "finetune_epochs": 50,
    "batch_size": 128, "unlabeled_batch_size": 64, "unlabeled_views": 2, "finetune_batch_size": 64,
    "padding": 4, "rotation": 5.0, "finetune_rotation": 10.0,
    "clip_norm": 5.0, "widths": (64, 128, 256, 512),
    "sharpening": 0.5, "alpha": 0.75, "lambda_u": 10.0,
    "percent": 0.5, "max_accuracy_loss": 4.0, "min_width": 8, "max_rounds": 8, "temperature": 2.0,
    "validation_fraction": 0.1, "selection": "validation",
    "exemplars": "random", "unlabeled": "cifar10", "class_order": None, "finetune": "all",
}  # fmt: skip
SEQUENCE = {"widths": (64, 128, 128, 128), "epochs": 150, "finetune_epochs": 20, "min_updates": 200, "batch_size": 128}


def test_the_paper_recipe_is_the_methods_table():
    assert {name: getattr(settings({}), name) for name in PAPER} == PAPER
    assert {name: getattr(settings({}, sequence=True), name) for name in SEQUENCE} == SEQUENCE
    assert settings({}, sequence=True).finetune_batch_size == 128
    assert (settings({"recipe": "demo"}).lr, settings({"recipe": "demo"}, sequence=True).lr) == (2e-3, 2e-3)  # as "cpu"


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipes_values_are_accepted_and_an_option_goes_before_them(recipe):
    for sequence in (False, True):
        made = settings({"recipe": recipe, "epochs": 7}, sequence)
        assert made.epochs == 7
        options.require_arguments(**{name: getattr(made, name) for name in options.names(sequence)})


@pytest.mark.parametrize("name", OPTIONS)
def test_every_option_has_a_range_and_refuses_the_rest_by_name(refusal, name):
    """Issue 13.11: no value that loops for ever or takes all memory."""
    for value in (-1, 2**32, 10**400, float("nan"), float("inf"), "", "a\0b", "x" * 2000, [-1], {}):
        message = refusal(settings, {name: value})
        assert message.startswith(f"{name}=")
        assert OPTIONS[name].check.words in message
        assert len(message) < 500


@pytest.mark.parametrize(
    "wrong",
    [{"unlabeled_views": 10**6}, {"padding": 10**9}, {"widths": [2**63] * 4}, {"widths": (1, 2, 3, True)},
     {"seed": 2**32}, {"finetune_batch_size": 1}, {"batch_size": 0}, {"sharpening": 1e-9}, {"lambda_u": 1e308},
     {"lr": 1e300}, {"image_size": 15}, {"prune": 1}, {"seeds": [0, 0]}, {"seeds": 3}, {"kind": "replai"},
     {"lr": True}, {"epochs": 0.5}, {"epochs": None}, {"amp": "x"}, {"data_root": 5}],
    ids=str,
)  # fmt: skip
def test_what_no_training_survives_is_refused(refusal, wrong):
    assert refusal(options.require_arguments, **wrong).startswith(f"{next(iter(wrong))}=")


def test_what_decides_a_result_is_recorded_and_what_does_not_is_not():
    decided = settings({}).deciding(*{option.decides for option in OPTIONS.values()} - {"", "data"})
    assert json.loads(json.dumps(decided)) == decided
    places = {"data_root", "checkpoint_root", "classifier_root", "device", "data_device", "restart", "save_every"}
    ways = {"dry_run", "compile", "deterministic", "recipe"}  # of computing the same
    data = {"dataset", "unlabeled", "class_order"}  # their images have fingerprints
    assert set(decided) == set(OPTIONS) - places - ways - data


def test_home_is_expanded_in_every_root(monkeypatch):
    """Issue 13.12: `checkpoint_root="~/runs"` made a folder named `~`."""
    monkeypatch.setenv("HOME", "/home/me")
    made = settings(dict.fromkeys(("data_root", "checkpoint_root", "classifier_root"), "~/runs"))
    assert {made.data_root, made.checkpoint_root, made.classifier_root} == {"/home/me/runs"}


@pytest.mark.parametrize(
    "given",
    [{}, {"recipe": "cpu", "epochs": 3, "widths": [1, 2, 3, 4]}, {"data_root": "it's here", "checkpoint_root": 'a "b"'},
     {"data_root": "back\\slash", "lr": 1e-5, "selection": "test"}],
    ids=str,
)  # fmt: skip
def test_a_printed_command_is_the_call_again(given):
    made = settings(given)
    call = {"split_list": [0, 5, 10], "split_type": "s0-t2", "prune": True, "mixmatch": False}
    *_, text = shlex.split(command.command_line("train_classifier.py", "train_model", call, made))
    parsed = command.parse_call(text, [train_classifier.train_model])
    assert {name: parsed.keywords.pop(name) for name in call} == call
    assert settings(parsed.keywords) == made
