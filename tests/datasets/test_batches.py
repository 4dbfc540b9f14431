"""Batches: every image equally often, none ragged, each a function of the key and its number."""

from collections import Counter

import pytest
import torch

from datasets.augment import Transform
from datasets.batches import Batches, Part

STILL = Transform(padding=0, degrees=0.0, flip=False)
MOVING = Transform(padding=2, degrees=10.0)


def speckled(count, seed=0):
    return torch.randint(1, 256, (count, 3, 8, 8), generator=torch.Generator().manual_seed(seed)).byte()


def part(count, size, labelled=True, views=1):
    """Images whose every pixel is their number, so that a row says which image it is."""
    images = torch.arange(count, dtype=torch.uint8).view(-1, 1, 1, 1).expand(count, 3, 8, 8)
    return Part(images, torch.arange(count) * 10 if labelled else None, size, STILL, views)


def batches(*parts, key=(0, "task", "phase")):
    return Batches(list(parts), steps_per_epoch=1, key=key)


def numbers(view):
    return (view[:, 0, 0, 0] * 255).round().int().tolist()


@pytest.mark.parametrize(("count", "size"), [(10, 4), (12, 12), (7, 3), (3, 8), (1, 5), (16, 32), (5, 13)])
def test_every_image_is_drawn_equally_often_with_its_label_and_no_batch_is_ragged(count, size):
    drawing, seen = batches(part(count, size)), []
    for number in range(count):  # count batches of size rows are size whole passes
        (rows,) = drawing.draw(number)
        found = numbers(rows.views[0])
        assert len(found) == size
        assert rows.labels.tolist() == [10 * image for image in found]
        seen += found
        times = Counter(seen)
        assert max(times.values()) - min(times[image] for image in range(count)) <= 1, "at any moment"


def test_every_pass_of_every_part_has_an_order_of_its_own_whatever_parts_there_are():
    alone, together = batches(part(20, 20)), batches(part(20, 20), part(20, 20, labelled=False))
    orders = [list(range(20))]
    for number in range(3):
        labelled, unlabelled = (numbers(rows.views[0]) for rows in together.draw(number))
        assert labelled == numbers(alone.draw(number)[0].views[0])
        orders += [labelled, unlabelled]
    assert len(set(map(tuple, orders))) == 7


def whole(batch):
    return [values for rows in batch for values in (*rows.views, rows.labels) if values is not None]


def equal(one, other):
    return all(torch.equal(a, b) for a, b in zip(whole(one), whole(other), strict=True))


def moving(key=(0, "task", "phase")):
    parts = [Part(speckled(11), torch.arange(11), 4, MOVING), Part(speckled(7, seed=1), None, 5, MOVING, views=2)]
    return Batches(parts, steps_per_epoch=3, key=key)


def test_batch_n_is_the_same_whatever_was_drawn_before_and_the_global_random_state_stays():
    sequential, jumping, state = moving(), moving(), torch.random.get_rng_state()
    in_order = [sequential.draw(number) for number in range(14)]
    assert torch.equal(torch.random.get_rng_state(), state)
    for number in (13, 0, 7, 7, 3, 12, 1):
        assert equal(in_order[number], moving().draw(number)), "by a fresh sequence"
        assert equal(in_order[number], jumping.draw(number)), "by one that jumps"


def test_another_key_draws_something_else():
    one = whole(moving().draw(0))
    for key in ((1, "task", "phase"), (0, "other", "phase"), (0, "task", "other")):
        other = whole(moving(key).draw(0))
        assert not any(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_views_are_of_the_same_images_augmented_differently_and_anew_every_time():
    (rows,) = batches(part(20, 6, labelled=False, views=3)).draw(0)
    assert numbers(rows.views[0]) == numbers(rows.views[1]) == numbers(rows.views[2])
    (rows,) = batches(Part(speckled(20), None, 20, MOVING, views=2)).draw(0)
    different = [not torch.equal(one, two) for one, two in zip(*rows.views, strict=True)]
    assert sum(different) >= 18, "but for chance, every image"
    (one,), (two,) = (batches(Part(speckled(1), None, 1, MOVING)).draw(number) for number in (0, 1))
    assert not torch.equal(one.views[0], two.views[0])
