"""The processes of one job, as PyTorch's launcher `torchrun` starts them; without it there is one.

`torchrun` gives every process its number in the environment. Processes share out whole trainings by that number and
never talk to each other: each has its own GPU, lock and log, on one machine or on several with a shared folder.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from utils.running.errors import UserError


class Place(NamedTuple):
    """This process among those of its job: number `rank` of `size`, `local_rank` on its machine."""

    rank: int
    size: int
    local_rank: int


_shared_out = False  # whether what this process does now is its share already


def place() -> Place:
    """This process's place, from the environment that `torchrun` sets."""
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        return Place(0, 1, 0)
    return Place(*(int(os.environ[name]) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK")))


def share(items: Sequence) -> Sequence:
    """The items that this process does: all of them, or every n-th where `torchrun` started n processes."""
    here = place()
    return items if _shared_out else items[here.rank :: here.size]


@contextmanager
def own_share() -> Iterator[None]:
    """Within this block `share` gives all items: what is done here is this process's share of something larger."""
    global _shared_out
    _shared_out = True
    try:
        yield
    finally:
        _shared_out = False


def require_one(what: str = "this trains one network or none") -> None:
    """Raises `UserError` if `torchrun` started several processes for something that they cannot share out."""
    if place().size > 1 and not _shared_out:
        raise UserError(f"{what}, in one process: start the script without torchrun")
