"""Every option: its default, its value in each recipe, what it accepts, what it is for and what it decides.

"Method description" is the document that this project implements; defaults of the recipe "paper" not marked so are
its reading of what that document leaves open. Nothing here imports torch, so that a mistake in a call is told at once.
"""

import difflib
import os
import re
import reprlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

from utils.running.errors import UserError


class Check(NamedTuple):
    """What values an option takes: in words, and as a predicate."""

    words: str
    accepts: Callable[[Any], bool]


def whole(least: int, most: int) -> Check:
    return Check(f"a whole number from {least:,} to {most:,}", lambda n: type(n) is int and least <= n <= most)


def number(least: float, most: float) -> Check:
    return Check(f"a number from {least:g} to {most:g}", lambda x: type(x) in (int, float) and least <= x <= most)


def one_of(*names: str) -> Check:
    return Check(" or ".join(f'"{name}"' for name in names), lambda value: value in names)


def or_none(check: Check) -> Check:
    return Check(f"None or {check.words}", lambda value: value is None or check.accepts(value))


def _all(values: Any, check: Check) -> bool:
    return isinstance(values, list | tuple) and all(map(check.accepts, values))


TEXT = Check(
    "a text of 1 to 1,000 printable characters",
    lambda value: isinstance(value, str) and 0 < len(value) <= 1000 and value.isprintable(),
)
FLAG = Check("True or False", lambda value: isinstance(value, bool))
SEED = whole(0, 2**32 - 1)
WIDTHS = Check("four whole numbers from 1 to 4,096", lambda value: _all(value, whole(1, 4096)) and len(value) == 4)
ORDER = Check(
    "None or a seed from 0 to 4,294,967,295 or a list of all class numbers",
    lambda value: value is None or SEED.accepts(value) or _all(value, whole(0, 10**6)),
)
SPLIT_LIST = Check(
    "0 and then the end of every task, each above the one before, such as [0, 10, 20]",
    lambda value: _all(value, whole(0, 10**6)) and len(value) > 1 and list(value) == sorted({0, *value}),
)
SPLIT_TYPE = Check(
    '"sA-tB", A classes in the first task and B tasks after it, such as "s50-t5", or "s0-t10" for ten equal tasks',
    lambda value: isinstance(value, str) and re.fullmatch("s(0|[1-9][0-9]{0,5})-t[1-9][0-9]{0,5}", value) is not None,
)
SHARE = number(0.001, 0.999)
EPOCHS = whole(1, 100_000)
RATE = number(1e-9, 10)
BATCH = whole(1, 65_536)

RECIPES = ("paper", "plus", "cpu", "cpu-plus", "demo")


class Option:
    """One option.

    Args:
        decides: what it has a say in: "run", everything; "update", each training's steps; "network", stage one's
            trainings, and how they "start"; "mixmatch", "other", "choice" of epochs, "compression", "memory",
            "finetune" or "prediction"; "data", the images, which have fingerprints; "" for what changes no result but
            for the last digits.
        recipes: the values that differ from `default`, by recipe ("-" written as "_"), of "demo" from those of "cpu",
            of "cpu-plus" from those of "cpu", then "plus"; `seq` and `seq_…` are those of the sequence of data sets.
        sequence: whether it has a meaning there.
    """

    def __init__(self, default: Any, check: Check, decides: str, help: str, sequence: bool = True, **recipes: Any):
        self.default, self.check, self.decides, self.help = default, check, decides, help
        self.sequence, self.recipes = sequence, recipes


split_only = partial(Option, sequence=False)

