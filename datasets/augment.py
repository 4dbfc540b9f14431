"""Crop, flip and rotation of whole batches, on the device that holds the images.

Every image has its own random values. With the same values each step equals torchvision's functional transform of one
image (zero padding and crop; horizontal flip; nearest-neighbour rotation about the centre with zero fill), the three of
them done as one gather: each output pixel says which pixel of the stored image it shows, or none.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
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
        images: uint8 [B, 3, H, W].
        values: one entry per image, on the images' device.

    Returns: float32 [B, 3, H, W] in [0, 1], in channels_last layout.
    """
    count, _, height, width = images.shape
    source, inside = _source_pixels(values, transform, height, width)
    # A pixel's three bytes and a fourth make one int32, which is gathered at once. The extra pixel at the end, zero,
    # stands for everything outside the image.
    pixels = F.pad(images.permute(0, 2, 3, 1).reshape(count, height * width, 3), (0, 1, 0, 1)).view(torch.int32)
    source = torch.where(inside, source, height * width).view(count, height * width).long()
    picked = pixels.squeeze(2).gather(1, source).view(torch.uint8).view(count, height, width, 4)
    return scaled(picked[..., :3].permute(0, 3, 1, 2))


def scaled(images: Tensor) -> Tensor:
    """uint8 [B, 3, H, W] -> float32 [B, 3, H, W] in [0, 1], channels_last."""
    return images.to(torch.float32, memory_format=torch.channels_last).div_(255)


def _source_pixels(values: Draw, transform: Transform, height: int, width: int) -> tuple[Tensor, Tensor]:
    """For each output pixel the index (row · width + column) of the stored pixel it shows, and whether there is one.

    Walks the transforms backwards: rotation, then flip, then crop. Returns int32 and bool [B, H, W].
    """
    device = values.top.device
    rows = torch.arange(height, device=device, dtype=torch.int32).view(1, -1, 1)
    columns = torch.arange(width, device=device, dtype=torch.int32).view(1, 1, -1)
    inside = torch.ones((), dtype=torch.bool, device=device)
    if transform.degrees > 0:
        rows, columns = _rotated(rows, columns, values.angle, height, width)
        inside = (columns >= 0) & (columns < width) & (rows >= 0) & (rows < height)
    columns = torch.where(values.mirrored.view(-1, 1, 1), width - 1 - columns, columns)
    rows = rows + (values.top.int() - transform.padding).view(-1, 1, 1)
    columns = columns + (values.left.int() - transform.padding).view(-1, 1, 1)
    inside = inside & (columns >= 0) & (columns < width) & (rows >= 0) & (rows < height)
    return rows * width + columns, inside


def _rotated(rows: Tensor, columns: Tensor, angle: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Where an output pixel lies before the rotation: int32 rows and columns, broadcast to [B, H, W].

    In the 16.16 fixed-point numbers of Pillow's nearest-neighbour transform, so that no pixel is rounded differently.
    """
    radians = -torch.deg2rad(angle.double() % 360)
    cosine, sine = torch.cos(radians), torch.sin(radians)
    start_x = width / 2 - cosine * width / 2 - sine * height / 2 + (cosine + sine) / 2
    start_y = height / 2 + sine * width / 2 - cosine * height / 2 + (cosine - sine) / 2
    c, s, x0, y0 = (torch.floor(v * 65536 + 0.5).int().view(-1, 1, 1) for v in (cosine, sine, start_x, start_y))
    return (y0 - s * columns + c * rows) >> 16, (x0 + c * columns + s * rows) >> 16
