"""Images in memory: fingerprints, and measured normalisation."""

import numpy as np
import pytest
import torch

from datasets.images import Images, measured


def some(count, seed=0):
    images = torch.randint(0, 256, (count, 3, 4, 4), generator=torch.Generator().manual_seed(seed)).byte()
    return Images(images, torch.arange(count), torch.arange(count))


def test_a_fingerprint_tells_other_pixels_labels_and_orders():
    one, other = some(5), some(5)
    other.images[4, 2, 3, 3] ^= 1
    flipped = Images(one.images, one.labels.flip(0), one.indices)
    alike = Images(one.images, one.labels * 0, one.indices)
    found = [one, some(5, seed=1), some(4), other, flipped, alike, alike.select(torch.tensor([1, 0, 2, 3, 4]))]
    assert len({each.fingerprint() for each in found}) == 7
    assert one.fingerprint() == some(5).fingerprint()


def test_measured_means_and_deviations_are_those_of_numpy():
    images = torch.randint(0, 256, (7, 3, 9, 5), generator=torch.Generator().manual_seed(0)).byte()
    pixels = images.permute(1, 0, 2, 3).flatten(1).numpy().astype(np.float64) / 255
    mean, std = measured(images)
    assert mean == pytest.approx(pixels.mean(axis=1), rel=1e-12)
    assert std == pytest.approx(pixels.std(axis=1), rel=1e-12)
    alike = torch.full((3, 3, 8, 8), 51, dtype=torch.uint8)
    assert measured(alike)[1] == (1 / 255,) * 3, "equal pixels are divided by one step of eight bits"
