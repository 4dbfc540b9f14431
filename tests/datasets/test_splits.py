"""Split types, split lists and class orders: what they stand for, and what is refused."""

import random
from itertools import pairwise

import numpy as np
import pytest

from datasets.splits import class_order, parse_split_type, resolve_split, split_list_of, split_type_of

DOCUMENTED = {
    "s0-t10": list(range(0, 101, 10)),
    "s0-t5": [0, 20, 40, 60, 80, 100],
    "s50-t5": [0, 50, 60, 70, 80, 90, 100],
    "s50-t10": [0, 50, 55, 60, 65, 70, 75, 80, 85, 90, 95, 100],
}


def sizes_of(bounds):
    return [after - before for before, after in pairwise(bounds)]


def some_lists(count=200):
    """Valid lists: the sizes of one to ten tasks, added up."""
    chance = random.Random(0)
    for _ in range(count):
        sizes = [chance.randint(1, chance.choice((1, 2, 30))) for _ in range(chance.randint(1, 10))]
        yield [sum(sizes[:task]) for task in range(len(sizes) + 1)]


# --- split types


@pytest.mark.parametrize(("split_type", "numbers"), [("s50-t5", (50, 5)), ("s0-t10", (0, 10)), ("s0-t1", (0, 1))])
def test_a_type_names_the_first_tasks_classes_and_the_tasks_after_it(split_type, numbers):
    assert parse_split_type(split_type) == numbers


@pytest.mark.parametrize(
    "wrong",
    ["", "s50", "t5", "50-5", "S50-T5", "s50_t5", "s50-t0", "s-1-t5", "s050-t5", "s5-t05", " s0-t5", "s0-t5\n", "s٣-t5",
     "s" + "9" * 5000 + "-t1", None, 5, b"s0-t5", ["s0-t5"]],
)  # fmt: skip
def test_anything_else_is_no_type(refusal, wrong):
    assert 'expected "sA-tB"' in refusal(parse_split_type, wrong)


@pytest.mark.parametrize(("split_type", "bounds"), DOCUMENTED.items())
def test_the_documented_types_stand_for_their_lists(split_type, bounds):
    assert split_list_of(split_type) == resolve_split(None, split_type) == bounds
    assert split_type_of(bounds) == split_type


@pytest.mark.parametrize("first", [0, 1, 7, 60])
@pytest.mark.parametrize("later", [1, 2, 20])
@pytest.mark.parametrize("size", [1, 6])
def test_a_type_cuts_all_classes_into_its_first_task_and_equal_ones(first, later, size):
    bounds = split_list_of(f"s{first}-t{later}", first + later * size)
    assert bounds[0] == 0
    assert sizes_of(bounds) == [first] * (first > 0) + [size] * later


def test_tasks_that_cannot_be_equal_are_refused_with_the_numbers_that_would(refusal):
    assert "use a number of tasks out of 1, 2, 5, 10, 25, 50," in refusal(split_list_of, "s50-t7")
    assert "use a number of tasks out of 1, 2, 3, 4, 6, 12," in refusal(split_list_of, "s8-t24", 20)


@pytest.mark.parametrize("split_type", ["s100-t1", "s200-t5"])
def test_a_first_task_that_takes_all_classes_is_refused(refusal, split_type):
    assert "leaves no class" in refusal(split_list_of, split_type)


# --- lists and types together


def test_every_rising_list_is_kept_and_agrees_with_the_type_it_is_given():
    for bounds in some_lists():
        assert resolve_split(bounds, None, bounds[-1]) == bounds
        assert resolve_split(bounds, split_type_of(bounds), 300) == bounds


def test_every_list_that_does_not_rise_is_refused(refusal):
    for bounds in some_lists():
        for place in range(len(bounds)):
            for less in (0, 1, 7):
                wrong = [*bounds[: place + 1], bounds[place] - less, *bounds[place + 1 :]]
                assert "expected it to rise" in refusal(resolve_split, wrong, None, 300)


@pytest.mark.parametrize("wrong", [[], [0], [5], [1, 5], [-1, 5], [5, 0]])
def test_a_list_that_does_not_begin_at_0_or_has_no_task_is_refused(refusal, wrong):
    assert "expected 0 and then the end of every task" in refusal(resolve_split, wrong, None)


