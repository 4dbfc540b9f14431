"""Files that are whole or absent: bytes and JSON."""

import json
import os
from collections.abc import Callable
from pathlib import Path

from utils.running.errors import UserError


def write_bytes(path: Path, content: bytes, before: Callable[[], object] = lambda: None) -> None:
    """Writes beside the place, flushes to the disk, then renames: a reader sees the old file or the new one.

    `before` is called when the new file is whole and before it takes its place.

    Raises: `OSError` that names the file; what was there before stays.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with beside.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        before()
        os.replace(beside, path)
    except BaseException as error:
        beside.unlink(missing_ok=True)
        if isinstance(error, OSError):  # of a full disk, the system does not tell the file
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise


def as_json(content: dict) -> bytes:
    """What a JSON file of this content holds."""
    return (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode()


def write_json(path: Path, content: dict) -> None:
    """Writes a JSON file."""
    write_bytes(path, as_json(content))


def read_json(path: Path) -> dict:
    """Reads a JSON file that holds an object. Raises `UserError` that names the file if it does not."""
    try:
        content = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        raise UserError(f"{path} is damaged: delete it and run the command that made it again")
    return content
