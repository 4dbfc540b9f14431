"""Images in memory: a data set's part as it was read, and the rows of it that tasks and memories hold."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from utils.running.errors import UserError

# One step of 8 bits. Where all pixels are alike the deviation would be 0, by which nothing can be divided.
SMALLEST_DEVIATION = 1 / 255

Channels = tuple[float, float, float]


@dataclass(frozen=True, eq=False)  # no __eq__: comparing tensors gives no single truth
class ImageSet:
    """A part (training or test) of a data set, with what is needed to augment and to normalise it.

    Raises: `UserError` that names the set if an attribute has another shape, dtype or range than stated here.
    """

    name: str  # short name, as in `datasets.catalog`: "cifar100", "folder-flowers"
    images: Tensor  # uint8 [N, 3, S, S], contiguous, on the CPU
    labels: Tensor  # int64 [N], the data set's own numbering: 0..len(class_names)-1; a class may have no image
    class_names: tuple[str, ...]
    mean: Channels | None  # channel means of the training set, in [0, 1] units; None: to be measured
    std: Channels | None  # channel standard deviations of the same; None where `mean` is
    mirror: bool  # whether a mirrored image keeps its class (False for digits)
    stand_in: bool = False  # whether `datasets.stand_ins` drew the images

    def __post_init__(self) -> None:
        images, labels = self.images, self.labels
        square = images.ndim == 4 and images.shape[1] == 3 and images.shape[2] == images.shape[3] > 0
        if images.dtype != torch.uint8 or not square:
            self._refuse(f"images are {images.dtype} {list(images.shape)}", "torch.uint8 [N, 3, S, S]")
        if not images.is_contiguous() or images.device.type != "cpu":
            self._refuse(f"images are strided {images.stride()} on {images.device}", "contiguous images on the CPU")
        if labels.dtype != torch.int64 or labels.shape != images.shape[:1]:
            self._refuse(f"labels are {labels.dtype} {list(labels.shape)}", f"torch.int64 [{len(images)}]")
        if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < len(self.class_names):
            self._refuse(
                f"labels run from {int(labels.min())} to {int(labels.max())}", f"0 to {len(self.class_names) - 1}"
            )
        measured_later = self.mean is None and self.std is None
        if not measured_later and not (len(self.mean or ()) == len(self.std or ()) == 3 and min(self.std) > 0):
            self._refuse(f"mean {self.mean} and std {self.std}", "three channel means and three positive deviations")

    def _refuse(self, found: str, expected: str) -> None:
        raise UserError(f"data set {self.name!r}: {found}; expected {expected}: correct the reader or the files")

    def __len__(self) -> int:
        """Number of images."""
        return len(self.images)

    def fingerprint(self) -> str:
        """16 hexadecimal digits that tell these pixels, labels and class names from others, wherever they lie."""
        return _fingerprint(self.images, self.labels, list(self.class_names))


@dataclass(frozen=True, eq=False)
class Images:
    """Labelled images, on any device.

    Attributes:
        images: uint8 [N, 3, S, S].
        labels: int64 [N].
        indices: int64 [N], the images' rows in the data set's part.
    """

    images: Tensor
    labels: Tensor
    indices: Tensor

    def select(self, rows: Tensor) -> "Images":
        """The rows at `rows` (int64 or bool)."""
        return Images(self.images[rows], self.labels[rows], self.indices[rows])

    def to(self, device: torch.device | str) -> "Images":
        """The same images on another device."""
        return Images(self.images.to(device), self.labels.to(device), self.indices.to(device))

    def __len__(self) -> int:
        """Number of images."""
        return len(self.labels)

    def fingerprint(self) -> str:
        """16 hexadecimal digits that tell these pixels and labels from others, on any device."""
        return _fingerprint(self.images, self.labels)


def joined(parts: Sequence[Images]) -> Images:
    """The images of all parts (at least one), one part after the other."""
    return Images(
        torch.cat([part.images for part in parts]),
        torch.cat([part.labels for part in parts]),
        torch.cat([part.indices for part in parts]),
    )


def empty_images(count: int, size: int) -> Tensor:
    """Room for `count` images of size×size pixels: uint8 [count, 3, size, size], not yet filled.

    Raises: `UserError` if there is no memory for so many.
    """
    try:
        return torch.empty((count, 3, size, size), dtype=torch.uint8)
    except (RuntimeError, TypeError, OverflowError) as error:  # too much memory, or more than a size can say
        gigabytes = count * 3 * size * size // 10**9
        raise UserError(
            f"{count} images of {size}×{size} pixels take {gigabytes} GB, more than there is: give a smaller image_size"
        ) from error


def measured(images: Tensor) -> tuple[Channels, Channels]:
    """Mean and standard deviation of each channel over all pixels of uint8 [N, 3, H, W], of pixels in [0, 1].

    Computed in float64 from how often each of the 256 values occurs, so that nothing is lost over many images. A
    deviation is at least `SMALLEST_DEVIATION`.
    """
    values = torch.arange(256, dtype=torch.float64) / 255
    means, deviations = [], []
    for channel in images.unbind(dim=1):
        counts = channel.flatten().bincount(minlength=256).double()
        mean = counts @ values / counts.sum()
        means.append(float(mean))
        deviations.append(max(float((counts @ (values - mean) ** 2 / counts.sum()).sqrt()), SMALLEST_DEVIATION))
    return tuple(means), tuple(deviations)


def _fingerprint(images: Tensor, labels: Tensor, *names: list[str]) -> str:
    digest = hashlib.sha256(json.dumps([list(images.shape), *names]).encode())
    for values in (labels, images):
        digest.update(values.cpu().flatten().numpy())
    return digest.hexdigest()[:16]
