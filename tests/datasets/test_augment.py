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
    """Pad, crop, mirror and rotate each image with torchvision: uint8 [B, 3, H, W]."""
    results = []
    for image, top, left, mirrored, angle in zip(
        images, values.top.tolist(), values.left.tolist(), values.mirrored.tolist(), values.angle.tolist(), strict=True
    ):
        height, width = image.shape[1:]
        picture = TF.crop(TF.pad(TF.to_pil_image(image), padding), top, left, height, width)
        picture = TF.hflip(picture) if mirrored else picture
        picture = TF.rotate(picture, angle, InterpolationMode.NEAREST) if rotate else picture
        results.append(TF.pil_to_tensor(picture))
    return torch.stack(results)


def as_bytes(batch):
    return (batch * 255).round().to(torch.uint8)


def all_draws(angles, padding, seed=0):
    generator = torch.Generator().manual_seed(seed)
    count = len(angles)
    top, left = torch.randint(0, 2 * padding + 1, (2, count), generator=generator)
    mirrored = torch.rand(count, generator=generator) < 0.5
    return Draw(top, left, mirrored, torch.tensor(angles, dtype=torch.float32))


ANGLES = {
    "small": torch.linspace(-10, 10, 161).tolist(),
    "round": [0.0, -0.0, 45.0, -45.0, 90.0, -90.0, 135.0, 180.0, -180.0, 270.0, 360.0, -360.0, 450.0, 720.0],
    "any": torch.linspace(-400, 400, 199).tolist(),
    "tiny": [1e-7, -1e-7, 1e-4, -1e-4, 89.9999, 90.0001, 179.99999, 359.99999],
}


@pytest.mark.parametrize("angles", ANGLES.values(), ids=ANGLES)
@pytest.mark.parametrize("padding", [0, 4])
def test_it_equals_torchvision_pixel_by_pixel(angles, padding):
    images, values = pictures(len(angles)), all_draws(angles, padding)
    result = augment.apply(images, values, Transform(padding=padding, degrees=5.0))
    assert torch.equal(as_bytes(result), one_by_one(images, values, padding))


def test_it_equals_torchvision_for_what_is_really_drawn():
    transform = Transform(padding=4, degrees=10.0)
    images, values = pictures(300), augment.draw(300, transform, torch.Generator().manual_seed(3))
    assert torch.equal(as_bytes(augment.apply(images, values, transform)), one_by_one(images, values, 4))


@pytest.mark.parametrize("size", [8, 17, 33])
def test_it_equals_torchvision_for_other_sizes(size):
    images, values = pictures(40, size), all_draws(torch.linspace(-60, 60, 40).tolist(), 3)
    result = augment.apply(images, values, Transform(padding=3))
    assert torch.equal(as_bytes(result), one_by_one(images, values, 3))


def test_every_corner_of_the_padded_image_can_be_cropped():
    corners = [(top, left) for top in range(9) for left in range(9)]
    top, left = (torch.tensor(side) for side in zip(*corners, strict=True))
    values = Draw(top, left, torch.zeros(81, dtype=torch.bool), torch.zeros(81))
    images = pictures(81)
    result = augment.apply(images, values, Transform())
    assert torch.equal(as_bytes(result), one_by_one(images, values, 4))


def test_without_rotation_the_angle_is_ignored():
    images, values = pictures(20), all_draws([30.0] * 20, 4)
    result = augment.apply(images, values, Transform(degrees=0.0))
    assert torch.equal(as_bytes(result), one_by_one(images, values, 4, rotate=False))


def test_without_padding_mirroring_and_rotation_the_image_stays():
    images, transform = pictures(5), Transform(padding=0, degrees=0.0, flip=False)
    values = augment.draw(5, transform, torch.Generator().manual_seed(0))
    assert torch.equal(as_bytes(augment.apply(images, values, transform)), images)


def test_pixels_from_outside_are_black():
    images = torch.full((1, 3, 32, 32), 255, dtype=torch.uint8)
    values = Draw(torch.tensor([0]), torch.tensor([0]), torch.tensor([False]), torch.zeros(1))
    result = augment.apply(images, values, Transform())
    assert not result[0, :, :4, :].any()
    assert not result[0, :, :, :4].any()
    assert (result[0, :, 4:, 4:] == 1).all()


def test_values_are_scaled_as_torchvision_scales_them():
    images, values = pictures(8), all_draws([3.0] * 8, 4)
    slow = torch.stack([TF.to_tensor(TF.to_pil_image(image)) for image in images])
    assert torch.equal(augment.scaled(images), slow)
    slow = torch.stack([TF.to_tensor(TF.to_pil_image(image)) for image in one_by_one(images, values, 4)])
    assert torch.equal(augment.apply(images, values, Transform()), slow)


def test_the_result_is_float32_in_three_planes_and_the_images_are_untouched():
    images, values = pictures(8), all_draws([3.0] * 8, 4)
    before = images.clone()
    for result in (augment.apply(images, values, Transform()), augment.scaled(images)):
        assert result.dtype == torch.float32
        assert result.is_contiguous()
    assert torch.equal(images, before)


# --- random values


def drawn(count=4000, seed=0, **options):
    return augment.draw(count, Transform(**options), torch.Generator().manual_seed(seed))


def test_every_image_has_values_of_its_own():
    values = drawn()
    assert set(values.top.tolist()) == set(values.left.tolist()) == set(range(9))
    assert values.angle.unique().numel() > 3900
    pairs = torch.stack([values.top, values.left, values.mirrored.long()]).double()
    correlations = torch.corrcoef(torch.cat([pairs, values.angle.double()[None]]))
    assert (correlations - torch.eye(4)).abs().max() < 0.08, "corner, mirroring and angle do not depend on each other"
    neighbours = torch.corrcoef(torch.stack([values.angle[:-1], values.angle[1:]]))[0, 1]
    assert abs(neighbours) < 0.08


def test_corners_are_equally_likely():
    values = drawn(9000)
    for side in (values.top, values.left):
        counts = torch.bincount(side, minlength=9)
        assert counts.min() > 800
        assert counts.max() < 1200


def test_half_of_the_images_are_mirrored_or_none():
    assert abs(drawn().mirrored.double().mean() - 0.5) < 0.05
    assert not drawn(flip=False).mirrored.any()


def test_without_padding_the_corner_is_zero():
    values = drawn(padding=0)
    assert not values.top.any()
    assert not values.left.any()


@pytest.mark.parametrize("degrees", [0.0, 5.0, 10.0])
def test_angles_fill_the_range_on_both_sides(degrees):
    angle = drawn(degrees=degrees).angle
    assert angle.abs().max() <= degrees
    assert angle.min() <= -0.99 * degrees
    assert angle.max() >= 0.99 * degrees


def test_the_generator_decides():
    assert torch.equal(drawn(seed=1).angle, drawn(seed=1).angle)
    assert not torch.equal(drawn(seed=1).angle, drawn(seed=2).angle)
