"""ResNet-18 for small images, with one width per residual stage (He et al. 2016, arXiv 1512.03385, section 4.2).

The stem is a 3×3 convolution of stride 1 without max-pooling, as usual on CIFAR; the four stages have two basic blocks
each. The widths are free, so that a compressed network is an ordinary ResNet-18 that is merely narrower.
"""

import copy
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Shortcut(nn.Conv2d):
    """A 1×1 convolution with a stride: picks every `stride`-th pixel and then convolves those.

    The same numbers as a strided convolution, whose backward pass in oneDNN (PyTorch 2.14 on the CPU, channels_last)
    writes beside its memory where images are larger than 32×32 and channels are fewer than 16.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int):
        super().__init__(in_channels, out_channels, 1, bias=False)
        self.every = stride

    def forward(self, x: Tensor) -> Tensor:
        # The mean of one pixel picks it. Were it picked by slicing, the gradient would come back in another layout, and
        # a training step would take 6 % longer in float32 and 12 % in bfloat16.
        return super().forward(F.avg_pool2d(x, kernel_size=1, stride=self.every))


class BasicBlock(nn.Module):
    """Two 3×3 convolutions with batch-norm and a shortcut: [B, C_in, H, W] -> [B, C_out, H/stride, W/stride]."""

    def __init__(self, in_channels: int, out_channels: int, stride: int):
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, 1, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.shortcut = nn.Identity()
        if stride != 1 or in_channels != out_channels:
            self.shortcut = nn.Sequential(Shortcut(in_channels, out_channels, stride), nn.BatchNorm2d(out_channels))

    def forward(self, x: Tensor) -> Tensor:
        out = F.relu(self.bn1(self.conv1(x)), inplace=True)
        out = self.bn2(self.conv2(out))
        return F.relu(out + self.shortcut(x), inplace=True)


class ResNet18(nn.Module):
    """The network of one task.

    Args:
        num_classes: outputs of the linear head.
        widths: channels of the four residual stages; the stem has the first stage's width.
        mean, std: channel means and deviations of the data set, of pixels in [0, 1]. The network normalises its input
            itself, so that an EDE-Net may join sub-models of different data sets without being told an image's set.
        seed: decides the initial weights, alone; the CPU's global random state is left as it was.

    `forward`: images, float [B, 3, H, W] in [0, 1] -> logits, float [B, num_classes], over the task's own classes. It
    computes in channels_last layout.
    """

    KIND = "classifier"  # of its checkpoints

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        num_classes: int,
        widths: Sequence[int] = (64, 128, 256, 512),
        mean: Sequence[float] = (0.0, 0.0, 0.0),
        std: Sequence[float] = (1.0, 1.0, 1.0),
        seed: int = 0,
    ):
        super().__init__()
        self.num_classes, self.widths = int(num_classes), tuple(int(width) for width in widths)
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(std, dtype=torch.float32).view(1, 3, 1, 1))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.stem = nn.Conv2d(3, self.widths[0], 3, 1, padding=1, bias=False)
            self.stem_bn = nn.BatchNorm2d(self.widths[0])
            self.stages, channels = nn.ModuleList(), self.widths[0]
            for width in self.widths:
                first = BasicBlock(channels, width, stride=2 if len(self.stages) else 1)
                self.stages.append(nn.Sequential(first, BasicBlock(width, width, stride=1)))
                channels = width
            self.head = nn.Linear(channels, self.num_classes)
            for module in self.modules():
                if isinstance(module, nn.Conv2d):
                    # He et al. 2015, arXiv 1502.01852, section 2.2: variance kept through ReLU, backward.
                    nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        self.to(memory_format=torch.channels_last)

    def features(self, x: Tensor) -> Tensor:
        """Images [B, 3, H, W] -> the globally averaged features before the head, [B, widths[3]]."""
        # Images are three planes: quicker to normalise than pixels of three values. What the stem makes of them is in
        # the layout of its weights.
        x = F.relu(self.stem_bn(self.stem((x - self.mean) / self.std)), inplace=True)
        for stage in self.stages:
            x = stage(x)
        return x.mean(dim=(2, 3))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x))

    @property
    def described(self) -> dict[str, Any]:
        """What a checkpoint says of the network so that it can be built again."""
        return {"widths": list(self.widths), "num_classes": self.num_classes}

    @classmethod
    def described_by(cls, content: dict[str, Any]) -> "ResNet18":
        """A network as `described` says. Raises: ValueError, TypeError, RuntimeError or OverflowError for nonsense."""
        return cls(content["num_classes"], content["widths"])

    @torch.no_grad()
    def without_other(self, classes: int) -> "ResNet18":
        """A copy of so many outputs, without the last one, "other", whose row is subtracted; itself if it has none.

        Its logits are log-ratios, z_k − z_other: how much likelier an image is of class k than of none of the task's.
        They compare across sub-models.
        """
        if self.num_classes == classes:
            return self
        model, head = copy.deepcopy(self), self.head
        model.num_classes = classes
        model.head = nn.Linear(head.in_features, classes).to(head.weight.device)
        model.head.weight.copy_(head.weight[:-1] - head.weight[-1])
        model.head.bias.copy_(head.bias[:-1] - head.bias[-1])
        return model

    def begin_with(self, other: "ResNet18") -> None:
        """Takes over what another network of these widths has learned, all but its head."""
        self.load_state_dict({**other.state_dict(), **self.head.state_dict(prefix="head.")})

    def grow_head(self, classes: int, seed: int) -> None:
        """Gives the head so many more outputs: the old rows stay as they are, the new ones are a function of `seed`.

        The CPU's global random state is left as it was.
        """
        old = self.head
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            torch.manual_seed(seed)
            self.head = nn.Linear(old.in_features, self.num_classes + classes).to(old.weight.device)
            self.head.weight[: self.num_classes] = old.weight
            self.head.bias[: self.num_classes] = old.bias
        self.num_classes += classes
