"""A folder that one process at a time works in."""

import fcntl
import os
from pathlib import Path

from utils.running.errors import UserError


class FolderLock:
    """The lock on a folder: the system's, on a file in it, so that it ends with the process, however that ends."""

    def __init__(self, folder: Path, name: str = ".lock"):
        self.folder, self.path = folder, folder / name
        self._file: int | None = None

    def take(self) -> None:
        """Makes the folder and locks it.

        Raises: `UserError` if another process has it; `OSError` if it cannot be made or written to.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        # A link is not followed and nothing is emptied: the lock's name may be that of another file.
        self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self.release()
            raise UserError(
                f"{self.folder} is in use by another process: wait for it, or give another checkpoint_root"
            ) from error

    def require(self) -> None:
        """Raises `UserError` if the folder that was locked is no longer at its path: moved, deleted or made anew."""
        if self._file is None:
            return
        try:
            there = os.path.samestat(os.fstat(self._file), os.stat(self.path))
        except FileNotFoundError:
            there = False
        if not there:
            raise UserError(
                f"{self.folder} was moved or deleted while this run worked in it; nothing was written to what is "
                f"there now: put the folder back, then run the same command again"
            )

    def release(self) -> None:
        """Lets another process have the folder."""
        if self._file is not None:
            os.close(self._file)
            self._file = None