# fmt: off
OPTIONS: dict[str, Option] = {
    # Where things are, and under which protocol.
    "data_root": Option("data", TEXT, "", "folder of the data sets"),
    "dataset": split_only("cifar100", TEXT, "data", 'what is learned: a data set\'s name, or "folder:PATH"'),
    # At 8 and below the last residual stage sees one pixel, of which batch-norm learns nothing in a batch of one image.
    "image_size": split_only(32, whole(16, 1024), "run", "height and width to which images are brought"),
    "checkpoint_root": Option("checkpoints", TEXT, "", "folder under which runs write"),
    "classifier_root": split_only(None, or_none(TEXT), "", "stage two: `checkpoint_root` of stage one, if another"),
    "device": Option("auto", TEXT, "", '`"auto"` is CUDA where there is one, else the CPU; or a name: `"cuda:1"`'),
    "data_device": Option("auto", one_of("auto", "cpu"), "", '`"cpu"` keeps images there and copies each batch'),
    "seed": Option(0, SEED, "run", "seed of every random choice"),
    "class_order": split_only(None, ORDER, "data", "order in which classes are learned: None is 0…99, a number is a "
        "seed (1993 is the field's usual one), or a list of all classes"),
    "selection": Option("validation", one_of("validation", "test"), "choice", "what chooses the epoch kept and judges "
                   "compression: held-out training images, or the test set, a known bad habit that results name"),
    "unlabeled": split_only("cifar10", TEXT, "data", "MixMatch: the data set whose images it uses without labels, or "
                   '`"folder:PATH"`'),
    "exemplars": split_only("random", one_of("random", "herding"), "memory", "how exemplars are chosen"),
    "recipe": Option("paper", one_of(*RECIPES), "", "the defaults of everything else: the columns of this table"),
    "restart": Option(False, FLAG, "", "begin anew in place of what the folder holds"),
    "dry_run": Option(False, FLAG, "", "say what would be trained and for how long, and write nothing"),

    # Stage one. Adam, 5e-4, cosine annealing: method description. The recipe "cpu" was found by trying: 20 classes of
    # CIFAR-100 in four tasks within 45 minutes on two cores. Small batches and high rates make the most of few epochs.
    "widths": Option((64, 128, 256, 512), WIDTHS, "network", "channels of the four residual stages of ResNet-18",
                cpu=(16, 32, 64, 128), demo=(8, 16, 32, 64),
                seq=(64, 128, 128, 128), seq_cpu=(16, 32, 32, 32), seq_demo=(8, 16, 16, 16)),
    "epochs": Option(400, EPOCHS, "network", "epochs of a stage-one training", cpu=50, cpu_plus=80, demo=20,
                seq=150, seq_cpu=15, seq_demo=6),
    "batch_size": Option(128, BATCH, "network", "labelled images a batch in stage one", cpu=64, demo=32, seq_demo=32),
    "lr": Option(5e-4, RATE, "network", "initial learning rate of stage one; cosine annealing (method description)",
            cpu=2e-3, seq_cpu=2e-3),
    "weight_decay": Option(5e-4, number(0, 10), "update", "L2 penalty of Adam, everywhere (method description)"),
    "clip_norm": Option(5.0, number(1e-6, 1e6), "update", "gradient norm clipped at, everywhere"),
    "validation_fraction": Option(0.1, SHARE, "choice", "share of each class's training images held out in stage one"),
    "padding": Option(4, whole(0, 256), "update", "zero padding of the random crop, everywhere"),
    "rotation": Option(5.0, number(0, 180), "network", "random rotation in stage one, ± degrees"),

    "warm_epochs": split_only(0, whole(0, 100_000), "start", "above 0: stage one's networks after the first begin "
        "with the weights of the task before's, for so many epochs", plus=200, cpu_plus=44),

    # MixMatch: views, sharpening and alpha from Berthelot et al. 2019, section 3.5. Their lambda_u is 75 for CIFAR-10;
    # 10 holds the short training of "cpu" back: 77 % instead of 85 % on the first task.
    "unlabeled_batch_size": split_only(64, BATCH, "mixmatch", "MixMatch: unlabelled images a batch", plus=32, cpu=16,
                              demo=8),
    "unlabeled_views": split_only(2, whole(1, 16), "mixmatch", "MixMatch: augmentations of each unlabelled image (K)"),
    "sharpening": split_only(0.5, number(0.01, 100), "mixmatch", "MixMatch: temperature of the guessed labels (T)"),
    "alpha": Option(0.75, number(0.001, 1000), "update", "Beta(α, α) of MixMatch and of mixup, everywhere"),
    "lambda_u": split_only(10.0, number(0, 1e4), "mixmatch", "MixMatch: weight of the unlabelled loss", cpu=1.0),

    # An output for what is none of the task's, see `utils.method.others`.
    "other_weight": split_only(0.0, number(0, 1000), "other", 'above 0: foreign images are "other", unlabelled ones '
        "with this weight in the loss, in place of MixMatch", plus=0.5),
    "other_exemplars": split_only(0, whole(0, 65_536), "other", 'exemplars of the tasks before in every batch, as '
        '"other"', plus=16, cpu_plus=8),

    # Compression and distillation.
    "percent": split_only(0.5, SHARE, "compression", "compression: share (0 to 1) of batch-norm scales below the "
        "threshold", cpu_plus=0.51),
    "max_accuracy_loss": split_only(4.0, number(0, 100), "compression", "compression: points a network may lie below "
        "its teacher", demo=10.0),
    "min_width": split_only(8, whole(1, 4096), "compression", "compression: no residual stage gets narrower", demo=4),
    # 8: a step at widths 15-29-37-35 takes 1.5 times as long as at 16-32-40-32. One round from the widths of "cpu"
    # leaves the first two stages whole: there is nothing to gain there.
    "width_multiple": split_only(8, whole(1, 1024), "compression", "compression: widths are multiples of this", cpu=1),
    "max_rounds": split_only(8, whole(0, 100), "compression", "compression: rounds at most", cpu=1),
    "distill_epochs": split_only(400, EPOCHS, "compression", "epochs of each round's distillation",
                        plus=100, cpu=50, cpu_plus=14, demo=25),
    "distill_lr": split_only(5e-4, RATE, "compression", "its initial learning rate (method description)", cpu=2e-3),
    "inherit": split_only(False, FLAG, "compression", "compressed networks begin with their teacher's strongest "
        "channels", plus=True),
    "temperature": split_only(2.0, number(0.01, 1000), "compression", "compression: distillation temperature (T)"),

    # Stage two.
    "finetune": Option("all", one_of("all", "late", "heads"), "finetune", "what stage two trains: everything, the last "
        "two residual stages and the heads, or the heads; no batch-norm statistics of what is not trained",
        plus="late"),
    "finetune_epochs": Option(50, EPOCHS, "finetune", "stage two: passes over the exemplars for each task",
                         cpu=40, demo=15, seq=20, seq_demo=5),
    "finetune_batch_size": Option(64, whole(2, 65_536), "finetune", "stage two: images a batch, of all kinds together",
                             demo=32, seq=128, seq_demo=32),
    "finetune_lr": Option(5e-4, RATE, "finetune", "stage two: initial learning rate (method description)",
                     cpu=1e-3, demo=2e-3, seq_cpu=1e-3),
    "min_updates": Option(0, whole(0, 10**7), "finetune", "stage two: updates at least, whatever the epochs",
                     seq=200, seq_plus=400, seq_demo=40),
    "finetune_rotation": Option(10.0, number(0, 180), "finetune", "stage two: random rotation, ± degrees"),

    # Distillation, see `utils.method.distill`, keeps from overfitting what mixup would.
    "finetune_mixup": Option(True, FLAG, "finetune", "stage two: whether pairs of images are mixed", plus=False,
        seq_plus=False),
    "finetune_distillation": Option(0.0, number(0, 1000), "finetune", "stage two: weight of distillation from the "
        "networks as they were before it", plus=10.0, seq_plus=0.3),
    "flip_average": split_only(False, FLAG, "prediction", "predictions are the mean over an image and its mirror image",
        plus=True),

    # How it is run.
    "evaluate_every": Option(10, EPOCHS, "choice", "stage one: epochs between evaluations on the images of `selection`",
                        cpu=5),
    "evaluate_last": Option(5, EPOCHS, "choice", "stage one: the last epochs, each of which is evaluated"),
    "save_every": Option(5, EPOCHS, "", "epochs between saves of an unfinished training, at least a minute apart"),
    "amp": Option("auto", one_of("auto", "off", "bfloat16", "float16"), "update", "autocast of the training's forward "
             'passes: `"auto"` where it pays'),
    "compile": Option(False, FLAG, "", "translate the networks by `torch.compile` for training"),
    "deterministic": Option(False, FLAG, "", "algorithms that give the same bits in every run, on CUDA too"),
}
# fmt: on

