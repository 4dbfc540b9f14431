"""Crop, flip and rotation of whole batches, on the device that holds the images.

Every image has its own random values. With the same values each step equals torchvision's functional transform of one
image (zero padding and crop; horizontal flip; nearest-neighbour rotation about the centre with zero fill), the three of
them done as one gather: each output pixel says which pixel of the stored image it shows, or none.
"""

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor


@dataclass(frozen=True)
class Transform:
    """What augmentation may do. The networks normalise their input themselves."""

    padding: int = 4  # pixels of zero padding on each side before the random crop to the original size
    degrees: float = 5.0  # rotation by a uniform angle in [-degrees, degrees]
    flip: bool = True  # whether to mirror with probability 1/2


def draw(count: int, transform: Transform, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Independent random values for `count` images B, on the generator's device.

    Returns: top and left of the crop in the image, int64 [2, B] in -padding..padding; which are mirrored, bool [B];
        angles, float32 [B] in degrees, counter-clockwise.
    """
    device = generator.device
    corner = torch.randint(-transform.padding, transform.padding + 1, (2, count), generator=generator, device=device)
    uniform = torch.rand((2, count), generator=generator, device=device)
    mirrored = (uniform[0] < 0.5) if transform.flip else torch.zeros(count, dtype=torch.bool, device=device)
    return corner, mirrored, (uniform[1] * 2 - 1) * transform.degrees


def apply(images: Tensor, corner: Tensor, mirrored: Tensor, angle: Tensor) -> Tensor:
    """Crop, flip, rotate (in this order): uint8 [B, 3, S, S] -> float32 [B, 3, S, S] in [0, 1].

    The values are as `draw` gives them, on the images' device.
    """
    count, _, side, _ = images.shape
    white = _constants(side, images.device)[1]
    # A pixel's three bytes make one int32, which is gathered at once. Number 0 is black.
    red, green, blue = images.flatten(2).int().unbind(1)
    pixels = torch.empty(1 + count * side * side, dtype=torch.int32, device=images.device)
    pixels[0] = 0
    torch.add(red, green, alpha=1 << 8, out=pixels[1:].view(count, -1)).add_(blue, alpha=1 << 16)
    picked = pixels.index_select(0, _source_pixels(corner, mirrored, angle, side).flatten())
    # Each of the three bytes in its place over 255 in that place: the quotient is that of the byte and 255. Divided in
    # place, as every tensor of this size costs more to allocate than to compute.
    return (picked.view(count, 1, side, side) & white).float().div_(white)


def scaled(images: Tensor) -> Tensor:
    """uint8 [B, 3, H, W] -> float32 [B, 3, H, W] in [0, 1]."""
    return images.float().div_(255)


@lru_cache
def _constants(side: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """What depends on the size of the images only.

    Returns: int32 [side], 0 … side − 1; int32 [3, 1, 1], 255 in the place of each of a pixel's three bytes; float64
        [6, 2] and [6, 1], matrix and offset of the rotation, see `_source_pixels`.
    """
    count = torch.arange(side, dtype=torch.int32)
    white = torch.tensor([255, 255 << 8, 255 << 16], dtype=torch.int32).view(3, 1, 1)
    first = (side - 1) / 2  # from the first pixel's centre to the image's
    turn = torch.tensor([[-first, -first], [-first, first], [0, 1], [1, 0], [1, 0], [0, -1]], dtype=torch.float64)
    offset = torch.tensor([side / 2, side / 2, 0, 0, 0, 0], dtype=torch.float64).view(6, 1)
    return tuple(constant.to(device) for constant in (count, white, turn * 65536, offset * 65536 + 0.5))


def _source_pixels(corner: Tensor, mirrored: Tensor, angle: Tensor, side: int) -> Tensor:
    """Which pixel of the batch each output pixel shows, counted from 1 in the order of [B, S, S]; 0 for none.

    Walks the transforms backwards: rotation, then flip, then crop. All three are linear in the output pixel's row and
    column, in the 16.16 fixed-point numbers of Pillow's nearest-neighbour transform, so that no pixel is rounded
    differently. Returns int32 [B, S, S]. Inside, x and y are the two halves of one tensor [2, B, …].
    """
    corner = corner.flip(0).int()
    # Where the first pixel's centre lies before the rotation, and how far from there a row and a column lead: (x, y) is
    # S/2 − (S−1)/2 · (cos + sin, cos − sin), a row (sin, cos), a column (cos, −sin). All in one product: [3, 2, B].
    count, _, turn, offset = _constants(side, corner.device)
    radians = torch.deg2rad(angle.double()).neg_()
    turned = torch.addmm(offset, turn, torch.stack((torch.cos(radians), torch.sin(radians))))
    start, by_row, by_column = moves = turned.floor_().int().view(3, 2, -1)
    # Column side − 1 − (x >> 16), the mirrored one, is (65536 · side − 1 − x) >> 16.
    mirrored = mirrored.int()
    moves[:, 0].mul_(1 - 2 * mirrored)
    start[0].add_(mirrored, alpha=65536 * side - 1)
    # From here on x and y begin at the first of the image's pixels that were cropped.
    start += corner.clamp(max=0).mul_(65536)
    rows = start[..., None, None] + by_row[..., None, None] * count.view(-1, 1)
    position = rows + by_column[..., None, None] * count
    # A distance to an end of what was cropped is negative outside, and so is then what their bits joined by "or" make:
    # the sign alone makes the mask. That takes a third of the time of comparisons.
    last = corner.abs().mul_(-65536).add_(65536 * side - 1)
    distance = (last[..., None, None] - position).bitwise_or_(position)
    inside = (distance[0] | distance[1]).bitwise_right_shift_(31).bitwise_not_()
    column, row = position.bitwise_right_shift_(16)
    left, top = corner.clamp_(min=0)
    end = 1 + side * side * len(mirrored)
    first = torch.arange(1, end, side * side, dtype=torch.int32, device=mirrored.device)
    first.add_(top, alpha=side).add_(left)
    return column.add_(row, alpha=side).add_(first[:, None, None]).bitwise_and_(inside)
