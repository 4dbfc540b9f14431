"""The one training loop.

Supervised training, MixMatch, distillation and fine-tuning differ in their batches and their objective only.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from datasets import augment
from datasets.batches import Batches, moved
from utils import checkpoint, device, metrics
from utils.console import Console
from utils.distributed import ALONE, Team, wait_for_file
from utils.errors import UserError
from utils.global_norm import global_statistics
from utils.interrupt import Interruption
from utils.mixup import Objective
from utils.updates import Optimisation, Updates

# How often a training's losses are read from the device: this many times an epoch.
READS_PER_EPOCH = 4
EVALUATION_BATCH = 500


@dataclass(frozen=True)
class Schedule(Optimisation):
    """How long and how fast: the settings of one training.

    Attributes:
        epochs: passes; the learning rate follows a half cosine from `lr` in the first to nearly 0 in the last.
        evaluate_every: epochs between evaluations; the last `evaluate_last` are all evaluated.
        save_every: epochs between saves of the unfinished training.
    """

    epochs: int = field(kw_only=True)
    evaluate_every: int = field(kw_only=True)
    evaluate_last: int = field(kw_only=True)
    save_every: int = field(kw_only=True)

    def learning_rate(self, epoch: int) -> float:
        """Cosine annealing (Loshchilov & Hutter 2017, arXiv 1608.03983, eq. 5): epoch 0 has `lr`."""
        return self.lr * 0.5 * (1 + math.cos(math.pi * epoch / self.epochs))

    def evaluates(self, epoch: int) -> bool:
        """Whether the model is evaluated after `epoch`."""
        left = self.epochs - 1 - epoch
        return left < self.evaluate_last or (epoch + 1) % self.evaluate_every == 0


@dataclass
class Progress:
    """Where a training stands; `history` has one entry per finished epoch, `seconds` is the time spent so far."""

    epoch: int = 0
    step: int = 0
    history: list[dict] = field(default_factory=list)
    best_score: float = -1.0
    best_epoch: int = -1
    best_state: dict[str, Tensor] | None = None
    seconds: float = 0.0


def fit(
    model: nn.Module,
    batches: Batches,
    objective: Objective,
    schedule: Schedule,
    console: Console,
    title: str,
    evaluate: Callable[[nn.Module], float] | None = None,
    unfinished: Path | None = None,
    judged: str = "held-out",
    team: Team = ALONE,
) -> Progress:
    """Trains `model` in place with Adam.

    Args:
        evaluate: the score (percent correct) that chooses the epoch kept, the later one among equals; None keeps the
            last epoch.
        judged: on which images `evaluate` scores, for the reader of the output.
        unfinished: where the unfinished training is saved, and taken up again if the file is there.
        team: the processes that train this model together, each with its part of every batch.

    Returns: the history and the best epoch (0-based) with its score.

    Raises: `UserError` when the loss is not finite; `Interrupted` after saving, when the process was asked to stop.
    """
    where = next(model.parameters()).device
    with global_statistics(model, team):
        updates = Updates(model, batches, objective, schedule, team)
        steps = batches.steps_per_epoch
        losses = torch.zeros(steps, device=where)
        progress = Progress()

        def save() -> None:
            progress.seconds = before + time.monotonic() - begun
            mean = team.mean(losses)
            if team.leads:
                console.require_folder()
                content = {"model": model.state_dict(), **updates.state_dict(), "losses": mean}
                checkpoint.write(unfinished, "training", {**content, "progress": vars(progress)})

        if unfinished is not None and team.any(unfinished.exists()):
            if not team.alone:
                wait_for_file(unfinished)
            saved = checkpoint.read(unfinished, "training", where)
            checkpoint.load_weights(model, saved.get("model"), unfinished)
            try:
                updates.load_state_dict(saved)
                losses.copy_(saved["losses"])
                progress = Progress(**saved["progress"])
            except (KeyError, TypeError, ValueError, RuntimeError) as error:
                raise UserError(
                    f"{unfinished} is of another training ({error!r}): delete it to begin that anew"
                ) from error
            console.say(f"{title}: goes on from epoch {progress.epoch}, step {progress.step}")

        before, begun = progress.seconds, time.monotonic()
        with console.epochs(title, schedule.epochs, progress.epoch, judged) as bar:
            for epoch in range(progress.epoch, schedule.epochs):
                model.train()
                rate = schedule.learning_rate(epoch)
                for step in range(progress.step, steps):
                    losses[step] = updates.update(epoch * steps + step, rate)
                    progress.step = step + 1
                    looks = (step + 1) % math.ceil(steps / READS_PER_EPOCH) == 0 or step + 1 == steps
                    stopping = unfinished is not None and _stops(team, looks)
                    if looks or stopping:
                        _require_finite(team.mean(losses[: step + 1]), title, epoch, rate)
                    if stopping:
                        save()
                        raise Interruption.stop(f"{title}: saved after epoch {epoch}, step {step + 1}")
                entry = {"epoch": epoch + 1, "loss": float(team.mean(losses).mean()), "lr": rate}
                if evaluate is not None and schedule.evaluates(epoch):
                    entry["accuracy"] = evaluate(model)
                    if entry["accuracy"] >= progress.best_score:
                        progress.best_score, progress.best_epoch = entry["accuracy"], epoch
                        progress.best_state = {name: value.clone() for name, value in model.state_dict().items()}
                progress.history.append(entry)
                progress.epoch, progress.step = epoch + 1, 0
                due = progress.epoch % schedule.save_every == 0 and progress.epoch < schedule.epochs
                if unfinished is not None and due:
                    save()
                bar.advance(entry)
        progress.seconds = before + time.monotonic() - begun
    if progress.best_state is not None:
        model.load_state_dict(progress.best_state)
    model.eval()
    return progress


def _stops(team: Team, looks: bool) -> bool:
    """Whether to stop now: at once when asked to; with other processes where all of them look, so that all stop."""
    asked = Interruption.requested is not None
    return asked if team.alone else looks and team.any(asked)


def _require_finite(losses: Tensor, title: str, epoch: int, rate: float) -> None:
    finite = torch.isfinite(losses)
    if not bool(finite.all()):
        step = int((~finite).int().argmax())
        raise UserError(
            f"{title}: the loss or its gradient became {float(losses[step])} in epoch {epoch + 1}, step {step + 1}, at "
            f"learning rate {rate:.3g}; the last good checkpoint is kept: try a smaller learning rate"
        )


@torch.inference_mode()
def outputs(function: Callable[[Tensor], Tensor], images: Tensor, where: torch.device) -> Tensor:
    """`function` of images uint8 [N, 3, H, W], not augmented: [N, …] on the device `where`, wherever the images are.

    Always in full precision, without TF32, and in batches of the same size, so that a figure can be computed again to
    the last digit.
    """
    with device.full_precision():
        return torch.cat([function(augment.scaled(moved(part, where))) for part in images.split(EVALUATION_BATCH)])


def count_correct(model: nn.Module, images: Tensor, labels: Tensor) -> int:
    """How many of the images are classified as their labels (in the model's label space) say."""
    model.eval()
    predicted = outputs(model, images, next(model.parameters()).device)
    return metrics.count_correct(predicted, labels.to(predicted.device))


def accuracy(model: nn.Module, images: Tensor, labels: Tensor) -> float:
    """Percent correct: correct / total over all images."""
    return 100.0 * count_correct(model, images, labels) / len(labels)
