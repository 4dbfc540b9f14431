"""Every option and hyper-parameter, its default, where the default is from, and what values it may take.

"seed text" is the document this project implements; "paper" defaults not marked so are this project's reading of what
that text leaves open. `recipe="cpu"` replaces some of them: see `CIL` and `MTIL`.
"""

import difflib
import shlex
import sys
from dataclasses import dataclass, field, fields
from typing import Any

from utils.errors import UserError


def _option(default: Any, help: str, check: tuple[str, Any]) -> Any:
    """A field whose metadata say what it is for and what it accepts: (description, predicate)."""
    return field(default=default, metadata={"help": help, "expected": check[0], "accepts": check[1]})


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return (_is_int(value) or isinstance(value, float)) and abs(value) <= sys.float_info.max


def _is_widths(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and len(value) == 4 and all(_is_int(width) and width > 0 for width in value)


def _is_order(value: Any) -> bool:
    return (
        value is None
        or (_is_int(value) and 0 <= value < 2**32)
        or (isinstance(value, (list, tuple)) and all(_is_int(item) for item in value))
    )


def _one_of(*names: str) -> tuple[str, Any]:
    return " or ".join(f'"{name}"' for name in names), lambda value: value in names and isinstance(value, str)


TEXT = (
    "a text that is not empty, in printable characters",
    lambda value: isinstance(value, str) and value != "" and value.isprintable(),
)
FLAG = ("True or False", lambda value: isinstance(value, bool))
COUNT = ("a whole number from 1 up", lambda value: _is_int(value) and value >= 1)
# Below 9 the last residual stage would see one pixel, of which batch-norm learns nothing when a batch has one image.
SIZE = ("a whole number from 16 up", lambda value: _is_int(value) and value >= 16)
PAIR = ("a whole number from 2 up", lambda value: _is_int(value) and value >= 2)
INDEX = ("a whole number from 0 to 2**32 - 1", lambda value: _is_int(value) and 0 <= value < 2**32)
NATURAL = ("a whole number from 0 up", lambda value: _is_int(value) and value >= 0)
POSITIVE = ("a number above 0", lambda value: _is_number(value) and value > 0)
NOT_NEGATIVE = ("a number from 0 up", lambda value: _is_number(value) and value >= 0)
SHARE = ("a number above 0 and below 1", lambda value: _is_number(value) and 0 < value < 1)
WIDTHS = ("four whole numbers from 1 up", _is_widths)
ORDER = ("None, a seed, or a list of all class numbers", _is_order)


@dataclass(frozen=True)
class Settings:
    """All options of a run. `Settings()` is `recipe="paper"`."""

    # Where, and under which protocol.
    data_root: str = _option("data", "folder of the data sets, as torchvision keeps them", TEXT)
    dataset: str = _option("cifar100", 'what is learned: a data set\'s name, or "folder:PATH"', TEXT)
    image_size: int = _option(32, "images are brought to so many pixels square", SIZE)
    checkpoint_root: str = _option("checkpoints", "folder under which runs write", TEXT)
    classifier_root: str | None = _option(
        None,
        "stage two: where stage one wrote, if not under checkpoint_root",
        ("None or a text that is not empty", lambda v: v is None or TEXT[1](v)),
    )
    device: str = _option("auto", '"auto" is CUDA where there is one, else the CPU', TEXT)
    data_device: str = _option(
        "auto", '"cpu" keeps the images there and copies each batch; "auto": on the device', _one_of("auto", "cpu")
    )
    seed: int = _option(0, "seed of every random choice", INDEX)
    class_order: Any = _option(None, "None for 0…99, a seed (1993 is the field's), or a list of all classes", ORDER)
    selection: str = _option(
        "validation",
        "what chooses epochs and judges compression; the test set is a known bad habit",
        _one_of("validation", "test"),
    )
    unlabeled: str = _option("cifar10", 'the unlabelled images of MixMatch: a data set\'s name, or "folder:PATH"', TEXT)
    exemplars: str = _option("random", "how exemplars are chosen", _one_of("random", "herding"))
    recipe: str = _option("paper", "the defaults of everything below", TEXT)
    restart: bool = _option(False, "begin anew in place of what the folder holds", FLAG)
    dry_run: bool = _option(False, "say what would be run and how long it would take, and write nothing", FLAG)

    # Stage one. Adam, 5e-4, cosine annealing: seed text.
    widths: tuple[int, ...] = _option((64, 128, 256, 512), "channels of the four residual stages of ResNet-18", WIDTHS)
    epochs: int = _option(400, "epochs of a stage-one training", COUNT)
    batch_size: int = _option(128, "labelled images a batch in stage one", COUNT)
    lr: float = _option(5e-4, "initial learning rate of stage one (seed text)", POSITIVE)
    weight_decay: float = _option(5e-4, "L2 penalty of Adam, everywhere (seed text)", NOT_NEGATIVE)
    clip_norm: float = _option(5.0, "gradient norm clipped at, everywhere", POSITIVE)
    validation_fraction: float = _option(0.1, "share of each class's training images held out in stage one", SHARE)
    padding: int = _option(4, "zero padding of the random crop, everywhere", NATURAL)
    rotation: float = _option(5.0, "random rotation in stage one, ± degrees", NOT_NEGATIVE)

    # MixMatch: Berthelot et al. 2019, section 4.1, except lambda_u (there 75 for CIFAR-10).
    unlabeled_batch_size: int = _option(64, "unlabelled images a batch", COUNT)
    unlabeled_views: int = _option(2, "augmentations of each unlabelled image (K)", COUNT)
    sharpening: float = _option(0.5, "sharpening temperature of guessed labels (T)", POSITIVE)
    alpha: float = _option(0.75, "Beta(α, α) of MixMatch and of mixup, everywhere", POSITIVE)
    lambda_u: float = _option(10.0, "weight of the unlabelled loss", NOT_NEGATIVE)

    # Compression and distillation.
    percent: float = _option(0.5, "share of batch-norm scales below the threshold, each round", SHARE)
    max_accuracy_loss: float = _option(4.0, "points a compressed network may lie below its teacher", NOT_NEGATIVE)
    min_width: int = _option(8, "no residual stage gets narrower", COUNT)
    # 8: a step at widths 15-29-37-35 takes 1.5 times as long as at 16-32-40-32, with as many parameters (README).
    width_multiple: int = _option(8, "compressed widths are rounded to multiples of this", COUNT)
    max_rounds: int = _option(8, "compression rounds at most", NATURAL)
    distill_epochs: int = _option(400, "epochs of each round's distillation", COUNT)
    distill_lr: float = _option(5e-4, "its initial learning rate (seed text)", POSITIVE)
    temperature: float = _option(2.0, "distillation temperature (T of Hinton et al. 2015)", POSITIVE)

    # Stage two.
    finetune: str = _option("all", "what stage two trains: everything, or the linear heads", _one_of("all", "heads"))
    finetune_epochs: int = _option(50, "passes over the rehearsal set for each task of stage two", COUNT)
    finetune_batch_size: int = _option(64, "images a batch in stage two, exemplars and current ones together", PAIR)
    finetune_lr: float = _option(5e-4, "its initial learning rate (seed text)", POSITIVE)
    min_updates: int = _option(0, "updates of a fine-tuning at least, whatever its epochs", NATURAL)
    finetune_rotation: float = _option(10.0, "random rotation in stage two, ± degrees", NOT_NEGATIVE)

    # How it is run.
    evaluate_every: int = _option(10, "epochs between evaluations on the held-out images", COUNT)
    evaluate_last: int = _option(5, "the last epochs, each of which is evaluated", COUNT)
    save_every: int = _option(5, "epochs between saves of an unfinished training", COUNT)
    amp: str = _option(
        "auto", "autocast of the forward passes; auto: where it pays", _one_of("auto", "off", "bfloat16", "float16")
    )
    compile: bool = _option(False, "translate the networks by torch.compile for training", FLAG)
    deterministic: bool = _option(False, "algorithms of which every run gives the same bits, on CUDA too", FLAG)

    def configuration(self, stage: int | str) -> dict[str, Any]:
        """What decides the results of stage 1 or 2, or of a baseline by its kind, as plain values, except which data
        there are."""
        ignored = WHERE | DATA | IGNORED[stage]
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in vars(self).items()
            if name not in ignored
        }