# The baselines, and what each is; all but "der" and "concatenate" see unlabelled images too, unless mixmatch=False.
BASELINES = {
    "finetune": "one network, trained on the current task's labelled images",
    "replay": "one network, trained on the current task's labelled images and the exemplars of the old classes",
    "joint": "one network, trained on ALL training images of the classes seen, which the protocol forbids: the upper "
    "bound",
    "der": "DER, frozen networks under one linear layer over all their features, the newest trained on the current "
    "task's labelled images and the exemplars of the old classes",
    "concatenate": "stage one's sub-models with their logits concatenated, without any training in stage two",
}

# The arguments of the entry functions that are no options.
ARGUMENTS = {
    "split_list": or_none(SPLIT_LIST),
    "split_type": or_none(SPLIT_TYPE),
    "prune": FLAG,
    "mixmatch": FLAG,
    "rehearsal_size": whole(1, 10**7),
    "kind": one_of(*BASELINES),
    "num_per_class": whole(1, 10**6),
    "num_class": whole(1, 10**6),
    "seeds": Check("a list of different seeds", lambda value: _all(value, SEED) and 0 < len(value) == len(set(value))),
    "top": whole(1, 10**6),
    "stage": or_none(whole(1, 10**6)),
}


def value(name: str, recipe: str, sequence: bool = False) -> Any:
    """The default of an option in a recipe, in a split or in the sequence of data sets."""
    option = OPTIONS[name]
    words = {"cpu-plus": ("cpu_plus", "cpu", "plus"), "demo": ("demo", "cpu")}.get(recipe, (recipe,))
    for key in [*(f"seq_{word}" for word in words), "seq"] if sequence else words:
        if key in option.recipes:
            return option.recipes[key]
    return option.default


