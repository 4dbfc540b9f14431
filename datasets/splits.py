"""How a data set's classes are cut into tasks: split types, split lists and the class order.

A split list holds the tasks' bounds: `[0, 50, 60, 70, 80, 90, 100]` has six tasks, task `i` being the classes
`split_list[i]` … `split_list[i + 1] - 1` in the class order. A split type is the field's short name for it: "sA-tB" is
a first task of A classes and then B tasks more; "s0-tB" is B tasks, none of them special.
"""

import re
import reprlib
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from numbers import Integral

import numpy as np

from utils.running.errors import UserError


def parse_split_type(split_type: str) -> tuple[int, int]:
    """Numbers (A, B) of "sA-tB": A ≥ 0 classes in the first task, then B ≥ 1 tasks.

    Raises: `UserError` for anything else, leading zeros included: runs are stored by this name, and a split is to have
        one.
    """
    pattern = r"s(0|[1-9][0-9]{0,5})-t([1-9][0-9]{0,5})"
    if not isinstance(split_type, str) or (match := re.fullmatch(pattern, split_type)) is None:
        raise UserError(
            f'split_type is {reprlib.repr(split_type)}, expected "sA-tB" with A classes in the first task and '
            f'B tasks after it: write it like "s50-t5", or "s0-t10" for ten equal tasks'
        )
    return int(match[1]), int(match[2])


def split_list_of(split_type: str, num_classes: int = 100) -> list[int]:
    """Bounds that a type alone stands for: all classes of the data, the tasks after the first equal.

    Returns: B + 1 bounds for "s0-tB", B + 2 for "sA-tB" with A > 0.

    Raises: `UserError` if the first task leaves no class for the others, or those cannot be equal.
    """
    first, num_tasks = parse_split_type(split_type)
    rest = num_classes - first
    if rest < 1:
        raise UserError(
            f'split_type="{split_type}" leaves no class for the tasks after the first: the data has {num_classes} '
            f"classes, so begin with fewer than {num_classes}"
        )
    if rest % num_tasks:
        fitting = [str(tasks) for tasks in range(1, rest + 1) if rest % tasks == 0]
        raise UserError(
            f'split_type="{split_type}" cuts {rest} classes into {num_tasks} tasks, which cannot be equal: '
            f"use a number of tasks out of {', '.join(fitting)}, or give a split_list"
        )
    return ([0] if first else []) + list(range(first, num_classes + 1, rest // num_tasks))


def split_type_of(split_list: Sequence[int]) -> str:
    """Type of a valid split list: "s0-tB" for B equal tasks, else "sA-tB" with the first task as A.

    A first task as large as the later ones is not told apart from them: `[0, 50, 100]` is "s0-t2", although "s50-t1"
    describes it as well.
    """
    sizes = _task_sizes(split_list)
    return f"s0-t{len(sizes)}" if len(set(sizes)) == 1 else f"s{sizes[0]}-t{len(sizes) - 1}"


def resolve_split(split_list: Sequence[int] | None, split_type: str | None, num_classes: int = 100) -> list[int]:
    """Bounds of the tasks, from a split list, a split type, or both.

    A list may end before the data's last class and its tasks may differ in size. Given both, they must agree in the
    number of tasks and, unless the type is "s0-tB", in the first task's size.

    Args:
        split_list: at least two integers that rise strictly from 0 to at most `num_classes`, or None.
        split_type: "sA-tB", or None; `split_type_of` then names the list.
        num_classes: how many classes the data has.

    Returns: a new list of Python integers.

    Raises: `UserError` if the list or the type is not as above, they disagree, or both are None.
    """
    if split_list is None:
        if split_type is None:
            raise UserError('neither split_list nor split_type is given: give one of them, such as split_type="s0-t10"')
        return split_list_of(split_type, num_classes)
    bounds = _integers("split_list", split_list, "such as [0, 10, 20]")
    if len(bounds) < 2 or bounds[0] != 0:
        raise UserError(
            f"split_list is {reprlib.repr(bounds)}, expected 0 and then the end of every task: "
            f"write it like [0, 10, 20]"
        )
    for before, after in pairwise(bounds):
        if after <= before:
            raise UserError(f"split_list has {after} after {before}, expected it to rise: give every task a class")
    if bounds[-1] > num_classes:
        raise UserError(
            f"split_list goes up to {bounds[-1]}, expected at most {num_classes}, the number of classes in the data: "
            f"end it there"
        )
    if split_type is not None:
        _require_agreement(bounds, split_type)
    return bounds


def _require_agreement(bounds: list[int], split_type: str) -> None:
    first, later = parse_split_type(split_type)
    sizes = _task_sizes(bounds)
    if len(sizes) != later + (first > 0) or first not in (0, sizes[0]):
        expected = f"{later} tasks" if first == 0 else f"{later + 1} tasks, the first of {first} classes"
        raise UserError(
            f'split_type="{split_type}" stands for {expected}, but split_list has {len(sizes)}, the first of '
            f'{sizes[0]} classes: give split_type="{split_type_of(bounds)}" with this list, or leave one of the two out'
        )


def class_order(spec: int | Sequence[int] | None, num_classes: int) -> list[int]:
    """Order in which the data's classes are learned: position in the order → label in the data's files.

    Args:
        spec: None for 0, 1, 2, …; a seed for a random order, 1993 being the field's usual one (Rebuffi et al. 2017,
            iCaRL, and most work since); or the order itself.
        num_classes: how many classes the data has.

    Returns: a permutation of 0 … `num_classes` − 1 as Python integers.

    Raises: `UserError` for a seed outside 0 … 2³² − 1, and for a list with missing, repeated or unknown classes.
    """
    if spec is None:
        return list(range(num_classes))
    if isinstance(spec, Integral) and not isinstance(spec, bool):
        if not 0 <= spec < 2**32:
            raise UserError(f"class_order is another seed than 0 to {2**32 - 1}: use one such as 1993")
        # The legacy generator, because the published class orders were drawn from it.
        return np.random.RandomState(int(spec)).permutation(num_classes).tolist()
    order = _integers("class_order", spec, "a seed such as 1993, or None")
    counts = Counter(order)
    faults = {
        "missing": [label for label in range(num_classes) if label not in counts],
        "repeated": [label for label, count in counts.items() if count > 1],
        "unknown": [label for label in counts if not 0 <= label < num_classes],
    }
    found = "; ".join(f"{fault}: {reprlib.repr(labels)[1:-1]}" for fault, labels in faults.items() if labels)
    if found:
        raise UserError(
            f"class_order has {found}; expected each of the {num_classes} classes 0 to {num_classes - 1} once: "
            f"mend the list, or give a seed such as 1993"
        )
    return order


def _task_sizes(split_list: Sequence[int]) -> list[int]:
    return [end - start for start, end in pairwise(split_list)]


def _integers(name: str, values: object, otherwise: str) -> list[int]:
    """`values` as Python integers; NumPy's are welcome, truth values and floats are not."""
    if not isinstance(values, Sequence) or isinstance(values, str | bytes):
        raise UserError(f"{name} is {reprlib.repr(values)}, expected a list of integers: give one, {otherwise}")
    for value in values:
        if not isinstance(value, Integral) or isinstance(value, bool):
            raise UserError(f"{name} holds {reprlib.repr(value)}, expected integers only: write whole numbers")
        if abs(value) >= 2**63:
            raise UserError(f"{name} holds a number of more than 18 digits: write the numbers of classes")
    return [int(value) for value in values]