# Options that do not change what is computed but for the last digits: where things are, how often they are saved, how a
# device is used.
WHERE = {
    *("data_root", "checkpoint_root", "classifier_root", "device", "data_device", "restart", "dry_run", "save_every"),
    *("compile", "deterministic"),
}
# Options that name data. A path would only say where they are: `setup.described` says what they are.
DATA = {"dataset", "unlabeled"}
# Options that matter in one stage alone.
COMPRESSION = {
    *("percent", "max_accuracy_loss", "min_width", "width_multiple", "max_rounds"),
    *("distill_epochs", "distill_lr", "temperature"),
}
STAGE_ONE = COMPRESSION | {
    *("widths", "epochs", "batch_size", "lr", "validation_fraction", "rotation"),
    *("unlabeled_batch_size", "unlabeled_views", "sharpening", "lambda_u", "evaluate_every", "evaluate_last"),
}
STAGE_TWO = {
    *("exemplars", "finetune", "finetune_epochs", "finetune_batch_size", "finetune_lr", "finetune_rotation"),
    "min_updates",
}
# A baseline of one network is trained as in stage one, with nothing held out, chosen or compressed.
ONE_NETWORK = STAGE_TWO | COMPRESSION | {"selection", "validation_fraction", "evaluate_every", "evaluate_last"}
# What decides nothing in each stage and in each baseline. Stage one's sub-models, merely joined, are not trained.
IGNORED: dict[int | str, set[str]] = {
    1: STAGE_TWO,
    2: STAGE_ONE,
    "finetune": ONE_NETWORK,
    "replay": ONE_NETWORK - {"exemplars"},
    "joint": ONE_NETWORK,
    "concatenate": STAGE_ONE | STAGE_TWO | {"alpha", "padding", "weight_decay", "clip_norm", "amp"},
}

