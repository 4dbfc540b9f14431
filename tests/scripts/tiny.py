"""The commands of the smallest sensible runs of both stages and of the sequence."""

from pathlib import Path

from processes import call_of

SHARED = {"recipe": "demo", "device": "cpu", "amp": "off", "widths": [4, 6, 8, 10], "save_every": 1, "epochs": 3}
SPLIT = {
    **SHARED,
    "split_list": [0, 2, 4],
    "split_type": "s0-t2",
    "batch_size": 4,
    "unlabeled_batch_size": 2,
    "min_width": 2,
    "max_accuracy_loss": 100.0,
    "max_rounds": 1,
    "distill_epochs": 1,
    "finetune_batch_size": 6,
    "finetune_epochs": 3,
}
REHEARSAL = 16
SEQUENCE = {**SHARED, "batch_size": 8, "finetune_epochs": 4, "min_updates": 1}
NAMES = ["MNIST", "SVNH"]
STAGE_ONE = "classifier_cifar100_s0-t2_resnet18_mixmatch"
STAGE_TWO = f"EDE_Net_cifar100_s0-t2_resnet18_rehearsal_{REHEARSAL}"


def split_commands(data: Path, root: Path, **more) -> list[tuple[str, str]]:
    """Both stages of two tasks of two classes."""
    options = {**SPLIT, "data_root": str(data), "checkpoint_root": str(root), **more}
    return [
        ("train_classifier.py", call_of("train_model", **options)),
        ("train_EDE_Net.py", call_of("train_model", rehearsal_size=REHEARSAL, **options)),
    ]


def sequence_commands(data: Path, root: Path, **more) -> list[tuple[str, str]]:
    """Both stages of two data sets."""
    options = {**SEQUENCE, "data_root": str(data), "checkpoint_root": str(root), **more}
    return [
        ("trainMTIL.py", call_of("train_MTIL_classifier", data_type=NAMES, **options)),
        ("trainMTIL.py", call_of("train_EDE_Net", data_list=NAMES, num_per_class=1, **options)),
    ]
