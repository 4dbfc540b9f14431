"""Tasks: which classes each has, and when their training images are in reach."""

from dataclasses import replace

import pytest
import torch

from datasets.images import ImageSet
from datasets.tasks import class_ranges, data_sets, hold_out
from utils.running.errors import UserError

ORDER, BOUNDS = [4, 1, 5, 0, 3, 2], [0, 2, 4, 6]  # class numbers in the order of learning


def image_set(per_class=12, seed=0, classes=6, name="cifar100", **more):
    """Images whose first pixel is their row in the file; the classes shuffled."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(classes).repeat(per_class)[torch.randperm(classes * per_class, generator=generator)]
    images = torch.randint(0, 256, (len(labels), 3, 32, 32), generator=generator).byte()
    images[:, 0, 0, 0] = torch.arange(len(labels))
    names = tuple(f"class {number}" for number in range(classes))
    shown = {"mean": (0.5,) * 3, "std": (0.25,) * 3, "mirror": True, **more}
    return ImageSet(name, images, labels, names, **shown)


def split(bounds=BOUNDS, train=None):
    return class_ranges(train or image_set(), image_set(4, seed=1), ORDER, bounds)


def test_training_images_are_in_reach_while_their_task_is_trained_and_never_again():
    tasks = split()
    for current in tasks:
        with current:
            assert set(current.train.labels.tolist()) == set(range(current.first, current.last))
            for other in set(tasks) - {current}:
                with pytest.raises(RuntimeError, match="training images"):
                    _ = other.train
    for task in tasks:
        with pytest.raises(RuntimeError, match="training images"):
            _ = task.train
        with pytest.raises(RuntimeError, match="training images"), task:
            pass


def test_labels_are_places_in_the_class_order():
    train, test, tasks = image_set(), image_set(4, seed=1), split([0, 2, 5])
    assert [(task.index, task.name, task.first, task.last) for task in tasks] == [(0, "0to2", 0, 2), (1, "2to5", 2, 5)]
    assert [name for task in tasks for name in task.class_names] == [f"class {k}" for k in ORDER[:5]]
    for task in tasks:
        with task:
            for part, images, each in ((train, task.train, 12), (test, task.test, 4)):
                assert len(images) == each * task.num_classes
                for image, label, row in zip(images.images, images.labels.tolist(), images.indices, strict=True):
                    assert task.first <= label < task.last
                    assert int(part.labels[row]) == ORDER[label]
                    assert torch.equal(part.images[row], image)


def test_a_set_without_statistics_is_normalised_by_those_of_the_first_tasks_training_images():
    tasks = split(train=image_set(mean=None, std=None))
    with tasks[0]:
        pixels = tasks[0].train.images.double() / 255
    for task in tasks:
        assert task.mean == pytest.approx(pixels.mean(dim=(0, 2, 3)).tolist())
        assert task.std == pytest.approx(pixels.std(dim=(0, 2, 3), correction=0).tolist())
    assert split()[1].mean == (0.5,) * 3


def test_a_class_without_images_is_named_unless_it_is_not_learned():
    train = image_set()
    lacking = replace(train, images=train.images[train.labels != 2], labels=train.labels[train.labels != 2])
    with pytest.raises(UserError, match="no training image of 1 classes of the split, class 2"):
        split(train=lacking)
    assert len(split([0, 2, 4], lacking)) == 2, "class 2 is the last"


def test_whole_data_sets_are_tasks_one_after_the_other():
    digits = image_set(5, classes=3, name="mnist", mirror=False, mean=(0.1,) * 3)
    tasks = data_sets([(digits, image_set(2, classes=3)), (image_set(), image_set(4))])
    assert [(task.name, task.first, task.last) for task in tasks] == [("mnist", 0, 3), ("cifar100", 3, 9)]
    assert [(task.mirror, task.mean[0]) for task in tasks] == [(False, 0.1), (True, 0.5)]
    assert len({key for task in tasks for key in task.class_keys}) == 9
    assert tasks[1].described == data_sets([(image_set(), image_set(4))])[0].described, "wherever it stands"
    assert tasks[1].described != data_sets([(image_set(), image_set(3))])[0].described, "other test images"
    with tasks[1]:
        assert torch.equal(tasks[1].train.labels, image_set().labels + 3)
        assert torch.equal(tasks[1].test.labels, image_set(4).labels + 3)
        assert torch.equal(tasks[1].train.images, image_set().images)


def test_a_share_of_every_class_is_held_out_by_seed_and_class():
    with split()[0] as task:
        images = task.train
    trained_on, held = hold_out(images, 0.25, 0)
    assert sorted([*trained_on.indices.tolist(), *held.indices.tolist()]) == images.indices.tolist()
    assert held.labels.bincount().tolist() == [3, 3]
    assert hold_out(images, 0.001, 0)[1].labels.bincount().tolist() == [1, 1], "at least one"
    assert hold_out(images, 0.25, 1)[1].indices.tolist() != held.indices.tolist()
    alone = hold_out(images.select(images.labels == 1), 0.25, 0)[1]
    assert alone.indices.tolist() == held.indices[held.labels == 1].tolist(), "of seed and class, not of the others"
    with pytest.raises(UserError, match="too few"):
        hold_out(images.select(torch.tensor([0])), 0.1, 0)
