"""Batched augmentation against torchvision's functional transforms of one PIL image."""

import pytest
import torch
import torchvision.transforms.functional as TF
from torchvision.transforms import InterpolationMode

from datasets import augment
from datasets.augment import Draw, Transform


def pictures(count, size=32, seed=0):
    return torch.randint(0, 256, (count, 3, size, size), generator=torch.Generator().manual_seed(seed)).byte()


def one_by_one(images, values, padding, rotate=True):
    """Pad, crop, mirror, rotate and scale each image with torchvision: float32 [B, 3, H, W]."""
    results = []
    for image, top, left, mirrored, angle in zip(
        images, values.top.tolist(), values.left.tolist(), values.mirrored.tolist(), values.angle.tolist(), strict=True
    ):
        height, width = image.shape[1:]
        picture = TF.crop(TF.pad(TF.to_pil_image(image), padding), top, left, height, width)
        picture = TF.hflip(picture) if mirrored else picture
        picture = TF.rotate(picture, angle, InterpolationMode.NEAREST) if rotate else picture
        results.append(TF.to_tensor(picture))
    return torch.stack(results)


def all_draws(angles, padding, seed=0):
    generator = torch.Generator().manual_seed(seed)
    top, left = torch.randint(0, 2 * padding + 1, (2, len(angles)), generator=generator)
    mirrored = torch.rand(len(angles), generator=generator) < 0.5
    return Draw(top, left, mirrored, torch.tensor(angles, dtype=torch.float32))


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
    result = augment.apply(images, values, Transform(padding=padding, degrees=5.0))
    assert torch.equal(result, one_by_one(images, values, padding))
    assert torch.equal(images, before)


def test_every_corner_of_the_padded_image_can_be_cropped():
    corners = [(top, left) for top in range(9) for left in range(9)]
    top, left = (torch.tensor(side) for side in zip(*corners, strict=True))
    values = Draw(top, left, torch.zeros(81, dtype=torch.bool), torch.zeros(81))
    assert torch.equal(augment.apply(pictures(81), values, Transform()), one_by_one(pictures(81), values, 4))


def test_without_rotation_the_angle_is_ignored():
    images, values = pictures(20), all_draws([30.0] * 20, 4)
    result = augment.apply(images, values, Transform(degrees=0.0))
    assert torch.equal(result, one_by_one(images, values, 4, rotate=False))


def test_without_padding_mirroring_and_rotation_the_image_stays():
    images, transform = pictures(5), Transform(padding=0, degrees=0.0, flip=False)
    values = augment.draw(5, transform, torch.Generator().manual_seed(0))
    found = augment.apply(images, values, transform)
    assert torch.equal(found, augment.scaled(images))
    assert torch.equal(found, torch.stack([TF.to_tensor(TF.to_pil_image(image)) for image in images]))


def drawn(count=4000, seed=0, **options):
    return augment.draw(count, Transform(**options), torch.Generator().manual_seed(seed))


def test_every_image_has_values_of_its_own():
    values = drawn()
    for side in (values.top, values.left):
        counts = torch.bincount(side, minlength=9)
        assert len(counts) == 9, "corners from 0 to twice the padding"
        assert counts.min() > 350
        assert counts.max() < 540
    assert values.angle.unique().numel() > 3900
    assert abs(values.mirrored.double().mean() - 0.5) < 0.05
    pairs = torch.stack([values.top, values.left, values.mirrored.long()]).double()
    correlations = torch.corrcoef(torch.cat([pairs, values.angle.double()[None]]))
    assert (correlations - torch.eye(4)).abs().max() < 0.08, "corner, mirroring and angle do not depend on each other"
    neighbours = torch.corrcoef(torch.stack([values.angle[:-1], values.angle[1:]]))[0, 1]
    assert abs(neighbours) < 0.08


def test_what_is_switched_off_is_not_drawn():
    assert not drawn(flip=False).mirrored.any()
    assert not drawn(padding=0).top.any()
    assert not drawn(padding=0).left.any()
    assert not drawn(degrees=0.0).angle.any()


def test_angles_fill_the_range_on_both_sides_as_the_generator_decides():
    angle = drawn(degrees=10.0).angle
    assert angle.abs().max() <= 10
    assert angle.min() <= -9.9
    assert angle.max() >= 9.9
    assert torch.equal(drawn(seed=1).angle, drawn(seed=1).angle)
    assert not torch.equal(drawn(seed=1).angle, drawn(seed=2).angle)