NAMES = tuple(item.name for item in fields(Settings))

# Class-incremental learning of one data set. "paper" is what `Settings` says.
CIL: dict[str, dict[str, Any]] = {
    "paper": {},
    # 20 classes of CIFAR-100 in four tasks within 45 minutes on two CPU cores; found by trying, see the README.
    # Smaller batches and a higher rate make the most of few epochs; the weight of the unlabelled loss at 10 holds so
    # short a training back (77 % instead of 85 % on the first task). One round of compression halves the widths.
    "cpu": {
        "widths": (16, 32, 64, 128),
        "epochs": 50,
        "batch_size": 64,
        "lr": 2e-3,
        "unlabeled_batch_size": 16,
        "lambda_u": 1.0,
        "distill_epochs": 50,
        "distill_lr": 2e-3,
        "width_multiple": 1,  # one round from these widths leaves the first two stages whole: nothing to gain
        "max_rounds": 1,
        "finetune_epochs": 40,
        "finetune_lr": 1e-3,
        "evaluate_every": 5,
    },
    # The stand-in data of the demo and the tests.
    "demo": {
        "widths": (8, 16, 32, 64),
        "epochs": 20,
        "batch_size": 32,
        "lr": 2e-3,
        "unlabeled_batch_size": 8,
        "lambda_u": 1.0,
        "distill_epochs": 25,
        "distill_lr": 2e-3,
        "max_accuracy_loss": 10.0,
        "min_width": 4,
        "width_multiple": 1,
        "max_rounds": 1,
        "finetune_epochs": 15,
        "finetune_batch_size": 32,
        "finetune_lr": 2e-3,
        "evaluate_every": 5,
    },
}


