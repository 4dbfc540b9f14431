"""Crop, flip and rotation of whole batches, on the device that holds the images.

Every image has its own random values. With the same values each step equals torchvision's functional transform of one
image (zero padding and crop; horizontal flip; nearest-neighbour rotation about the centre with zero fill), the three of
them done as one gather: each output pixel says which pixel of the stored image it shows, or none.
"""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Transform:
    """What augmentation may do. The networks normalise their input themselves.

    Attributes:
        padding: pixels of zero padding on each side before the random crop to the original size.
        degrees: rotation by a uniform angle in [-degrees, degrees].
        flip: whether to mirror with probability 1/2.
    """

    padding: int = 4
    degrees: float = 5.0
    flip: bool = True


@dataclass(frozen=True)
class Draw:
    """Random values for B images: crop corner `top`, `left` int64 [B] in 0..2·padding, `mirrored` bool [B], `angle`
    float32 [B] in degrees, counter-clockwise."""

    top: Tensor
    left: Tensor
    mirrored: Tensor
    angle: Tensor


def draw(count: int, transform: Transform, generator: torch.Generator) -> Draw:
    """Independent random values for `count` images, on the generator's device."""
    device = generator.device
    corner = torch.randint(0, 2 * transform.padding + 1, (2, count), generator=generator, device=device)
    uniform = torch.rand((2, count), generator=generator, device=device)
    mirrored = (uniform[0] < 0.5) if transform.flip else torch.zeros(count, dtype=torch.bool, device=device)
    return Draw(corner[0], corner[1], mirrored, (uniform[1] * 2 - 1) * transform.degrees)


def apply(images: Tensor, values: Draw, transform: Transform) -> Tensor:
    """Crop, flip, rotate (in this order).

    Args:
        images: uint8 [B, 3, S, S].
        values: one entry per image, on the images' device.

    Returns: float32 [B, 3, S, S] in [0, 1], in channels_last layout.
    """
    count, _, side, _ = images.shape
    source, mask = _source_pixels(values, transform, side)
    # A pixel's three bytes make one int32, which is gathered at once; the mask makes what shows no pixel 0.
    red, green, blue = images.flatten(2).int().unbind(1)
    pixels = red.add(green, alpha=1 << 8).add_(blue, alpha=1 << 16)
    picked = pixels.gather(1, source.flatten(1).long()).view_as(mask).bitwise_and_(mask)
    bytes_as_floats = picked.view(torch.uint8).view(count, side, side, 4).float().div_(255)
    result = torch.empty(count, side, side, 3, device=images.device)
    for channel in range(3):  # one by one: copies of three adjacent values at a time are slow
        result[..., channel] = bytes_as_floats[..., channel]
    return result.permute(0, 3, 1, 2)


def scaled(images: Tensor) -> Tensor:
    """uint8 [B, 3, H, W] -> float32 [B, 3, H, W] in [0, 1], channels_last."""
    return images.to(torch.float32, memory_format=torch.channels_last).div_(255)


def _source_pixels(values: Draw, transform: Transform, side: int) -> tuple[Tensor, Tensor]:
    """Which stored pixel each output pixel shows, row · side + column, and a mask, −1; both are 0 where it shows none.

    Walks the transforms backwards: rotation, then flip, then crop. All three are linear in the output pixel's row and
    column, in the 16.16 fixed-point numbers of Pillow's nearest-neighbour transform, so that no pixel is rounded
    differently. Returns int32 [B, S, S], twice. Inside, x and y are the two halves of one tensor [2, B, …].
    """
    corner = torch.stack((values.left, values.top)).int().view(2, -1, 1, 1) - transform.padding
    angle = values.angle if transform.degrees > 0 else torch.zeros_like(values.angle)
    cosine, sine, x, y = _rotation(angle, side)
    # Column side − 1 − (x >> 16), the mirrored one, is (65536 · side − 1 − x) >> 16.
    mirrored = values.mirrored.view(-1, 1, 1)
    sign = 1 - 2 * mirrored.int()
    start = torch.stack((torch.where(mirrored, 65536 * side - 1 - x, x), y)).add_(corner, alpha=65536)
    count = torch.arange(side, device=corner.device, dtype=torch.int32)
    by_row = torch.stack((sign * sine, cosine)) * count.view(-1, 1)
    by_column = torch.stack((sign * cosine, -sine)) * count
    position = (start + by_row + by_column).bitwise_right_shift_(16)
    # Inside are the pixels of the image that were cropped: from the larger of 0 and the corner to the smaller of the
    # two ends. A distance to an end is negative outside, and so is then what their bits joined by "or" make: the sign
    # alone makes the mask. That takes a third of the time of comparisons.
    distance = (position - corner.clamp(min=0)).bitwise_or_(side - 1 + corner.clamp(max=0) - position)
    mask = (distance[0] | distance[1]).bitwise_right_shift_(31).bitwise_not_()
    return position[0].add_(position[1], alpha=side).bitwise_and_(mask), mask


def _rotation(angle: Tensor, side: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Cosine, sine, and where the first pixel's centre lies before the rotation (x, y): int32 [B, 1, 1], in 16.16."""
    radians = -torch.deg2rad(angle.double() % 360)
    cosine, sine = torch.cos(radians), torch.sin(radians)
    half = side / 2
    x = half - cosine * half - sine * half + (cosine + sine) / 2
    y = half + sine * half - cosine * half + (cosine - sine) / 2
    fixed = torch.floor(torch.stack((cosine, sine, x, y)) * 65536 + 0.5).int()
    return fixed.view(4, -1, 1, 1).unbind()
