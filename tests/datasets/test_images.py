"""Images in memory: rows, fingerprints, and measured normalisation."""

import numpy as np
import pytest
import torch

from datasets.images import Images, ImageSet, joined, measured


def some(count, first=0):
    generator = torch.Generator().manual_seed(first)
    images = torch.randint(0, 256, (count, 3, 4, 4), generator=generator).byte()
    return Images(images, torch.arange(first, first + count), torch.arange(100, 100 + count))


def test_rows_are_selected_and_joined_with_their_labels_and_indices():
    one, two = some(5), some(3, first=5)
    both = joined([one, two])
    assert (len(both), both.labels.tolist()) == (8, list(range(8)))
    picked = both.select(torch.tensor([6, 0]))
    assert torch.equal(picked.images, torch.stack([two.images[1], one.images[0]]))
    assert (picked.labels.tolist(), picked.indices.tolist()) == ([6, 0], [101, 100])
    assert both.select(both.labels >= 5).fingerprint() == two.fingerprint()


def test_a_fingerprint_tells_other_pixels_labels_orders_and_class_names():
    one, other = some(5), some(5)
    other.images[4, 2, 3, 3] ^= 1
    flipped = Images(one.images, one.labels.flip(0), one.indices)
    alike = Images(one.images, one.labels * 0, one.indices)
    found = [one, some(5, first=1), some(4), other, flipped, alike, alike.select(torch.tensor([1, 0, 2, 3, 4]))]
    sets = [
        ImageSet("x", one.images, one.labels, names, None, None, mirror=True)
        for names in (tuple("abcde"), tuple("abcdf"))
    ]
    assert len({each.fingerprint() for each in [*found, *sets]}) == 9
    assert one.fingerprint() == some(5).fingerprint()


def test_measured_means_and_deviations_are_those_of_numpy():
    images = torch.randint(0, 256, (7, 3, 9, 5), generator=torch.Generator().manual_seed(0)).byte()
    pixels = images.permute(1, 0, 2, 3).flatten(1).numpy().astype(np.float64) / 255
    mean, std = measured(images)
    assert mean == pytest.approx(pixels.mean(axis=1), rel=1e-12)
    assert std == pytest.approx(pixels.std(axis=1), rel=1e-12)
    alike = torch.full((3, 3, 8, 8), 51, dtype=torch.uint8)
    assert measured(alike)[1] == (1 / 255,) * 3, "equal pixels are divided by one step of eight bits"