# The sequence MNIST → SVHN → CIFAR-10.
MTIL: dict[str, dict[str, Any]] = {
    "paper": {
        "widths": (64, 128, 128, 128),
        "epochs": 150,
        "finetune_epochs": 20,
        "finetune_batch_size": 128,
        "min_updates": 200,
    },
    "cpu": {
        "widths": (16, 32, 32, 32),
        "epochs": 15,
        "lr": 2e-3,
        "finetune_epochs": 20,
        "finetune_lr": 1e-3,
        "finetune_batch_size": 128,
        "min_updates": 200,
    },
    "demo": {
        "widths": (8, 16, 16, 16),
        "epochs": 6,
        "batch_size": 32,
        "lr": 2e-3,
        "finetune_epochs": 5,
        "finetune_batch_size": 32,
        "finetune_lr": 1e-3,
        "min_updates": 40,
    },
}

# What has no meaning in the sequence: it is supervised and not compressed, its exemplars are drawn at random, and its
# data sets, of 32×32 pixels, are named by its functions.
CIL_ONLY = {
    *("dataset", "image_size"),
    *("class_order", "exemplars", "classifier_root", "dry_run", "unlabeled", "unlabeled_batch_size", "unlabeled_views"),
    *("sharpening", "lambda_u", "percent", "max_accuracy_loss", "min_width", "width_multiple", "max_rounds"),
    *("distill_epochs", "distill_lr", "temperature"),
}
MTIL_NAMES = tuple(name for name in NAMES if name not in CIL_ONLY)


def settings(recipes: dict[str, dict[str, Any]] = CIL, /, **options: Any) -> Settings:
    """The settings of a recipe out of `recipes` with these options in place of its defaults.

    Raises: `UserError` for an unknown name (with the nearest known one) or a value that is not accepted.
    """
    known = NAMES if recipes is CIL else MTIL_NAMES
    for name in options:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.0)[0]
            raise UserError(f'unknown option "{name}": did you mean "{near}"? Known: {", ".join(known)}')
    recipe = options.get("recipe", "paper")
    if not isinstance(recipe, str) or recipe not in recipes:
        raise UserError(f"recipe={recipe!r} is not known: expected {' or '.join(map(repr, recipes))}")
    chosen = {**recipes[recipe], **options}
    for item in fields(Settings):
        if item.name in chosen and not item.metadata["accepts"](chosen[item.name]):
            raise UserError(f"{item.name}={chosen[item.name]!r} is not accepted: expected {item.metadata['expected']}")
    if isinstance(chosen.get("widths"), list):
        chosen["widths"] = tuple(chosen["widths"])
    return Settings(**chosen)


def command_line(
    script: str,
    function: str,
    arguments: dict[str, Any],
    chosen: Settings,
    recipes: dict[str, dict[str, Any]] = CIL,
    stage: int | None = None,
) -> str:
    """The shell command of a call: its `arguments`, and the options that differ from their recipe's defaults; those
    that matter in `stage`, if it is given."""
    plain = settings(recipes, recipe=chosen.recipe)
    options = {
        name: value
        for name, value in vars(chosen).items()
        if name not in {"restart", "recipe", *(IGNORED[stage] if stage else ())} and value != getattr(plain, name)
    }
    if chosen.recipe != "paper":
        options["recipe"] = chosen.recipe
    call = f"{function}({', '.join(f'{name}={value!r}' for name, value in {**arguments, **options}.items())})"
    return (
        f"python {script} {shlex.quote(call)}"
        if '"' in call
        else "python {} '{}'".format(script, call.replace("'", '"'))
    )
