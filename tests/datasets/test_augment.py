"""Batched augmentation against torchvision's functional transforms of one PIL image."""

import pytest
import torch
import torchvision.transforms.functional as TF
from torchvision.transforms import InterpolationMode

from datasets import augment
from datasets.augment import Transform


def pictures(count, size=32, seed=0):
    return torch.randint(0, 256, (count, 3, size, size), generator=torch.Generator().manual_seed(seed)).byte()


def one_by_one(images, values, padding):
    """Pad, crop, mirror, rotate and scale each image with torchvision: float32 [B, 3, H, W]."""
    results = []
    (tops, lefts), *others = (each.tolist() for each in values)
    for image, top, left, mirrored, angle in zip(images, tops, lefts, *others, strict=True):
        height, width = image.shape[1:]
        picture = TF.crop(TF.pad(TF.to_pil_image(image), padding), top + padding, left + padding, height, width)
        picture = TF.hflip(picture) if mirrored else picture
        results.append(TF.to_tensor(TF.rotate(picture, angle, InterpolationMode.NEAREST)))
    return torch.stack(results)


def all_draws(angles, padding, seed=0):
    generator = torch.Generator().manual_seed(seed)
    corner = torch.randint(-padding, padding + 1, (2, len(angles)), generator=generator)
    mirrored = torch.rand(len(angles), generator=generator) < 0.5
    return corner, mirrored, torch.tensor(angles, dtype=torch.float32)


ANGLES = {
    "small": torch.linspace(-10, 10, 81).tolist(),
    "round": [0.0, -0.0, 45.0, -45.0, 90.0, -90.0, 135.0, 180.0, -180.0, 270.0, 360.0, -360.0, 450.0, 720.0],
    "any": torch.linspace(-400, 400, 99).tolist(),
    "tiny": [1e-7, -1e-7, 1e-4, -1e-4, 89.9999, 90.0001, 179.99999, 359.99999],
}


@pytest.mark.parametrize(("padding", "size"), [(0, 32), (4, 32), (3, 8), (3, 17), (2, 33)])
@pytest.mark.parametrize("angles", ANGLES.values(), ids=ANGLES)
def test_it_equals_torchvision_pixel_by_pixel(angles, padding, size):
    images, values = pictures(len(angles), size), all_draws(angles, padding)
    before = images.clone()
    result = augment.apply(images, *values)
    assert torch.equal(result, one_by_one(images, values, padding))
    assert torch.equal(images, before)


def test_without_padding_mirroring_and_rotation_the_image_stays():
    images, transform = pictures(20), Transform(padding=0, degrees=0.0, flip=False)
    values = augment.draw(20, transform, torch.Generator().manual_seed(0))
    found = augment.apply(images, *values)
    assert torch.equal(found, augment.scaled(images))
    assert torch.equal(found, torch.stack([TF.to_tensor(TF.to_pil_image(image)) for image in images]))


def test_values_fill_their_ranges_evenly_and_do_not_depend_on_each_other():
    corner, mirrored, angle = augment.draw(4000, Transform(degrees=10.0), torch.Generator().manual_seed(0))
    for side in corner:
        counts = torch.bincount(side + 4, minlength=9)
        assert len(counts) == 9, "corners from one end of the padding to the other"
        assert 350 < counts.min() <= counts.max() < 540
    assert angle.unique().numel() > 3900, "every image has its own"
    assert -10 <= angle.min() < -9.9
    assert 9.9 < angle.max() <= 10
    assert abs(mirrored.double().mean() - 0.5) < 0.05
    drawn = torch.stack([each.double() for each in (*corner, mirrored, angle)])
    assert (torch.corrcoef(drawn) - torch.eye(4)).abs().max() < 0.08
