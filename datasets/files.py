"""The files of a known data set: found, downloaded where none is there, and compared with their official checksums."""

import http.client
import logging
import os
import tempfile
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

from torchvision.datasets.utils import calculate_md5

from utils.running.errors import UserError, one_line

log = logging.getLogger("ede_net")
_warn = cache(log.warning)  # once a process

MARKER = "STAND-IN.txt"  # lies in a folder of stand-in files, see `datasets.stand_ins`

Parts = Mapping[str, Mapping[str, str]]  # "train" and "test" → {file relative to the data root: official MD5}


def files_of(root: Path, parts: Parts, part: str, download: Callable[[str], object]) -> tuple[list[Path], bool]:
    """The files of a part ("train" or "test"), in their order; and whether they are stand-ins.

    A file that ends in ".gz" may lie there unpacked instead, without the ending. If not a single file of the data set
    is there, `download` is called with a folder to download it all into. A checksum other than the official one is
    logged, in one line and once a process, but not of stand-ins: subsets in the same format are legitimate.

    Raises: `UserError` if only some files are missing, or the download fails.
    """
    names = {name for each in parts.values() for name in each}
    if not any(find(root, name) for name in names):
        _download(root, names, download)
    found = {name: find(root, name) for name in parts[part]}
    missing = [name for name, path in found.items() if path is None]
    if missing:
        raise UserError(
            f"{root} holds some files of the data set, but not {', '.join(missing)}: "
            f"add what is missing, or move the others away to have the whole set downloaded"
        )
    drawn = (root / MARKER).exists()
    packed = [name for name, path in found.items() if path == root / name]  # no checksums are published of the others
    others = [name for name in packed if not drawn and calculate_md5(str(root / name)) != parts[part][name]]
    if others:
        _warn(f"{root}: MD5 other than the official one, taken for a subset: {', '.join(others)}")
    return list(found.values()), drawn


def find(root: Path, name: str) -> Path | None:
    """Where a file lies under the data root, unpacked if it is there in both forms; None if it is not there."""
    return next((path for path in (root / name.removesuffix(".gz"), root / name) if path.is_file()), None)


def _download(root: Path, names: set[str], download: Callable[[str], object]) -> None:
    """Downloads into a folder of its own and moves the files to their places, so that none is ever there in half."""
    log.info("no file of the data set in %s: downloading it", root)
    try:
        root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".download-", dir=root, ignore_cleanup_errors=True) as folder:
            download(folder)
            for path in filter(None, (find(Path(folder), name) for name in names)):
                place = root / path.relative_to(folder)
                place.parent.mkdir(parents=True, exist_ok=True)
                os.replace(path, place)
    except (OSError, RuntimeError, http.client.HTTPException) as error:
        raise UserError(
            f"{root} lacks {', '.join(sorted(names))}, and the download failed ({one_line(str(error))[:120]}): put "
            f'them there, or write stand-ins with `python -m datasets.stand_ins FOLDER` and give data_root="FOLDER"'
        ) from error
