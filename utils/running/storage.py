"""Files that are whole or absent, bytes and JSON, and folders that one process at a time works in."""

import fcntl
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from utils.running.errors import UserError


def write_bytes(path: Path, content: bytes, replaced: Iterable[Path] = ()) -> None:
    """Writes beside the place, flushes to the disk, then renames: a reader sees the old file or the new one.

    The files `replaced` go when the new one is whole and before it takes its place.

    Raises: `OSError` that names the file; what was there before stays.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with beside.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        for each in replaced:
            each.unlink(missing_ok=True)
        os.replace(beside, path)
    except BaseException as error:
        beside.unlink(missing_ok=True)
        if isinstance(error, OSError):  # of a full disk, the system does not tell the file
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise


def as_json(content: dict) -> bytes:
    """What a JSON file of this content holds."""
    return (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode()


def read_json(path: Path) -> dict:
    """Reads a JSON file that holds an object. Raises `UserError` that names the file if it does not."""
    try:
        content = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        raise UserError(f"{path} is damaged: delete it and run the command that made it again")
    return content


@contextmanager
def locked(folder: Path, name: str = ".lock") -> Iterator[None]:
    """Makes the folder and has it for this process alone within the block.

    The lock is the system's, on a file in the folder, so that it ends with the process, however that ends.

    Raises: `UserError` if another process has it; `OSError` if it cannot be made or written to.
    """
    folder.mkdir(parents=True, exist_ok=True)
    # A link is not followed and nothing is emptied: the lock's name may be that of another file.
    descriptor = os.open(folder / name, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    with open(descriptor, "rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UserError(
                f"{folder} is in use by another process: wait for it, or give another checkpoint_root"
            ) from error
        yield
