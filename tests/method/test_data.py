"""The data that a call names: the split's tasks, and the images that are used without their labels."""

import pytest

from utils.method import data
from utils.running.errors import UserError
from utils.running.options import settings


def test_a_split_is_the_data_sets_classes_in_their_order_and_between_its_bounds(tiny_options):
    found = data.split(settings({**tiny_options, "class_order": [*range(8, -1, -1)]}), [0, 4, 6], None)
    assert (found.bounds, found.type, found.dataset) == ([0, 4, 6], "s4-t1", "cifar100")
    assert [task.num_classes for task in found.tasks] == [4, 2]
    plain = data.split(settings(tiny_options), None, "s0-t3")
    assert plain.bounds == [0, 3, 6, 9]
    assert found.tasks[0].class_names[0] == plain.tasks[2].class_names[-1]
    assert found.configuration == {
        "dataset": "cifar100",
        "dataset_stand_in": True,
        "split_type": "s4-t1",
        "split_list": [0, 4, 6],
        "class_order": [*range(8, -1, -1)],
    }


def test_unlabelled_images_have_no_labels_and_are_never_of_the_set_that_is_learned(tiny_options):
    images, described = data.unlabelled(settings(tiny_options))
    assert (len(images), images.labels.tolist()) == (120, [0] * 120)
    assert described == {"unlabeled": "cifar10", "unlabeled_stand_in": True}
    for name in ("cifar100", "CIFAR100"):
        with pytest.raises(UserError, match="is the data set that is learned"):
            data.unlabelled(settings({**tiny_options, "unlabeled": name}))
    with pytest.raises(UserError, match=r"MixMatch's unlabelled images, .*mixmatch=False"):
        data.unlabelled(settings({**tiny_options, "unlabeled": "fashionmnist"}))
