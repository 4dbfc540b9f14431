"""Split types, split lists and class orders: what they stand for, and what is refused."""

import pytest

from datasets.splits import class_order, resolve_split, split_type_of

DOCUMENTED = {
    "s0-t10": list(range(0, 101, 10)),
    "s0-t5": [0, 20, 40, 60, 80, 100],
    "s50-t5": [0, 50, 60, 70, 80, 90, 100],
    "s50-t10": [0, 50, 55, 60, 65, 70, 75, 80, 85, 90, 95, 100],
}


@pytest.mark.parametrize(("split_type", "bounds"), DOCUMENTED.items())
def test_the_documented_types_stand_for_their_lists(split_type, bounds):
    assert resolve_split(None, split_type) == resolve_split(bounds, split_type) == resolve_split(bounds, None) == bounds
    assert split_type_of(bounds) == split_type


def test_anything_else_is_no_type(refusal):
    for wrong in ("", "50-5", "S50-T5", "s50-t0", "s050-t5", "s0-t5\n", "s٣-t5", "s" + "9" * 5000 + "-t1", 5):
        assert '"sA-tB"' in refusal(resolve_split, None, wrong)


def test_tasks_that_cannot_be_equal_are_refused_with_the_numbers_that_would(refusal):
    assert "use a number of tasks out of 1, 2, 5, 10, 25, 50," in refusal(resolve_split, None, "s50-t7")
    assert "begin with fewer" in refusal(resolve_split, None, "s100-t1")


@pytest.mark.parametrize(
    ("bounds", "split_type"),
    [([0, 10, 15, 40], "s0-t3"), ([0, 10, 15, 40], "s10-t2"), ([0, 50, 100], "s50-t1"), ((0, 10), "s0-t1")],
)
def test_lists_may_end_early_and_have_unequal_tasks(bounds, split_type):
    assert resolve_split(bounds, split_type) == list(bounds)
    assert resolve_split(bounds, split_type_of(bounds)) is not bounds


def test_a_list_and_a_type_that_disagree_are_refused_with_the_lists_type(refusal):
    for split_type in ("s0-t2", "s0-t4", "s10-t3", "s5-t2"):
        assert 'give split_type="s10-t2"' in refusal(resolve_split, [0, 10, 15, 40], split_type)


def test_bounds_are_whole_numbers_that_rise_from_0_to_at_most_the_number_of_classes(refusal):
    falling = [[], [0], [1, 5], [-1, 5], [0, 5, 5], [0, 101]]
    for wrong in (*falling, [0, 10.0], [0, True], [0, "10"], "0, 10", b"01", 10, {0, 10}):
        assert "split_list" in refusal(resolve_split, wrong, None)


def test_seed_1993_gives_the_order_that_the_field_uses():
    # The first classes of CIFAR-100 as iCaRL's successors list them.
    assert class_order(1993, 100)[:12] == [68, 56, 78, 8, 23, 84, 90, 65, 74, 76, 40, 89]
    assert sorted(class_order(0, 100)) == class_order(None, 100) == list(range(100))
    assert class_order((2, 0, 1), 3) == [2, 0, 1]


def test_what_is_no_order_of_all_classes_is_refused_with_the_classes_at_fault(refusal):
    for wrong, named in (([0, 1, 2, 4], "[3, 4]"), ([0, 1, 2, 3, 3], "[3]")):
        assert named in refusal(class_order, wrong, 4)
