"""Split types, split lists and class orders: what they stand for, and what is refused."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from datasets.tasks import class_order, parse_split_type, resolve_split, split_list_of, split_type_of
from utils.errors import UserError

DETERMINISTIC = settings(derandomize=True, deadline=None, max_examples=200)

DOCUMENTED = {
    "s0-t10": list(range(0, 101, 10)),
    "s0-t5": [0, 20, 40, 60, 80, 100],
    "s50-t5": [0, 50, 60, 70, 80, 90, 100],
    "s50-t10": [0, 50, 55, 60, 65, 70, 75, 80, 85, 90, 95, 100],
}

# Any valid list: the sizes of one to ten tasks, added up.
SPLIT_LISTS = st.lists(st.integers(1, 30), min_size=1, max_size=10).map(
    lambda sizes: [sum(sizes[:task]) for task in range(len(sizes) + 1)]
)


@st.composite
def split_types(draw):
    """A type together with a number of classes that it cuts evenly."""
    first, num_tasks, size = draw(st.integers(0, 60)), draw(st.integers(1, 20)), draw(st.integers(1, 20))
    return f"s{first}-t{num_tasks}", first + num_tasks * size


def message_of(function, *args):
    with pytest.raises(UserError) as caught:
        function(*args)
    message = str(caught.value)
    assert message.isprintable(), "one line"
    assert len(message) < 400
    return message


# --- split types


@pytest.mark.parametrize(("split_type", "numbers"), [("s50-t5", (50, 5)), ("s0-t10", (0, 10)), ("s0-t1", (0, 1))])
def test_a_type_names_the_first_tasks_classes_and_the_tasks_after_it(split_type, numbers):
    assert parse_split_type(split_type) == numbers


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "s50",
        "t5",
        "50-5",
        "S50-T5",
        "s50_t5",
        "s50-t0",
        "s-1-t5",
        "s050-t5",
        "s5-t05",
        " s0-t5",
        "s0-t5\n",
        "s٣-t5",
    ],
)
def test_other_texts_are_no_type(wrong):
    assert 'expected "sA-tB"' in message_of(parse_split_type, wrong)


@pytest.mark.parametrize("wrong", ["s" + "9" * 5000 + "-t1", None, 5, b"s0-t5", ["s0-t5"]])
def test_numbers_beyond_reason_and_other_objects_are_no_type(wrong):
    assert 'expected "sA-tB"' in message_of(parse_split_type, wrong)


@pytest.mark.parametrize(("split_type", "bounds"), DOCUMENTED.items())
def test_the_documented_types_stand_for_their_lists(split_type, bounds):
    assert split_list_of(split_type) == bounds
    assert split_type_of(bounds) == split_type


@DETERMINISTIC
@given(split_types())
def test_a_type_cuts_all_classes_into_its_first_task_and_equal_ones(case):
    split_type, num_classes = case
    first, num_tasks = parse_split_type(split_type)
    bounds = split_list_of(split_type, num_classes)
    sizes = np.diff(bounds).tolist()
    assert bounds[0] == 0
    assert bounds[-1] == num_classes
    assert sizes[:1] == [first] or first == 0
    later = sizes[1:] if first else sizes
    assert len(later) == num_tasks
    assert len(set(later)) == 1


def test_tasks_that_cannot_be_equal_are_refused_with_the_numbers_that_would():
    assert "use a number of tasks out of 1, 2, 5, 10, 25, 50," in message_of(split_list_of, "s50-t7")
    assert "use a number of tasks out of 1, 2, 3, 4, 6, 12," in message_of(split_list_of, "s8-t24", 20)


@pytest.mark.parametrize("split_type", ["s100-t1", "s200-t5"])
def test_a_first_task_that_takes_all_classes_is_refused(split_type):
    assert "leaves no class" in message_of(split_list_of, split_type)


# --- lists and types together


@DETERMINISTIC
@given(split_types())
def test_resolving_agrees_with_the_list_of_the_type(case):
    split_type, num_classes = case
    bounds = split_list_of(split_type, num_classes)
    assert resolve_split(None, split_type, num_classes) == bounds
    assert resolve_split(bounds, None, num_classes) == bounds
    assert resolve_split(bounds, split_type, num_classes) == bounds


@DETERMINISTIC
@given(SPLIT_LISTS)
def test_every_rising_list_is_kept_and_agrees_with_the_type_it_is_given(bounds):
    assert resolve_split(bounds, None, bounds[-1]) == bounds
    assert resolve_split(bounds, split_type_of(bounds), bounds[-1]) == bounds


@DETERMINISTIC
@given(SPLIT_LISTS, st.data())
def test_every_list_that_does_not_rise_is_refused(bounds, data):
    place = data.draw(st.integers(0, len(bounds) - 1))
    bounds.insert(place + 1, bounds[place] - data.draw(st.sampled_from([0, 1, 7])))
    assert f"has {bounds[place + 1]} after {bounds[place]}, expected it to rise" in message_of(
        resolve_split, bounds, None, 300
    )


@DETERMINISTIC
@given(st.lists(st.integers(-5, 100), max_size=12))
def test_every_list_that_does_not_begin_at_0_or_has_no_task_is_refused(bounds):
    assume(bounds[:1] != [0] or len(bounds) < 2)
    assert "expected 0 and then the end of every task" in message_of(resolve_split, bounds, None)


@DETERMINISTIC
@given(SPLIT_LISTS, st.integers(0, 60), st.integers(1, 12))
def test_a_list_and_a_type_agree_exactly_in_the_first_size_and_the_number_of_tasks(bounds, first, later):
    sizes = np.diff(bounds).tolist()
    agree = len(sizes) == later if first == 0 else (len(sizes), sizes[0]) == (later + 1, first)
    if agree:
        assert resolve_split(bounds, f"s{first}-t{later}", 300) == bounds
    else:
        assert split_type_of(bounds) in message_of(resolve_split, bounds, f"s{first}-t{later}", 300)


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


def test_a_disagreement_says_what_the_type_stands_for_and_what_fits_the_list():
    message = message_of(resolve_split, [0, 10, 20], "s50-t5")
    assert 'split_type="s50-t5" stands for 6 tasks, the first of 50 classes' in message
    assert "split_list has 2, the first of 10 classes" in message
    assert 'give split_type="s0-t2" with this list' in message


def test_with_neither_list_nor_type_there_is_nothing_to_resolve():
    assert "neither split_list nor split_type" in message_of(resolve_split, None, None)


def test_a_list_that_goes_past_the_datas_classes_is_refused():
    assert resolve_split([0, 20], None, 20) == [0, 20]
    assert "goes up to 21, expected at most 20" in message_of(resolve_split, [0, 21], None, 20)


@pytest.mark.parametrize(
    "wrong", [[0, 10.0], [0, True], [False, 10], [0, "10"], [0, None], [0, [10]], [0, np.bool_(1)]]
)
def test_bounds_are_whole_numbers(wrong):
    assert "expected integers only" in message_of(resolve_split, wrong, None)


@pytest.mark.parametrize("wrong", ["0, 10", b"01", 10, {0, 10}, {0: 10}, 5.0])
def test_bounds_are_a_list(wrong):
    assert "expected a list of integers" in message_of(resolve_split, wrong, None)


def test_tuples_ranges_and_numpy_integers_become_a_new_list_of_python_integers():
    given_bounds = [0, 10]
    assert resolve_split(given_bounds, None) is not given_bounds
    for bounds in [(0, 10), range(0, 20, 10), [np.int64(0), np.int32(10)]]:
        assert resolve_split(bounds, None) == [0, 10]
        assert {type(bound) for bound in resolve_split(bounds, None)} == {int}


# --- class orders


def test_without_a_class_order_classes_come_as_they_are_numbered():
    assert class_order(None, 4) == [0, 1, 2, 3]


def test_seed_1993_gives_the_order_that_the_field_uses():
    # The first classes of CIFAR-100 as iCaRL's successors list them.
    assert class_order(1993, 100)[:12] == [68, 56, 78, 8, 23, 84, 90, 65, 74, 76, 40, 89]


@DETERMINISTIC
@given(st.integers(0, 2**32 - 1), st.integers(1, 100))
def test_a_seed_gives_one_permutation_and_the_permutation_gives_itself(seed, num_classes):
    order = class_order(seed, num_classes)
    assert sorted(order) == list(range(num_classes))
    assert {type(label) for label in order} == {int}
    assert class_order(seed, num_classes) == order
    assert class_order(tuple(order), num_classes) == order


def test_a_seed_leaves_the_global_random_state_alone():
    before = np.random.get_state()[1].copy()  # noqa: NPY002 - the state that must not change
    class_order(1993, 100)
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
        (-1, "expected 0 to 4294967295"),
        (2**32, "expected 0 to 4294967295"),
        (True, "expected a list of integers"),
        (1.5, "expected a list of integers"),
        ("1993", "expected a list of integers"),
    ],
)
def test_what_is_no_order_of_all_classes_is_refused_with_the_classes_at_fault(wrong, fault):
    assert fault in message_of(class_order, wrong, 4)


def test_many_faults_stay_one_short_line():
    assert "missing: 0, 1, 2, 3, 4, 5, ...;" in message_of(class_order, [], 10_000)
