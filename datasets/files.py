"""The files of a data set: found, downloaded where none is there, read, and compared with their checksums."""

import hashlib
import http.client
import logging
import os
import stat
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from os import PathLike
from pathlib import Path

from utils.running.errors import UserError, one_line

log = logging.getLogger("ede_net")

# Lists the stand-in files of the folder it lies in, one "MD5  file" a line, as `md5sum` writes it.
MARKER = "STAND-IN.txt"

# The largest official set has 73,257 images. What is larger than so many, in a file or unpacked, is not read.
MOST_IMAGES = 200_000
MOST_BYTES = MOST_IMAGES * 3 * 32 * 32


@dataclass(frozen=True)
class Archive:
    """What the authors of a data set publish, as torchvision lays it out under its root.

    A name that ends in ".gz" may lie there unpacked instead, without the ending.
    """

    parts: Mapping[str, Mapping[str, str]]  # "train" and "test" → {file name relative to the data root: official MD5}
    download: Callable[[str], object]  # fetches the whole data set into a folder
    class_names: tuple[str, ...] = ()  # empty where the files themselves name the classes

    @property
    def names(self) -> list[str]:
        """All file names, each once, relative to the data root."""
        return list(dict.fromkeys(name for part in self.parts.values() for name in part))


def usable(path: str | PathLike[str]) -> Path:
    """A path that a user gives, with "~" expanded; nothing has to be there.

    Raises: `UserError` if it is no path, or one at which the system cannot look.
    """
    if not isinstance(path, str | PathLike):
        raise UserError(one_line(f"{path!r} is no path: give the place of a file or folder as text"))
    place = Path(os.path.expanduser(path))
    kind(place)
    return place


def kind(path: Path) -> str | None:
    """What lies at a path, links followed: "file", "folder", "other", or None for nothing.

    Raises: `UserError` that names it if the system cannot look there: a closed folder, a null byte, too long a name.
    """
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        raise unreadable(path, error) from error
    return "folder" if stat.S_ISDIR(mode) else "file" if stat.S_ISREG(mode) else "other"


def unreadable(path: Path, error: Exception) -> UserError:
    """What to say of a path that the system refuses to read."""
    reason = getattr(error, "strerror", None) or error
    return UserError(one_line(f"{path} cannot be read ({reason}): make it readable, or give another path"))


def find(root: Path, name: str) -> Path | None:
    """Where the file `name` lies under `root`, unpacked if it is there in both forms; None if it is not there."""
    candidates = (root / name.removesuffix(".gz"), root / name)
    return next((path for path in candidates if kind(path) == "file"), None)


def read(archive: Archive, root: Path, part: str) -> tuple[list[tuple[Path, bytes]], bool]:
    """Path and content of every file of a part ("train" or "test"), in the archive's order; and whether the stand-in
    generator wrote one of them.

    If not a single file of the data set is there, it is downloaded first. Existing files are never written to.
    A checksum other than the official one is logged, in one line and once a process: subsets in the same format are
    legitimate. Nothing is logged for stand-ins.

    Raises: `UserError` if files are missing and cannot be downloaded, only some of them are missing, or one is
        unreadable or larger than `MOST_BYTES`.
    """
    if not any(find(root, name) for name in archive.names):
        _download(archive, root)
    paths = {name: find(root, name) for name in archive.parts[part]}
    missing = [name for name, path in paths.items() if path is None]
    if missing:
        raise UserError(
            f"{root} holds some files of the data set, but not {', '.join(missing)}: "
            f"add what is missing, or move the others away to have the whole set downloaded"
        )
    listed = stand_ins(root)
    contents, others, drawn = [], [], False
    for name, path in paths.items():
        data = read_bytes(path)
        digest = md5(data)
        contents.append((path, data))
        if (digest, name) in listed:
            drawn = True
        elif path == root / name and digest != archive.parts[part][name]:  # none is published for unpacked files
            others.append(name)
    if others:
        _warn_of_checksums(root, tuple(others))
    return contents, drawn


def read_bytes(path: Path) -> bytes:
    """The whole file. Raises `UserError`, naming it, if it cannot be read or is larger than `MOST_BYTES`."""
    if path.stat().st_size > MOST_BYTES:
        raise UserError(f"{path} is larger than {MOST_BYTES} bytes, which no official file is: put that in its place")
    try:
        return path.read_bytes()
    except OSError as error:
        raise unreadable(path, error) from error


def md5(data: bytes) -> str:
    """The MD5 of `data`, in hexadecimal: what the data sets' authors publish."""
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def stand_ins(root: Path) -> set[tuple[str, str]]:
    """(MD5, file name) of each stand-in file that `root`'s marker lists; empty without a marker."""
    path = root / MARKER
    if kind(path) != "file":
        return set()
    lines = (line.split("  ") for line in read_bytes(path).decode(errors="replace").splitlines())
    return {(words[0], words[1]) for words in lines if len(words) == 2}


@cache  # once a process and part of a data set
def _warn_of_checksums(root: Path, names: tuple[str, ...]) -> None:
    log.warning("%s: MD5 other than the official one, taken for a subset: %s", root, ", ".join(names))


def _download(archive: Archive, root: Path) -> None:
    """Downloads into a folder of its own and moves the files to their places, so that none is ever there in half."""
    log.info("no file of the data set in %s: downloading it", root)
    made = not root.exists()
    try:
        root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".download-", dir=root, ignore_cleanup_errors=True) as folder:
            archive.download(folder)
            for name in archive.names:
                fetched = find(Path(folder), name)
                if fetched is not None:
                    place = root / fetched.relative_to(folder)
                    place.parent.mkdir(parents=True, exist_ok=True)
                    os.replace(fetched, place)
    except (OSError, RuntimeError, http.client.HTTPException) as error:
        if made:
            with suppress(OSError):
                root.rmdir()
        raise UserError(
            f"{root} lacks {', '.join(archive.names)}, and the download failed ({one_line(str(error))[:120]}): put the "
            f'files there, or write stand-ins with `python -m datasets.stand_ins FOLDER` and give data_root="FOLDER"'
        ) from error
