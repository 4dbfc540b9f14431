"""EDE-Net: one sub-model per task, joined at the output layer."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from models.resnet import ResNet18
from utils.running import checkpoint


class EDENet(nn.Module):
    """Sub-models 1..t whose logits are concatenated.

    `forward`: images, float [B, 3, H, W] in [0, 1] -> logits, float [B, number of classes seen], those of the tasks
    one after the other. Every sub-model normalises its input itself.

    Attributes:
        submodels: the tasks' ResNet-18s, in the order of the tasks.
        flip_average: whether in evaluation mode the logits are the mean over the image and its mirror image.
        meta: what its file says besides (class names and order, exemplars, configuration); empty for a network that
            was not loaded from a file.
    """

    KIND = "ede_net"  # of its checkpoints

    def __init__(self, submodels: Iterable[ResNet18] = (), flip_average: bool = False):
        super().__init__()
        self.submodels = nn.ModuleList(submodels)
        self.flip_average = flip_average
        self.meta: dict = {}

    @property
    def num_classes(self) -> int:
        return sum(submodel.num_classes for submodel in self.submodels)

    def grow(self, submodel: ResNet18) -> None:
        """Joins the next task's sub-model."""
        self.submodels.append(submodel)

    def features(self, x: Tensor) -> Tensor:
        """The sub-models' features side by side, see `ResNet18.features`."""
        return torch.cat([submodel.features(x) for submodel in self.submodels], dim=1)

    def logits(self, x: Tensor) -> Tensor:
        """The logits of the images as they are."""
        return torch.cat([submodel(x) for submodel in self.submodels], dim=1)

    def forward(self, x: Tensor) -> Tensor:
        if self.flip_average and not self.training:
            return (self.logits(x) + self.logits(x.flip(3))) / 2
        return self.logits(x)

    def train_only(self, part: str) -> None:
        """Freezes everything but the linear "heads", or the "late" half: the last two residual stages and the heads.

        Batch-norm statistics of what is frozen stay too: see `train`.
        """
        trained = {"heads": (".head.",), "late": (".stages.2.", ".stages.3.", ".head.")}[part]
        for name, parameter in self.named_parameters():
            parameter.requires_grad_(any(each in name for each in trained))

    def train(self, mode: bool = True) -> "EDENet":
        """As usual, except that a batch-norm whose weights are frozen goes on using its running statistics."""
        super().train(mode)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d) and not module.weight.requires_grad:
                module.eval()
        return self

    @property
    def described(self) -> dict[str, Any]:
        """What a checkpoint says of the network so that it can be built again."""
        return {
            "widths": [list(submodel.widths) for submodel in self.submodels],
            "classes_per_task": [submodel.num_classes for submodel in self.submodels],
            "flip_average": self.flip_average,
        }

    @classmethod
    def described_by(cls, content: dict[str, Any]) -> "EDENet":
        """A network as `described` says. Raises: ValueError, TypeError, RuntimeError or OverflowError for nonsense."""
        if missing := {"class_names", "tasks", "image_size", "exemplars", "configuration"} - content.keys():
            raise ValueError(f"without {', '.join(sorted(missing))}")
        described = zip(content["classes_per_task"], content["widths"], strict=True)
        return cls([ResNet18(classes, widths) for classes, widths in described], content["flip_average"])

    @classmethod
    def load(cls, path: str | Path, device: torch.device | str = "cpu") -> "EDENet":
        """Loads the network of a `stage_<t>.pt`, in evaluation mode; what else the file holds is in `meta`.

        Raises: `UserError` if the file is missing, damaged or of another kind.
        """
        return checkpoint.load(path, cls, device=device)
