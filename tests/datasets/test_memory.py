"""The exemplar memory: chosen once, without replacement, and only shortened from the end of each list."""

import random

import pytest
import torch

from datasets.images import ImageSet
from datasets.memory import Memory, herding_order
from datasets.tasks import class_ranges


def tasks_of(counts):
    """Tasks whose classes have so many images; an image's pixels are its row in the file."""
    sizes = [count for task in counts for count in task]
    labels = torch.cat([torch.full((count,), label) for label, count in enumerate(sizes)])
    labels = labels[torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))]
    images = torch.arange(len(labels)).byte().view(-1, 1, 1, 1).expand(-1, 3, 2, 2).contiguous()
    part = ImageSet("x", images, labels, tuple(map(str, range(len(sizes)))), (0.5,) * 3, (0.5,) * 3, mirror=False)
    bounds = [sum(map(len, counts[:number])) for number in range(len(counts) + 1)]
    return class_ranges(part, part, range(len(sizes)), bounds), part


def rows_in(memory):
    return [images.indices.tolist() for images in memory.classes]


@pytest.mark.parametrize("seed", range(10))
def test_every_class_has_an_equal_share_chosen_once_and_lists_only_shrink_from_their_end(seed):
    chance = random.Random(seed)
    counts = [[chance.randint(1, 9) for _ in range(chance.randint(1, 4))] for _ in range(chance.randint(1, 5))]
    size = chance.choice([0, 3, chance.randint(4, 60), 200])
    tasks, part = tasks_of(counts)
    memory, whole, other = Memory(size), Memory(per_class=9), Memory(per_class=9)
    for task in tasks:
        with task:
            for each, number in ((memory, seed), (whole, seed), (other, seed + 1)):
                each.add(task, number)
        assert rows_in(memory) == [rows[: size // task.last] for rows in rows_in(whole)], "of a function of the seed"
    for label, rows in enumerate(rows_in(whole)):
        assert sorted(rows) == (part.labels == label).nonzero().flatten().tolist(), "in a random order, each once"
    assert sum(map(len, whole.classes)) < 20 or rows_in(whole) != rows_in(other), "another seed, another order"
    found = memory.images()
    assert torch.equal(found.labels, part.labels[found.indices]), "each with its label"
    assert len(found) == 0 or torch.equal(found.images, part.images[found.indices]), "and its pixels"
    for kept in (memory, Memory(size)):
        again = Memory(size)
        again.load_state_dict(kept.state_dict(), len(kept.classes))
        assert list(filter(None, rows_in(again))) == list(filter(None, rows_in(kept)))
        assert torch.equal(again.images().images.flatten(), kept.images().images.flatten())


def slow_herding(features, count):
    """iCaRL, algorithm 4: p_k = argmin ‖μ − (φ(x) + Σ_{j<k} φ(p_j)) / k‖, every exemplar once."""
    rows = [[value / sum(v * v for v in row) ** 0.5 for value in row] for row in features.tolist()]
    mean = [sum(column) / len(rows) for column in zip(*rows, strict=True)]
    chosen = []
    for k in range(1, count + 1):
        distances = {}
        for candidate in set(range(len(rows))) - set(chosen):
            together = [sum(rows[j][d] for j in [*chosen, candidate]) / k for d in range(len(mean))]
            distances[candidate] = sum((m - t) ** 2 for m, t in zip(mean, together, strict=True))
        chosen.append(min(distances, key=distances.get))
    return chosen


def test_herding_equals_a_slow_version():
    features = torch.rand(20, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    features *= torch.linspace(0.1, 3, 20).view(-1, 1)
    assert herding_order(features, 20) == slow_herding(features, 20)
    assert herding_order(features, 5) == slow_herding(features, 5)
    assert sorted(herding_order(features[:4], 9)) == [0, 1, 2, 3], "no more than there are"


def test_classes_are_chosen_from_in_orders_of_their_own():
    memory, ([task], _) = Memory(per_class=9), tasks_of([[9, 9]])
    with task:
        memory.add(task, seed=0)
    one, other = (sorted(range(9), key=rows.__getitem__) for rows in rows_in(memory))
    assert one != other


def test_of_each_class_so_many_whatever_their_number():
    assert [Memory(per_class=5).share(classes) for classes in (1, 3, 21)] == [5, 5, 5]
