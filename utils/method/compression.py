"""Step-by-step compression: narrower and narrower networks, each taught by the unpruned one."""

from collections.abc import Callable

from models.resnet import ResNet18
from models.widths import halfway, kept_channels, stage_widths
from utils.running.artefact import Artefact
from utils.running.options import Settings

# Accuracies are quotients in floating point: exactly `max_accuracy_loss` points may come out a hair above it.
ROUNDING = 1e-9

Widths = tuple[int, ...]


def compress(
    unpruned: Artefact, distil: Callable[[int, Widths], Artefact], settings: Settings
) -> list[tuple[Artefact, bool]]:
    """Measures, rebuilds and distils, round after round.

    A round drops about the share `percent` of the current network's channels, at first the unpruned one's. A network at
    most `max_accuracy_loss` points below the unpruned one becomes the current one and another round follows. After a
    failure one last attempt is made half way between the last good widths and the failed ones. It ends too when the
    widths cannot get smaller, or after `max_rounds` rounds.

    Args:
        distil: (attempt number from 1, widths) -> a network of these widths, trained.

    Returns: all networks tried, in order, and whether each was accepted. The last accepted one is the result; without
        any, the unpruned one is.
    """
    tried: list[tuple[Artefact, bool]] = []

    def accepted(widths: Widths) -> bool:
        """Distils a network of these widths and says whether it is good enough."""
        student = distil(len(tried) + 1, widths)
        drop = unpruned.results["selection_accuracy"] - student.results["selection_accuracy"]
        tried.append((student, drop <= settings.max_accuracy_loss + ROUNDING))
        return tried[-1][1]

    current = unpruned.load(ResNet18)
    for _ in range(settings.max_rounds):
        counts = kept_channels(current, settings.percent)
        widths = stage_widths(counts, current.widths, settings.min_width, settings.width_multiple)
        if widths == current.widths:
            break
        if not accepted(widths):
            middle = halfway(current.widths, widths, settings.width_multiple)
            if middle not in (current.widths, widths):
                accepted(middle)
            break
        current = tried[-1][0].load(ResNet18)
    return tried
