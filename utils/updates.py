"""The updates of a training: one forward pass, one backward pass, one step of Adam, over and over."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from datasets.batches import Batches
from utils import device
from utils.distributed import ALONE, Team
from utils.mixup import Objective
from utils.randomness import StepRandom


@dataclass(frozen=True)
class Optimisation:
    """The settings of an update.

    Attributes:
        lr: initial learning rate of Adam.
        weight_decay: its L2 penalty.
        clip_norm: gradients are scaled down to this norm.
        amp: "auto", "off", "bfloat16" or "float16", see `utils.device`.
        compile: whether `torch.compile` translates the model for the training passes.
    """

    lr: float
    weight_decay: float
    clip_norm: float
    amp: str
    compile: bool = False


class Updates:
    """Updates of `model`, in place.

    Update number `n` (from 0 over all epochs) is a function of the weights and of `n`: its batch and its random values
    come from the key of `batches`. Where several processes train together, each has the whole batch and takes its part
    of the rows (see `utils.mixup.mixup`), and the gradients are averaged over them.
    """

    def __init__(
        self, model: nn.Module, batches: Batches, objective: Objective, settings: Optimisation, team: Team = ALONE
    ):
        self.batches, self.objective, self.settings = batches, objective, settings
        self.where = next(model.parameters()).device
        self.casting = device.casting(settings.amp, self.where)
        self.trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self.optimizer = torch.optim.Adam(self.trained, lr=settings.lr, weight_decay=settings.weight_decay, fused=True)
        self.scaler = torch.amp.GradScaler(self.where.type, enabled=self.casting.scaled)
        self.model = model
        if not team.alone:
            self.model = DistributedDataParallel(model)
        if settings.compile:
            self.model = device.compiled(self.model, self.where)

    def update(self, number: int, rate: float) -> Tensor:
        """One update with this learning rate. Returns the loss, a scalar on the device.

        A gradient that is not finite makes it NaN, as it spoils the weights. In float16 the scaler leaves such an
        update out, and only a loss that is itself not finite counts.
        """
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        batch = self.batches.draw(number)
        with self.casting.autocast():
            random = StepRandom(self.where, *self.batches.key, "step", number)
            loss = self.objective(self.model, batch, random).loss
        self.optimizer.zero_grad(set_to_none=True)
        self.scaler.scale(loss).backward()
        self.scaler.unscale_(self.optimizer)
        norm = nn.utils.clip_grad_norm_(self.trained, self.settings.clip_norm)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        return loss.detach() if self.casting.scaled else loss.detach() + 0 * norm

    def state_dict(self) -> dict:
        """What Adam and the scaler remember."""
        return {"optimizer": self.optimizer.state_dict(), "scaler": self.scaler.state_dict()}

    def load_state_dict(self, state: dict) -> None:
        """Raises `KeyError`, `TypeError`, `ValueError` or `RuntimeError` if the state is another training's."""
        self.optimizer.load_state_dict(state["optimizer"])
        if state["scaler"] and self.casting.scaled:  # it may have been saved on a device that needs none
            self.scaler.load_state_dict(state["scaler"])
