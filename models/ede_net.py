"""EDE-Net: one sub-model per task, joined at the output layer."""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from models.resnet import ResNet18, resnet18


class EDENet(nn.Module):
    """Sub-models 1..t whose logits are concatenated.

    Label `k` of task `i` (task-local) is output `offset(i) + k` (global). `forward`: images, float [B, 3, H, W]
    in [0, 1] -> logits, float [B, number of classes seen]. Every sub-model normalises its input itself.

    Attributes:
        submodels: the tasks' ResNet-18s, in the order of the tasks.
        meta: what the file beside the weights says (class names and order, exemplars, results);
            empty for a network that was not loaded from a file.
    """

    def __init__(self, submodels: Iterable[ResNet18] = ()):
        super().__init__()
        self.submodels = nn.ModuleList(submodels)
        self.meta: dict = {}

    @property
    def classes_per_task(self) -> list[int]:
        return [submodel.num_classes for submodel in self.submodels]

    @property
    def num_classes(self) -> int:
        return sum(self.classes_per_task)

    @property
    def widths(self) -> list[tuple[int, ...]]:
        return [submodel.widths for submodel in self.submodels]

    def offset(self, task: int) -> int:
        """The first output of task `task` (0-based)."""
        return sum(self.classes_per_task[:task])

    def grow(self, submodel: ResNet18) -> None:
        """Joins the next task's sub-model."""
        self.submodels.append(submodel)

    def features(self, x: Tensor) -> Tensor:
        """Images [B, 3, H, W] -> the sub-models' features side by side, [B, sum of their last widths]."""
        return torch.cat([submodel.features(x) for submodel in self.submodels], dim=1)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([submodel(x) for submodel in self.submodels], dim=1)

    def train_heads_only(self) -> None:
        """Freezes everything but the linear heads. Batch-norm statistics stay too: see `train`."""
        for name, parameter in self.named_parameters():
            parameter.requires_grad_(".head." in name)

    def train(self, mode: bool = True) -> "EDENet":
        """As usual, except that a batch-norm whose weights are frozen goes on using its running statistics."""
        super().train(mode)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d) and not module.weight.requires_grad:
                module.eval()
        return self

    @classmethod
    def from_widths(cls, widths: Sequence[Sequence[int]], classes_per_task: Sequence[int]) -> "EDENet":
        """A network of these widths and heads with fresh weights."""
        return cls(resnet18(classes, w) for classes, w in zip(classes_per_task, widths, strict=True))

    @classmethod
    def load(cls, path: str, device: str | torch.device = "cpu") -> "EDENet":
        """The network of a `stage_<t>.pt`, in evaluation mode; what else the file holds is in `meta`.

        Raises: `utils.errors.UserError` if the file is missing, damaged or of another kind.
        """
        from utils import checkpoint  # here, since utils.checkpoint knows how the networks are built

        return checkpoint.load_ede_net(path, device)
