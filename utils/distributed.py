"""The processes of one job, as PyTorch's launcher `torchrun` starts them; without it there is one.

`torchrun` gives every process its number in the environment. Stage one shares out its tasks by that number, and its
processes meet at the start and at the end only; stage two trains one network together, see `Team.rows` and
`utils.global_norm`.
"""

import atexit
import os
import time
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor

from utils.errors import UserError

# How long a process waits for the others where they meet: longer than reading the data or evaluating takes.
PATIENCE = timedelta(hours=1)


@dataclass(frozen=True)
class Team:
    """This process among those of its job.

    Attributes:
        rank: its number, 0 to `size` - 1; number 0 leads: it alone writes what they have in common.
        size: how many there are.
        local_rank: its number on its machine, which is also that of its GPU.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0

    @property
    def alone(self) -> bool:
        return self.size == 1

    @property
    def leads(self) -> bool:
        return self.rank == 0

    def join(self) -> None:
        """Finds the other processes, once in the life of this one, and waits for them."""
        if self.alone:
            return
        if not dist.is_initialized():
            backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() and dist.is_nccl_available() else "gloo"
            dist.init_process_group(backend, timeout=PATIENCE)
            atexit.register(dist.destroy_process_group)
        self.meet()

    def meet(self) -> None:
        """Returns when all processes have come here."""
        if self.alone:
            return
        dist.all_reduce(torch.zeros(1))

    def any(self, flag: bool) -> bool:
        """Whether any process says yes; all of them have to ask."""
        if self.alone:
            return flag
        flags = torch.tensor([float(flag)])
        dist.all_reduce(flags)
        return bool(flags.item())

    def mean(self, values: Tensor) -> Tensor:
        """The mean over the processes, for tensors of one shape; all of them have to ask."""
        if self.alone:
            return values
        total = values.clone()
        dist.all_reduce(total)
        return total / self.size

    def rows(self, batch: Tensor) -> Tensor:
        """This process's part of a batch that all processes hold: row `rank`, and every `size`-th after it."""
        return batch if self.alone else batch[self.rank :: self.size]

    def weight(self, rows: int, batch: int) -> float:
        """What a mean over this process's `rows` out of `batch` counts, so that the mean over processes is that over
        the batch, also where their parts differ by a row."""
        return 1.0 if self.alone else rows * self.size / batch


ALONE = Team()


def wait_for_file(path: Path) -> None:
    """Returns when a file that another process has written is seen here, which on a shared folder may take a while.

    Raises: `UserError` after a minute.
    """
    for _ in range(600):
        if path.parent.is_dir() and path.name in os.listdir(path.parent):  # a listing asks the file server anew
            return
        time.sleep(0.1)
    raise UserError(f"{path} was written by another process but is not there: checkpoint_root must be a shared folder")


def is_broken(error: RuntimeError) -> bool:
    """Whether this is how PyTorch says that another process has gone away, or cannot be reached."""
    return isinstance(error, dist.DistBackendError) or "gloo" in str(error).lower()


def team() -> Team:
    """This process's place, from the environment that `torchrun` sets.

    Raises: `UserError` if the environment holds no such numbers.
    """
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        return ALONE
    try:
        return Team(*(int(os.environ[name]) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK")))
    except (KeyError, ValueError) as error:
        raise UserError(
            f"the environment says that torchrun started this process, but not its number ({error}): start "
            f"`torchrun --nproc-per-node=N SCRIPT 'CALL'`, or the script alone"
        ) from error


def require_one_process() -> None:
    """Raises `UserError` if `torchrun` started several for something that they cannot share."""
    if not team().alone:
        raise UserError("this runs in one process: start the script without torchrun")
