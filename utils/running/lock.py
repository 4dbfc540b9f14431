"""A folder that one process at a time works in."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from utils.running.errors import UserError


@contextmanager
def locked(folder: Path, name: str = ".lock") -> Iterator[None]:
    """Makes the folder and has it for this process alone within the block.

    The lock is the system's, on a file in the folder, so that it ends with the process, however that ends.

    Raises: `UserError` if another process has it; `OSError` if it cannot be made or written to.
    """
    folder.mkdir(parents=True, exist_ok=True)
    # A link is not followed and nothing is emptied: the lock's name may be that of another file.
    file = os.open(folder / name, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UserError(
                f"{folder} is in use by another process: wait for it, or give another checkpoint_root"
            ) from error
        yield
    finally:
        os.close(file)
