"""Published results of class-incremental learning on CIFAR-100, which the figures show beside a run's own."""

from collections.abc import Sequence

# Average incremental accuracy (%) with 2,000 exemplars on the splits of all 100 classes: from the methods' papers and
# repositories, as the README's table says. "†": ResNet-32; "‡": reported second hand. EDE-Net itself: none was found.
AVERAGES: dict[str, dict[str, float]] = {
    "s0-t10": {
        "iCaRL": 65.27,
        "BiC": 68.80,
        "WA": 69.46,
        "PODNet": 58.03,
        "DER": 75.36,
        "DER, pruned": 74.64,
        "DyTox+": 74.10,
        "FOSTER": 72.90,
        "TagFex ‡": 78.45,
    },
    "s0-t5": {"iCaRL": 71.14, "PODNet": 66.70, "DER": 76.80, "DER, pruned": 75.55, "FOSTER": 72.54},
    "s50-t5": {
        "iCaRL †": 57.17,
        "PODNet †": 64.83,
        "DER": 73.21,
        "DER, pruned": 72.60,
        "FOSTER": 70.10,
        "BEEF": 71.70,
    },
    "s50-t10": {
        "iCaRL †": 52.57,
        "BiC †": 53.21,
        "PODNet †": 63.19,
        "DER": 72.81,
        "DER, pruned": 72.45,
        "FOSTER": 67.95,
    },
}
SPLITS = {
    "s0-t10": [*range(0, 101, 10)],
    "s0-t5": [*range(0, 101, 20)],
    "s50-t5": [0, *range(50, 101, 10)],
    "s50-t10": [0, *range(50, 101, 5)],
}
PROTOCOL = (
    "Published values: average incremental accuracy on CIFAR-100 as their authors measured it: 2,000 exemplars (DER on "
    "s50: 20 a class), backbones like ResNet-18 († ResNet-32), no unlabelled images, most with the class order of seed "
    "1993 (DER on s0: mean of three orders); ‡ second hand."
)


def averages(configuration: dict, test_images: Sequence[int]) -> dict[str, float]:
    """Method -> published average incremental accuracy (%), for a run on one of the four splits of the whole CIFAR-100.

    Args:
        configuration: of a stage-two run.
        test_images: how many each task has; the official 10,000 in all, or the data are a subset or a stand-in.

    Returns: none for any other run.
    """
    split = configuration["split_type"]
    official = configuration["dataset"] == "cifar100" and sum(test_images) == 10_000
    return AVERAGES[split] if official and SPLITS.get(split) == configuration["split_list"] else {}
