"""Step-by-step compression: narrower and narrower networks, each taught by the unpruned one."""

from collections.abc import Callable
from dataclasses import dataclass

from models.resnet import ResNet18
from models.widths import halfway, kept_channels, stage_widths
from utils.running.options import Settings

# Accuracies are quotients in floating point: exactly `max_accuracy_loss` points may come out a hair above it.
ROUNDING = 1e-9


@dataclass(frozen=True)
class Attempt:
    """One rebuilt and distilled network: `score` is its accuracy (percent) on the images that judge compression."""

    model: ResNet18
    score: float
    accepted: bool


def compress(
    teacher: ResNet18,
    teacher_score: float,
    distil: Callable[[int, tuple[int, ...]], tuple[ResNet18, float]],
    settings: Settings,
) -> list[Attempt]:
    """Measures, rebuilds and distils, round after round.

    A round halves (`percent`) the channels of the current network, the teacher at first. A network at most
    `max_accuracy_loss` points below the teacher becomes the current one and another round follows. After a failure one
    last attempt is made half way between the last good widths and the failed ones. It ends too when the widths cannot
    get smaller, or after `max_rounds` rounds.

    Args:
        distil: (attempt number from 1, widths) -> a network of these widths, trained, and its score.

    Returns: all attempts in order. The last accepted one is the result; without any, the teacher is.
    """
    attempts: list[Attempt] = []
    current = teacher

    def attempt(widths: tuple[int, ...]) -> Attempt:
        model, score = distil(len(attempts) + 1, widths)
        attempts.append(Attempt(model, score, accepted=teacher_score - score <= settings.max_accuracy_loss + ROUNDING))
        return attempts[-1]

    for _ in range(settings.max_rounds):
        counts = kept_channels(current, settings.percent)
        widths = stage_widths(counts, current.widths, settings.min_width, settings.width_multiple)
        if widths == current.widths:
            break
        this = attempt(widths)
        if not this.accepted:
            middle = halfway(current.widths, widths, settings.width_multiple)
            if middle not in (current.widths, widths):
                attempt(middle)
            break
        current = this.model
    return attempts


def result(attempts: list[Attempt]) -> Attempt | None:
    """The last accepted attempt, or None."""
    return next((attempt for attempt in reversed(attempts) if attempt.accepted), None)
