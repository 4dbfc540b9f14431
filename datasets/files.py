"""The files of a data set: found, downloaded where none is there, read, and compared with the checksum."""

import hashlib
import http.client
import logging
import os
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from utils.errors import UserError

log = logging.getLogger("ede_net")

# Lists the stand-in files of the folder it lies in, one "MD5  file" a line, as `md5sum` writes it.
MARKER = "STAND-IN.txt"


@dataclass(frozen=True)
class Archive:
    """What the authors of a data set publish, as torchvision lays it out under its root.

    A name that ends in ".gz" may lie there unpacked instead, without the ending.
    """

    parts: Mapping[str, Mapping[str, str]]  # "train" and "test" → {file name relative to the data root: official MD5}
    download: Callable[[str], None]  # fetches the whole data set into a folder
    class_names: tuple[str, ...] = ()  # empty where the files themselves name the classes

    @property
    def names(self) -> list[str]:
        """All file names, each once, relative to the data root."""
        return list(dict.fromkeys(name for part in self.parts.values() for name in part))


def find(root: Path, name: str) -> Path | None:
    """Where the file `name` lies under `root`, unpacked if it is there in both forms; None if it is not there."""
    candidates = (root / name.removesuffix(".gz"), root / name)
    return next((path for path in candidates if os.path.isfile(path)), None)


def read(archive: Archive, root: Path, part: str) -> list[tuple[Path, bytes]]:
    """Path and content of every file of a part ("train" or "test"), in the archive's order.

    If not a single file of the data set is there, it is downloaded first. Existing files are never written to.
    A checksum other than the official one is logged, in one line and once a process: subsets in the same format are
    legitimate. Nothing is logged for the files that the stand-in generator wrote.

    Raises:
        UserError: files are missing and cannot be downloaded, or only some of them are missing, or one is unreadable.
    """
    if not any(find(root, name) for name in archive.names):
        _download(archive, root)
    missing = [name for name in archive.parts[part] if find(root, name) is None]
    if missing:
        raise UserError(
            f"{root} holds some files of the data set, but not {', '.join(missing)}: "
            "add what is missing, or move the others away to have the whole set downloaded"
        )
    listed = stand_ins(root)
    contents, others = [], []
    for name, official in archive.parts[part].items():
        path = find(root, name)
        data = read_bytes(path)
        digest = md5(data)
        # No checksum is published for the files that are kept unpacked.
        if path == root / name and digest != official and (digest, name) not in listed:
            others.append(name)
        contents.append((path, data))
    if others:
        _warn_of_checksums(root, tuple(others))
    return contents


def md5(data: bytes) -> str:
    """The MD5 of `data`, in hexadecimal: what the data sets' authors publish."""
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def stand_ins(root: Path) -> set[tuple[str, str]]:
    """(MD5, file name) of each stand-in file that `root`'s marker lists; empty without a marker."""
    path = root / MARKER
    if not os.path.isfile(path):
        return set()
    lines = (line.split("  ") for line in read_bytes(path).decode(errors="replace").splitlines())
    return {(words[0], words[1]) for words in lines if len(words) == 2}


def are_stand_ins(archive: Archive, root: Path, part: str) -> bool:
    """Whether a file of the part, all of which are there, is one that the stand-in generator wrote."""
    listed = stand_ins(root)
    return bool(listed) and any((md5(read_bytes(find(root, name))), name) in listed for name in archive.parts[part])


def read_bytes(path: Path) -> bytes:
    """The whole file. Raises UserError, naming it, where it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}): make it readable, or put it there anew") from error


@cache  # once a process and part of a data set
def _warn_of_checksums(root: Path, names: tuple[str, ...]) -> None:
    log.warning("%s: MD5 other than the official one, taken for a subset: %s", root, ", ".join(names))


def _download(archive: Archive, root: Path) -> None:
    """Download into a folder of its own and move the files to their places, so that none is ever there in half."""
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
        reason = " ".join(str(error).split())
        if made:
            with suppress(OSError):
                root.rmdir()
        raise UserError(
            f"{root} lacks {', '.join(archive.names)}, and the download failed ({reason}): put the files there, "
            'or write stand-ins with `python -m datasets.synthetic FOLDER` and give data_root="FOLDER"'
        ) from error
