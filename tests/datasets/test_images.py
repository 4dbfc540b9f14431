"""Images in memory: what a set may hold, rows, fingerprints, and measured normalisation."""

import numpy as np
import pytest
import torch

from datasets.images import Images, ImageSet, empty_images, joined, measured

GOOD = {
    "name": "cifar10", "images": torch.zeros(2, 3, 32, 32, dtype=torch.uint8), "labels": torch.tensor([0, 1]),
    "class_names": ("a", "b"), "mean": (0.5,) * 3, "std": (0.2,) * 3, "mirror": True,
}  # fmt: skip


@pytest.mark.parametrize(
    "change",
    [
        {"images": GOOD["images"].float()},
        {"images": GOOD["images"][:, :1]},
        {"images": GOOD["images"][..., :9]},
        {"images": GOOD["images"][..., :0, :0]},
        {"images": GOOD["images"].to(memory_format=torch.channels_last)},
        {"labels": GOOD["labels"].int()},
        {"labels": torch.tensor([0])},
        {"labels": torch.tensor([0, 2])},
        {"labels": torch.tensor([-1, 0])},
        {"std": (0.2, 0.2, 0)},
        {"std": None},
        {"mean": None},
    ],
)
def test_an_image_set_says_which_set_is_wrong(change, refusal):
    assert len(ImageSet(**GOOD)) == 2
    assert "data set 'cifar10'" in refusal(ImageSet, **GOOD | change)


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


def test_a_fingerprint_tells_other_pixels_and_other_labels():
    prints = {some(5).fingerprint(), some(5, first=1).fingerprint(), some(4).fingerprint()}
    one, other = some(5), some(5)
    other.images[4, 2, 3, 3] ^= 1
    prints |= {other.fingerprint(), Images(one.images, one.labels.flip(0), one.indices).fingerprint()}
    assert len(prints) == 5
    assert one.fingerprint() == some(5).fingerprint()
    assert {len(found) for found in prints} == {16}


def test_an_image_sets_fingerprint_counts_the_class_names_too():
    names = [ImageSet(**GOOD | {"class_names": names}).fingerprint() for names in (("a", "b"), ("a", "c"))]
    assert len(set(names)) == 2


def test_measured_means_and_deviations_are_those_of_numpy():
    images = torch.randint(0, 256, (7, 3, 9, 5), generator=torch.Generator().manual_seed(0)).byte()
    pixels = images.permute(1, 0, 2, 3).flatten(1).numpy().astype(np.float64) / 255
    mean, std = measured(images)
    assert mean == pytest.approx(pixels.mean(axis=1), rel=1e-12)
    assert std == pytest.approx(pixels.std(axis=1), rel=1e-12)


def test_equal_pixels_are_divided_by_one_step_of_eight_bits():
    mean, std = measured(torch.full((3, 3, 8, 8), 51, dtype=torch.uint8))
    assert mean == pytest.approx((0.2, 0.2, 0.2))
    assert std == (1 / 255,) * 3


@pytest.mark.parametrize("size", [10**7, 10**30])  # more than the addresses of a process; more than a size can say
def test_more_pixels_than_there_is_memory_for_are_one_line(size, refusal):
    assert "give a smaller image_size" in refusal(empty_images, 20, size)


def test_rows_in_another_order_are_other_data():
    images = Images(torch.arange(12, dtype=torch.uint8).view(4, 3, 1, 1), torch.arange(4), torch.arange(4))
    assert images.select(torch.tensor([1, 0, 2, 3])).fingerprint() != images.fingerprint()
