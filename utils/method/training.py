"""The one training loop.

Supervised training, MixMatch, distillation and fine-tuning differ in their batches and their objective only.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from datasets import augment
from datasets.batches import Batches, moved
from datasets.images import Images
from utils.method.mixup import Objective
from utils.running import device
from utils.running.artefact import Artefact
from utils.running.console import duration
from utils.running.errors import Interrupted, UserError
from utils.running.interrupt import Interruption
from utils.running.options import Settings
from utils.running.randomness import StepRandom

READS_PER_EPOCH = 4  # how often a training's losses are read from the device
EVALUATION_BATCH = 500
SECONDS_BETWEEN_SAVES = 60  # at least: an epoch may take less time than saving
TIMED_UPDATES = 5  # of a dry run


@dataclass(frozen=True)
class Schedule:
    """How long and how fast one training goes."""

    settings: Settings  # what all trainings of a run share
    epochs: int  # passes; the learning rate follows a half cosine from `lr` in the first to nearly 0 in the last
    lr: float  # initial learning rate of Adam

    def learning_rate(self, epoch: int) -> float:
        """Cosine annealing (Loshchilov & Hutter 2017, arXiv 1608.03983, eq. 5): epoch 0 has `lr`."""
        return self.lr * 0.5 * (1 + math.cos(math.pi * epoch / self.epochs))

    def evaluates(self, epoch: int) -> bool:
        """Whether the model is evaluated after `epoch`."""
        left = self.epochs - 1 - epoch
        return left < self.settings.evaluate_last or (epoch + 1) % self.settings.evaluate_every == 0


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


class Updates:
    """Updates of `model`, in place: one forward pass, one backward pass, one step of Adam.

    Update number `n` (from 0 over all epochs) is a function of the weights and of `n`: its batch and its random values
    come from the key of `batches`.
    """

    def __init__(self, model: nn.Module, batches: Batches, objective: Objective, settings: Settings):
        self.batches, self.objective, self.clip_norm = batches, objective, settings.clip_norm
        self.where = next(model.parameters()).device
        self.cast_to = device.casting(settings.amp, self.where)
        self.trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self.optimizer = torch.optim.Adam(self.trained, weight_decay=settings.weight_decay, fused=True)
        self.scaler = torch.amp.GradScaler(self.where.type, enabled=self.cast_to is torch.float16)
        self.model = device.compiled(model) if settings.compile else model

    def update(self, number: int, rate: float) -> Tensor:
        """Makes one update with this learning rate. Returns the loss, a scalar on the device.

        A gradient that is not finite makes it NaN, as it spoils the weights. In float16 the scaler leaves such an
        update out, and only a loss that is itself not finite counts.
        """
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        batch = self.batches.draw(number)
        with torch.autocast(self.where.type, self.cast_to, enabled=self.cast_to is not None):
            random = StepRandom(self.where, *self.batches.key, "step", number)
            loss = self.objective(self.model, batch, random).loss
        self.optimizer.zero_grad(set_to_none=True)
        self.scaler.scale(loss).backward()
        self.scaler.unscale_(self.optimizer)
        norm = nn.utils.clip_grad_norm_(self.trained, self.clip_norm)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        return loss.detach() if self.scaler.is_enabled() else loss.detach() + 0 * norm


def fit(
    model: nn.Module,
    batches: Batches,
    objective: Objective,
    schedule: Schedule,
    artefact: Artefact,
    title: str,
    evaluate: Callable[[nn.Module], float] | None = None,
) -> Progress:
    """Trains `model` in place with Adam.

    Args:
        artefact: what is trained: its unfinished training is saved, and taken up again. In a dry run a few updates are
            timed instead.
        evaluate: the score (percent correct) that chooses the epoch kept, the later one among equals; None keeps the
            last epoch.

    Returns: the history and the best epoch (0-based) with its score.

    Raises: `UserError` when the loss is not finite; `Interrupted` after saving, when the process was asked to stop.
    """
    settings, console = schedule.settings, artefact.run.console
    updates = Updates(model, batches, objective, settings)
    if artefact.run.dry:
        return _timed(updates, schedule, artefact, title, evaluate)
    steps = batches.steps_per_epoch
    losses = torch.zeros(steps, device=updates.where)
    progress = Progress()
    if saved := artefact.saved_training():
        try:
            model.load_state_dict(saved["model"])
            updates.optimizer.load_state_dict(saved["optimizer"])
            if saved["scaler"] and updates.scaler.is_enabled():  # it may have been saved on a device that needs none
                updates.scaler.load_state_dict(saved["scaler"])
            losses.copy_(saved["losses"])
            progress = Progress(**saved["progress"])
        except (AttributeError, KeyError, TypeError, ValueError, RuntimeError) as error:
            raise UserError(f"{artefact.unfinished} is of another training ({error!r}): delete it") from error
        console.say(f"{title}: goes on from epoch {progress.epoch}, step {progress.step}")
    begun = time.monotonic() - progress.seconds
    last_save = time.monotonic()

    def save() -> None:
        progress.seconds = time.monotonic() - begun
        stateful = {"model": model, "optimizer": updates.optimizer, "scaler": updates.scaler}
        states = {name: each.state_dict() for name, each in stateful.items()}
        artefact.save_training({**states, "losses": losses, "progress": vars(progress)})

    judged = "held-out" if settings.selection == "validation" else "test"
    with console.epochs(title, schedule.epochs, progress.epoch, judged) as advance:
        for epoch in range(progress.epoch, schedule.epochs):
            model.train()
            rate = schedule.learning_rate(epoch)
            for step in range(progress.step, steps):
                losses[step] = updates.update(epoch * steps + step, rate)
                progress.step = step + 1
                stopping = Interruption.requested  # by which signal, or None
                if stopping or progress.step % math.ceil(steps / READS_PER_EPOCH) == 0 or progress.step == steps:
                    _require_finite(losses[: progress.step], title, epoch, rate)
                if stopping:
                    save()
                    raise Interrupted(f"{title}: saved after epoch {epoch}, step {progress.step}", stopping)
            entry = {"epoch": epoch + 1, "loss": float(losses.mean()), "lr": rate}
            if evaluate is not None and schedule.evaluates(epoch):
                entry["accuracy"] = evaluate(model)
                if entry["accuracy"] >= progress.best_score:
                    progress.best_score, progress.best_epoch = entry["accuracy"], epoch
                    progress.best_state = {name: value.clone() for name, value in model.state_dict().items()}
            progress.history.append(entry)
            progress.epoch, progress.step = epoch + 1, 0
            due = progress.epoch % settings.save_every == 0 and progress.epoch < schedule.epochs
            if due and time.monotonic() - last_save >= SECONDS_BETWEEN_SAVES:
                save()
                last_save = time.monotonic()
            advance(entry)
    progress.seconds = time.monotonic() - begun
    if progress.best_state is not None:
        model.load_state_dict(progress.best_state)
    model.eval()
    return progress


def _timed(updates: Updates, schedule: Schedule, artefact: Artefact, title: str, evaluate: Callable | None) -> Progress:
    """A training of a dry run: times a few updates and one evaluation, and adds what the whole takes to the plan."""
    updates.model.train()
    float(updates.update(0, schedule.lr))  # the first is slower; reading the loss waits for the device
    begun = time.monotonic()
    for number in range(1, 1 + TIMED_UPDATES):
        float(updates.update(number, schedule.lr))
    count = schedule.epochs * updates.batches.steps_per_epoch
    seconds = (time.monotonic() - begun) / TIMED_UPDATES * count
    if evaluate is not None:
        begun = time.monotonic()
        evaluate(updates.model)
        seconds += (time.monotonic() - begun) * sum(map(schedule.evaluates, range(schedule.epochs)))
    artefact.run.plan.append((title, seconds))
    artefact.run.console.say(f"{title}: {count:,} updates in {schedule.epochs} epochs, about {duration(seconds)}")
    updates.model.eval()
    return Progress()


def _require_finite(losses: Tensor, title: str, epoch: int, rate: float) -> None:
    finite = torch.isfinite(losses)
    if not bool(finite.all()):
        step = int((~finite).int().argmax())
        raise UserError(
            f"{title}: the loss or its gradient became {float(losses[step])} in epoch {epoch + 1}, step {step + 1}, at "
            f"learning rate {rate:.3g}; the last good checkpoint is kept: try a smaller learning rate, or options "
            f"such as lambda_u, sharpening and temperature nearer to their defaults"
        )


@torch.inference_mode()
def outputs(function: Callable[[Tensor], Tensor], images: Tensor, where: torch.device) -> Tensor:
    """Computes `function` of images uint8 [N, 3, H, W], not augmented: [N, …] on the device `where`.

    Always in full precision, without TF32, and in batches of the same size, so that a figure can be computed again to
    the last digit.
    """
    with device.switched(tf32=False, benchmark=False):
        return torch.cat([function(augment.scaled(moved(part, where))) for part in images.split(EVALUATION_BATCH)])


def predictions(model: nn.Module, images: Tensor) -> Tensor:
    """Logits of images uint8 [N, 3, H, W] in evaluation mode: float32 [N, C] on the model's device."""
    return outputs(model.eval(), images, next(model.parameters()).device)


def accuracy(model: nn.Module, images: Images) -> float:
    """Percent correct: correct / total over all images, whose labels are in the model's label space."""
    predicted = predictions(model, images.images).argmax(dim=1)
    return 100.0 * int((predicted == images.labels.to(predicted.device)).sum()) / len(images)
