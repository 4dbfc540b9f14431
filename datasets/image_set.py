"""One part (training or test) of a data set, in memory: what every reader returns and everything else takes."""

from dataclasses import dataclass

import torch

from utils.errors import UserError


@dataclass(frozen=True, eq=False)  # no __eq__: comparing tensors gives no single truth
class ImageSet:
    """Images and labels of one data set, with what is needed to augment and to normalise them.

    Raises:
        UserError: an attribute has another shape, dtype or range than stated here; the message names the set.
    """

    name: str  # canonical name, as in `datasets.catalog`: "cifar100"
    images: torch.Tensor  # uint8 [N, 3, 32, 32], contiguous, on the CPU
    labels: torch.Tensor  # int64 [N], the data set's own numbering: 0..len(class_names)-1; a class may have no image
    class_names: tuple[str, ...]
    mean: tuple[float, float, float]  # channel means of the official training set, in [0, 1] units
    std: tuple[float, float, float]  # channel standard deviations of the same
    mirror: bool  # whether a mirrored image keeps its class (False for digits)

    def __post_init__(self) -> None:
        images, labels = self.images, self.labels
        if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[1:] != (3, 32, 32):
            self._refuse(f"images are {images.dtype} {list(images.shape)}", "torch.uint8 [N, 3, 32, 32]")
        if not images.is_contiguous() or images.device.type != "cpu":
            self._refuse(f"images are strided {images.stride()} on {images.device}", "contiguous images on the CPU")
        if labels.dtype != torch.int64 or labels.shape != images.shape[:1]:
            self._refuse(f"labels are {labels.dtype} {list(labels.shape)}", f"torch.int64 [{len(images)}]")
        if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < len(self.class_names):
            self._refuse(
                f"labels run from {int(labels.min())} to {int(labels.max())}", f"0 to {len(self.class_names) - 1}"
            )
        if len(self.mean) != 3 or len(self.std) != 3 or min(self.std) <= 0:
            self._refuse(f"mean {self.mean} and std {self.std}", "three channel means and three positive deviations")

    def _refuse(self, found: str, expected: str) -> None:
        raise UserError(f"data set {self.name!r}: {found}; expected {expected}: correct the reader or the files")

    def __len__(self) -> int:
        """Number of images."""
        return len(self.images)