def test_a_list_and_a_type_agree_exactly_in_the_first_size_and_the_number_of_tasks(refusal):
    for bounds in some_lists(40):
        sizes = sizes_of(bounds)
        for first in {0, 1, 2, sizes[0]}:
            for later in {1, 2, len(sizes), len(sizes) - 1} - {0}:
                if len(sizes) == later + (first > 0) and first in (0, sizes[0]):
                    assert resolve_split(bounds, f"s{first}-t{later}", 300) == bounds
                else:
                    assert split_type_of(bounds) in refusal(resolve_split, bounds, f"s{first}-t{later}", 300)


@pytest.mark.parametrize(
    ("bounds", "split_type"),
    [
        ([0, 5, 10, 15, 20], "s0-t4"),  # ends before the last class
        ([0, 50, 60], "s50-t1"),
        ([0, 10, 15, 40], "s0-t3"),  # tasks of different sizes
        ([0, 10, 15, 40], "s10-t2"),
        ([0, 50, 100], "s50-t1"),
        (list(range(101)), "s0-t100"),  # tasks of one class
        ([0, 100], "s0-t1"),
    ],
)
def test_lists_may_end_early_and_have_unequal_tasks(bounds, split_type):
    assert resolve_split(bounds, split_type) == bounds


def test_neither_list_nor_type_or_classes_that_are_not_there_are_refused(refusal):
    assert "neither split_list nor split_type" in refusal(resolve_split, None, None)
    assert resolve_split([0, 20], None, 20) == [0, 20]
    assert "goes up to 21, expected at most 20" in refusal(resolve_split, [0, 21], None, 20)


@pytest.mark.parametrize(
    "wrong",
    [[0, 10.0], [0, True], [False, 10], [0, "10"], [0, None], [0, [10]], [0, np.bool_(1)], [0, 10**5000], "0, 10",
     b"01", 10, {0, 10}, {0: 10}, 5.0],
)  # fmt: skip
def test_bounds_are_a_list_of_whole_numbers(refusal, wrong):
    refusal(resolve_split, wrong, None)


def test_tuples_ranges_and_numpy_integers_become_a_new_list_of_python_integers():
    given = [0, 10]
    assert resolve_split(given, None) is not given
    for bounds in [(0, 10), range(0, 20, 10), [np.int64(0), np.int32(10)]]:
        assert resolve_split(bounds, None) == [0, 10]
        assert {type(bound) for bound in resolve_split(bounds, None)} == {int}


# --- class orders


def test_without_a_class_order_classes_come_as_they_are_numbered():
    assert class_order(None, 4) == [0, 1, 2, 3]


def test_seed_1993_gives_the_order_that_the_field_uses():
    # The first classes of CIFAR-100 as iCaRL's successors list them.
    assert class_order(1993, 100)[:12] == [68, 56, 78, 8, 23, 84, 90, 65, 74, 76, 40, 89]


@pytest.mark.parametrize("seed", [0, 1, 1993, 2**32 - 1])
@pytest.mark.parametrize("num_classes", [1, 4, 100])
def test_a_seed_gives_one_permutation_and_the_permutation_gives_itself(seed, num_classes):
    before = np.random.get_state()[1].copy()  # noqa: NPY002 - the state that must not change
    order = class_order(seed, num_classes)
    assert sorted(order) == list(range(num_classes))
    assert {type(label) for label in order} == {int}
    assert class_order(seed, num_classes) == class_order(tuple(order), num_classes) == order
    assert (np.random.get_state()[1] == before).all()  # noqa: NPY002


@pytest.mark.parametrize(
    ("wrong", "fault"),
    [
        ([0, 1, 2], "missing: 3; expected"),
        ([0, 1, 2, 2], "missing: 3; repeated: 2; expected"),
        ([0, 1, 2, 4], "missing: 3; unknown: 4; expected"),
        ([0, 1, 2, 3, 3], "has repeated: 3; expected"),
        ([-1, 0, 1, 2, 3], "has unknown: -1; expected"),
        ([], "missing: 0, 1, 2, 3; expected"),
        ([0, 1, 2, 3.0], "expected integers only"),
        (-1, "0 to 4294967295"),
        (2**32, "0 to 4294967295"),
        pytest.param(10**5000, "0 to 4294967295", id="huge"),
        (True, "expected a list of integers"),
        (1.5, "expected a list of integers"),
        ("1993", "expected a list of integers"),
    ],
)
def test_what_is_no_order_of_all_classes_is_refused_with_the_classes_at_fault(refusal, wrong, fault):
    assert fault in refusal(class_order, wrong, 4)


def test_many_faults_stay_one_short_line(refusal):
    assert "missing: 0, 1, 2, 3, 4, 5, ...;" in refusal(class_order, [], 10_000)