class Settings(SimpleNamespace):
    """The value of every option, by name; `sequence` tells whose defaults the others have."""

    def deciding(self, *what: str) -> dict[str, Any]:
        """The values of the options that decide these, see `Option`, by name."""
        named = {name: getattr(self, name) for name, option in OPTIONS.items() if option.decides in what}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in named.items()}


def names(sequence: bool = False) -> list[str]:
    """The names of the options that have a meaning in a split, or in the sequence of data sets."""
    return [name for name, option in OPTIONS.items() if option.sequence or not sequence]


def settings(options: dict[str, Any], sequence: bool = False, **arguments: Any) -> Settings:
    """A recipe's settings with these options in place of its defaults; `arguments` are checked with them.

    Raises: `UserError` for an unknown name (with the nearest known one) or a value that is not accepted.
    """
    known = names(sequence)
    for name in options:
        if name not in known:
            near = difflib.get_close_matches(name, [*known, *ARGUMENTS], n=1, cutoff=0.0)[0]
            raise UserError(f'unknown option "{name[:60]}": did you mean "{near}"? --help lists all')
    require_arguments(**options, **arguments)
    recipe = options.get("recipe", "paper")
    chosen = {name: value(name, recipe, sequence) for name in OPTIONS} | options
    for name in ("data_root", "checkpoint_root", "classifier_root"):
        chosen[name] = chosen[name] and os.path.expanduser(chosen[name])
    return Settings(**{**chosen, "widths": tuple(chosen["widths"]), "sequence": sequence})


def require_arguments(**arguments: Any) -> None:
    """Raises `UserError` unless these arguments of an entry function, or options, have values that are accepted."""
    for name, each in arguments.items():
        require(name, each, ARGUMENTS.get(name) or OPTIONS[name].check)


def require(name: str, value: Any, check: Check) -> None:
    """Raises `UserError` unless a value is accepted."""
    if not check.accepts(value):
        raise UserError(f"{name}={reprlib.repr(value)} is not accepted: expected {check.words}")


def path_of(name: str, value: object) -> Path:
    """The path that an argument names. Raises `UserError` if it is none."""
    require(name, str(value) if isinstance(value, os.PathLike) else value, TEXT)
    return Path(os.path.expanduser(value))
