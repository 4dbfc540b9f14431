"""The data that a call names: the split's tasks, and the images that are used without their labels."""

import pytest

from utils.method import data
from utils.running.errors import UserError
from utils.running.options import settings


def test_a_split_is_the_data_sets_classes_in_their_order_and_between_its_bounds_and_results_say_so(tiny_options):
    order = [*range(8, -1, -1)]
    found = data.split(settings({**tiny_options, "class_order": order}), [0, 4, 6], None, 4)
    plain = data.split(settings(tiny_options), None, "s0-t3", 8)
    assert [task.num_classes for task in found.tasks] == [4, 2]
    assert (plain.bounds, found.tasks[0].class_names[0]) == ([0, 3, 6, 9], plain.tasks[2].class_names[-1])
    named = {"dataset": "cifar100", "dataset_stand_in": True}
    with pytest.raises(UserError, match="rehearsal_size=5 is less than one for each of 6 old classes"):
        data.split(settings(tiny_options), None, "s0-t3", 5)
    assert found.configuration == {**named, "split_type": "s4-t1", "split_list": [0, 4, 6], "class_order": order}


def test_unlabelled_images_have_no_labels_and_are_never_of_the_set_that_is_learned(tiny_options):
    images, described = data.unlabelled(settings(tiny_options))
    assert (len(images), images.labels.tolist()) == (120, [0] * 120)
    assert described == {"unlabeled": "cifar10", "unlabeled_stand_in": True}
    with pytest.raises(UserError, match="is the data set that is learned"):
        data.unlabelled(settings({**tiny_options, "unlabeled": "CIFAR100"}))
    with pytest.raises(UserError, match=r"MixMatch's unlabelled images, .*mixmatch=False"):
        data.unlabelled(settings({**tiny_options, "unlabeled": "fashionmnist"}))
