"""Published results of class-incremental learning on CIFAR-100, which the figures show beside a run's own."""

from collections.abc import Sequence

SPLITS = ("s0-t10", "s0-t5", "s50-t5", "s50-t10")
# On each split, as PROTOCOL says; from the papers and repositories in docs/results.md. EDE-Net itself: none was found.
AVERAGES = {
    "iCaRL": (65.27, 71.14, None, None),
    "iCaRL †": (None, None, 57.17, 52.57),
    "BiC": (68.80, None, None, None),
    "BiC †": (None, None, None, 53.21),
    "WA": (69.46, None, None, None),
    "PODNet": (58.03, 66.70, None, None),
    "PODNet †": (None, None, 64.83, 63.19),
    "DER": (75.36, 76.80, 73.21, 72.81),
    "DER, pruned": (74.64, 75.55, 72.60, 72.45),
    "DyTox+": (74.10, None, None, None),
    "FOSTER": (72.90, 72.54, 70.10, 67.95),
    "BEEF": (None, None, 71.70, None),
    "TagFex ‡": (78.45, None, None, None),
}
PROTOCOL = (
    "Published values: average incremental accuracy on CIFAR-100 as their authors measured it: 2,000 exemplars (DER on "
    "s50: 20 a class), backbones like ResNet-18 († ResNet-32), no unlabelled images, most with the class order of seed "
    "1993 (DER on s0: mean of three orders); ‡ second hand."
)


def averages(configuration: dict, test_images: Sequence[int]) -> dict[str, float]:
    """Published average incremental accuracy (%) by method, for a run on one of the four splits of the whole CIFAR-100.

    Args:
        configuration: of a stage-two run.
        test_images: how many each task has; the official 10,000 in all, or the data are a subset or a stand-in.

    Returns: an empty dict for any other run.
    """
    from datasets.splits import resolve_split  # and with it numpy: after a call has been checked

    split = configuration.get("split_type")
    official = configuration.get("dataset") == "cifar100" and sum(test_images) == 10_000
    if not official or split not in SPLITS or configuration["split_list"] != resolve_split(None, split, 100):
        return {}
    column = SPLITS.index(split)
    return {method: values[column] for method, values in AVERAGES.items() if values[column] is not None}
