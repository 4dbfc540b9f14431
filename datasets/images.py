"""Images in memory: a data set's part as it was read, and the rows of it that tasks and memories hold."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

Channels = tuple[float, float, float]


@dataclass(frozen=True, eq=False)  # no __eq__: comparing tensors gives no single truth
class ImageSet:
    """A part (training or test) of a data set, with what is needed to augment and to normalise it."""

    name: str  # short name, as in `datasets.naming`: "cifar100", "folder-flowers"
    images: Tensor  # uint8 [N, 3, S, S], contiguous, on the CPU
    labels: Tensor  # int64 [N], the data set's own numbering: 0..len(class_names)-1; a class may have no image
    class_names: tuple[str, ...]
    mean: Channels | None  # channel means of the training set, in [0, 1] units; None: to be measured
    std: Channels | None  # channel standard deviations of the same; None where `mean` is
    mirror: bool  # whether a mirrored image keeps its class (False for digits)
    stand_in: bool = False  # whether `datasets.stand_ins` drew the images


@dataclass(frozen=True, eq=False)
class Images:
    """Labelled images, on any device."""

    images: Tensor  # uint8 [N, 3, S, S]
    labels: Tensor  # int64 [N]
    indices: Tensor  # int64 [N], the images' rows in the data set's part

    def select(self, rows: Tensor) -> "Images":
        """The rows at `rows` (int64 or bool)."""
        return Images(self.images[rows], self.labels[rows], self.indices[rows])

    def to(self, device: torch.device | str) -> "Images":
        return Images(self.images.to(device), self.labels.to(device), self.indices.to(device))

    def __len__(self) -> int:
        return len(self.labels)

    def fingerprint(self) -> str:
        """16 hexadecimal digits that tell these pixels and labels from others, on any device."""
        digest = hashlib.sha256(json.dumps([list(self.images.shape)]).encode())
        for values in (self.labels, self.images):
            digest.update(values.cpu().flatten().numpy())
        return digest.hexdigest()[:16]


def joined(parts: Sequence[Images]) -> Images:
    """The images of all parts (at least one), one part after the other."""
    return Images(
        torch.cat([part.images for part in parts]),
        torch.cat([part.labels for part in parts]),
        torch.cat([part.indices for part in parts]),
    )


def measured(images: Tensor) -> tuple[Channels, Channels]:
    """Mean and standard deviation of each channel over all pixels of uint8 [N, 3, H, W], of pixels in [0, 1].

    Computed in float64 from how often each of the 256 values occurs, so that nothing is lost over many images. A
    deviation is at least 1/255, one step of 8 bits: where all pixels are alike it would be 0, which cannot divide.
    """
    values = torch.arange(256, dtype=torch.float64) / 255
    means, deviations = [], []
    for channel in images.unbind(dim=1):
        counts = channel.flatten().bincount(minlength=256).double()
        mean = counts @ values / counts.sum()
        means.append(float(mean))
        deviations.append(max(float((counts @ (values - mean) ** 2 / counts.sum()).sqrt()), 1 / 255))
    return tuple(means), tuple(deviations)
