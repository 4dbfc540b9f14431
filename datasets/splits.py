"""How a data set's classes are cut into tasks: split types, split lists and the class order.

A split list holds the tasks' bounds: `[0, 50, 60, 70, 80, 90, 100]` has six tasks, task `i` being the classes
`split_list[i]` … `split_list[i + 1] - 1` in the class order. A split type is the field's short name for it: "sA-tB" is
a first task of A classes and then B tasks more; "s0-tB" is B tasks, none of them special.
"""

import re
import reprlib
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from utils.running.errors import UserError
from utils.running.options import require_arguments


def split_type_of(split_list: Sequence[int]) -> str:
    """Type of a valid split list: "s0-tB" for B equal tasks, else "sA-tB" with the first task as A.

    A first task as large as the later ones is not told apart from them: `[0, 50, 100]` is "s0-t2", although "s50-t1"
    describes it as well.
    """
    sizes = [end - start for start, end in pairwise(split_list)]
    return f"s0-t{len(sizes)}" if len(set(sizes)) == 1 else f"s{sizes[0]}-t{len(sizes) - 1}"


def resolve_split(split_list: Sequence[int] | None, split_type: str | None, num_classes: int = 100) -> list[int]:
    """Bounds of the tasks, from a split list, a split type, or both; with neither those of "s0-t10".

    A type alone stands for all classes of the data, the tasks after the first equal. A list may end before the data's
    last class and its tasks may differ in size. Given both, they must agree in the number of tasks and, unless the type
    is "s0-tB", in the first task's size.

    Args:
        split_list: at least two integers that rise strictly from 0 to at most `num_classes`, or None.
        split_type: "sA-tB", or None; `split_type_of` then names the list.

    Raises: `UserError` if the list or the type is not as above, or they disagree.
    """
    require_arguments(split_list=split_list, split_type=split_type)
    first, later = map(int, re.findall("[0-9]+", split_type or "s0-t10"))
    if split_list is None:
        rest = num_classes - first
        fitting = [tasks for tasks in range(1, rest + 1) if rest % tasks == 0]
        if later not in fitting:
            raise UserError(
                f'split_type="s{first}-t{later}" cannot cut the data\'s {num_classes} classes into equal tasks after '
                f"the first: use a number of tasks out of {', '.join(map(str, fitting)) or 'none: begin with fewer'}, "
                f"or give a split_list"
            )
        return ([0] if first else []) + list(range(first, num_classes + 1, rest // later))
    bounds = list(split_list)
    if bounds[-1] > num_classes:
        raise UserError(f"split_list goes up to {bounds[-1]}, but the data has {num_classes} classes: end it there")
    if split_type is not None and (len(bounds) - 1 != later + (first > 0) or first not in (0, bounds[1])):
        raise UserError(
            f'split_type="{split_type}" does not describe split_list, which has {len(bounds) - 1} tasks, the first '
            f'of {bounds[1]} classes: give split_type="{split_type_of(bounds)}", or leave one of the two out'
        )
    return bounds


def class_order(spec: int | Sequence[int] | None, num_classes: int) -> list[int]:
    """The labels in the data's files, 0 … `num_classes` − 1 as Python integers, in the order in which they are learned.

    Args:
        spec: None for 0, 1, 2, …; a seed for a random order, 1993 being the field's usual one (Rebuffi et al. 2017,
            iCaRL, and most work since); or the order itself.

    Raises: `UserError` for a list with missing, repeated or unknown classes.
    """
    if spec is None:
        return list(range(num_classes))
    if isinstance(spec, int):
        # The legacy generator, because the published class orders were drawn from it.
        return np.random.RandomState(spec).permutation(num_classes).tolist()
    order = list(spec)
    if sorted(order) != list(range(num_classes)):
        odd = sorted(set(range(num_classes)) ^ set(order)) or sorted(k for k in set(order) if order.count(k) > 1)
        raise UserError(
            f"class_order has to name each of the {num_classes} classes 0 to {num_classes - 1} once: see "
            f"{reprlib.repr(odd)}, missing, unknown or repeated; or give a seed such as 1993"
        )
    return order
