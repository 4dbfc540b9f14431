"""One part (training or test) of a data set, in memory: what every reader returns and everything else takes."""

import hashlib
import json
from dataclasses import dataclass

import torch
from torch import Tensor

from utils.errors import UserError


@dataclass(frozen=True, eq=False)  # no __eq__: comparing tensors gives no single truth
class ImageSet:
    """Images and labels of one data set, with what is needed to augment and to normalise them.

    Raises:
        UserError: an attribute has another shape, dtype or range than stated here; the message names the set.
    """

    name: str  # short name, as in `datasets.catalog`: "cifar100", "folder-flowers"
    images: torch.Tensor  # uint8 [N, 3, S, S], contiguous, on the CPU
    labels: torch.Tensor  # int64 [N], the data set's own numbering: 0..len(class_names)-1; a class may have no image
    class_names: tuple[str, ...]
    mean: tuple[float, float, float] | None  # channel means of the training set, in [0, 1] units; None: to be measured
    std: tuple[float, float, float] | None  # channel standard deviations of the same; None where `mean` is
    mirror: bool  # whether a mirrored image keeps its class (False for digits)
    stand_in: bool = False  # whether `datasets.synthetic` drew the images

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
        if self.mean is None and self.std is None:
            return
        if self.mean is None or self.std is None or len(self.mean) != 3 or len(self.std) != 3 or min(self.std) <= 0:
            self._refuse(f"mean {self.mean} and std {self.std}", "three channel means and three positive deviations")

    def _refuse(self, found: str, expected: str) -> None:
        raise UserError(f"data set {self.name!r}: {found}; expected {expected}: correct the reader or the files")

    def __len__(self) -> int:
        """Number of images."""
        return len(self.images)

    def fingerprint(self) -> str:
        """16 hexadecimal digits that tell these pixels, labels and class names from others, wherever they lie."""
        described = [list(self.images.shape), list(self.class_names)]
        digest = hashlib.sha256(json.dumps(described).encode())
        for values in (self.labels, self.images):
            digest.update(values.flatten().numpy())
        return digest.hexdigest()[:16]


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
