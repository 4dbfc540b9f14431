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
from datasets.batches import Batches
from utils import checkpoint, device, metrics
from utils.console import Console
from utils.errors import UserError
from utils.interrupt import Interruption
from utils.mixup import Objective
from utils.randomness import StepRandom

# How often a training's losses are read from the device: this many times an epoch.
READS_PER_EPOCH = 4
EVALUATION_BATCH = 500


@dataclass(frozen=True)
class Schedule:
    """How long and how fast: the settings of one training.

    Attributes:
        epochs: passes; the learning rate follows a half cosine from `lr` in the first to nearly 0 in the last.
        weight_decay: L2 penalty of Adam.
        clip_norm: gradients are scaled down to this norm.
        evaluate_every: epochs between evaluations; the last `evaluate_last` are all evaluated.
        save_every: epochs between saves of the unfinished training.
        amp: "auto", "off", "bfloat16" or "float16", see `utils.device`.
    """

    epochs: int
    lr: float
    weight_decay: float
    clip_norm: float
    evaluate_every: int
    evaluate_last: int
    save_every: int
    amp: str

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
) -> Progress:
    """Trains `model` in place with Adam.

    Args:
        evaluate: the score (percent correct) that chooses the epoch kept, the later one among equals; None keeps the
            last epoch.
        judged: on which images `evaluate` scores, for the reader of the output.
        unfinished: where the unfinished training is saved, and taken up again if the file is there.

    Returns: the history and the best epoch (0-based) with its score.

    Raises: `UserError` when the loss is not finite; `Interrupted` after saving, when the process was asked to stop.
    """
    where = next(model.parameters()).device
    casting = device.casting(schedule.amp, where)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.Adam(trained, lr=schedule.lr, weight_decay=schedule.weight_decay, fused=True)
    scaler = torch.amp.GradScaler(where.type, enabled=casting.scaled)
    steps = batches.steps_per_epoch
    losses = torch.zeros(steps, device=where)
    progress = Progress()

    def state() -> dict:
        progress.seconds = before + time.monotonic() - begun
        return {
            "model": model.state_dict(),
            "optimizer": optimizer.state_dict(),
            "scaler": scaler.state_dict(),
            "losses": losses,
            "progress": vars(progress),
        }

    if unfinished is not None and unfinished.exists():
        saved = checkpoint.read(unfinished, "training", where)
        checkpoint.load_weights(model, saved.get("model"), unfinished)
        try:
            optimizer.load_state_dict(saved["optimizer"])
            scaler.load_state_dict(saved["scaler"])
            losses.copy_(saved["losses"])
            progress = Progress(**saved["progress"])
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise UserError(f"{unfinished} is of another training ({error!r}): delete it to begin that anew") from error
        console.say(f"{title}: goes on from epoch {progress.epoch}, step {progress.step}")

    before, begun = progress.seconds, time.monotonic()
    with console.epochs(title, schedule.epochs, progress.epoch, judged) as bar:
        for epoch in range(progress.epoch, schedule.epochs):
            model.train()
            rate = schedule.learning_rate(epoch)
            for group in optimizer.param_groups:
                group["lr"] = rate
            for step in range(progress.step, steps):
                number = epoch * steps + step
                batch = batches.draw(number)
                with casting.autocast():
                    loss = objective(model, batch, StepRandom(where, *batches.key, "step", number)).loss
                optimizer.zero_grad(set_to_none=True)
                scaler.scale(loss).backward()
                scaler.unscale_(optimizer)
                norm = nn.utils.clip_grad_norm_(trained, schedule.clip_norm)
                scaler.step(optimizer)
                scaler.update()
                # A gradient that is not finite spoils the weights: 0·norm makes the loss that is looked at NaN. In
                # float16 the scaler leaves such a step out, and only a loss that is itself not finite counts.
                losses[step] = loss.detach() if casting.scaled else loss.detach() + 0 * norm
                progress.step = step + 1
                stopping = Interruption.requested and unfinished is not None
                if (step + 1) % math.ceil(steps / READS_PER_EPOCH) == 0 or step + 1 == steps or stopping:
                    _require_finite(losses[: step + 1], title, epoch, rate)
                if stopping:
                    checkpoint.write(unfinished, "training", state())
                    raise Interruption.stop(f"{title}: saved after epoch {epoch}, step {step + 1}")
            entry = {"epoch": epoch + 1, "loss": float(losses.mean()), "lr": rate}
            if evaluate is not None and schedule.evaluates(epoch):
                entry["accuracy"] = evaluate(model)
                if entry["accuracy"] >= progress.best_score:
                    progress.best_score, progress.best_epoch = entry["accuracy"], epoch
                    progress.best_state = {name: value.clone() for name, value in model.state_dict().items()}
            progress.history.append(entry)
            progress.epoch, progress.step = epoch + 1, 0
            if (
                unfinished is not None
                and progress.epoch % schedule.save_every == 0
                and progress.epoch < schedule.epochs
            ):
                checkpoint.write(unfinished, "training", state())
            bar.advance(entry)
    progress.seconds = before + time.monotonic() - begun
    if progress.best_state is not None:
        model.load_state_dict(progress.best_state)
    model.eval()
    return progress


def _require_finite(losses: Tensor, title: str, epoch: int, rate: float) -> None:
    finite = torch.isfinite(losses)
    if not bool(finite.all()):
        step = int((~finite).int().argmax())
        raise UserError(
            f"{title}: the loss or its gradient became {float(losses[step])} in epoch {epoch + 1}, step {step + 1}, at "
            f"learning rate {rate:.3g}; the last good checkpoint is kept: try a smaller learning rate"
        )


@torch.inference_mode()
def outputs(function: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    """`function` of images uint8 [N, 3, H, W], not augmented: [N, …] on the images' device.

    Always in full precision, without TF32, and in batches of the same size, so that a figure can be computed again to
    the last digit.
    """
    with device.full_precision():
        return torch.cat([function(augment.scaled(part)) for part in images.split(EVALUATION_BATCH)])


def count_correct(model: nn.Module, images: Tensor, labels: Tensor) -> int:
    """How many of the images are classified as their labels (in the model's label space) say."""
    model.eval()
    return metrics.count_correct(outputs(model, images), labels)


def accuracy(model: nn.Module, images: Tensor, labels: Tensor) -> float:
    """Percent correct: correct / total over all images."""
    return 100.0 * count_correct(model, images, labels) / len(labels)
