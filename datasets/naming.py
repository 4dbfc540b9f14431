"""The names of data sets: of the known ones, in any spelling, and of folders of images, "folder:PATH".

What takes a name raises `UserError` for an unknown one; the message lists the known ones and the nearest. Nothing here
imports torch: names are wanted where no images are.
"""

import difflib
import os
import re
import reprlib
from pathlib import Path

from utils.running.errors import UserError

KNOWN = ("cifar100", "cifar10", "mnist", "fashionmnist", "svhn")
SPELLINGS = {**{name: name for name in KNOWN}, "svnh": "svhn"}  # the last is that of the method's author

PREFIX = "folder:"
LONGEST_NAME = 60  # characters of a folder's name in the names of checkpoint folders, which the system limits


def canonical_name(name: str) -> str:
    """The key of a known data set's name in any letter case, with or without "-", "_" and spaces."""
    plain = re.sub(r"[\s_-]", "", name[:100]).lower() if isinstance(name, str) else ""
    if plain in SPELLINGS:
        return SPELLINGS[plain]
    nearest = difflib.get_close_matches(plain, SPELLINGS, n=1)
    hint = f"; did you mean {nearest[0]!r}?" if nearest else ""
    known = f'{", ".join(KNOWN)} (or, in a split, "{PREFIX}PATH")'
    raise UserError(f"unknown data set {reprlib.repr(name)}: expected one of {known}{hint}")


def is_folder(name: object) -> bool:
    """Whether a data set's name is a place: "folder:PATH"."""
    return isinstance(name, str) and name.startswith(PREFIX)


def place(name: str) -> Path:
    """PATH of "folder:PATH", absolute and with "~" expanded. Raises `UserError` if nothing follows the colon."""
    path = name.removeprefix(PREFIX).strip()
    if not path:
        raise UserError(f'{name!r} names no folder: write "{PREFIX}PATH", PATH being where the images are')
    return Path(os.path.abspath(os.path.expanduser(path)))


def short_name(name: str) -> str:
    """Name of a data set in file names: "cifar10"; "folder-flowers" for "folder:~/flowers", odd characters as "_"."""
    if not is_folder(name):
        return canonical_name(name)
    return "folder-" + re.sub(r"[^\w.-]", "_", place(name).name)[:LONGEST_NAME]


def same(one: str, other: str) -> bool:
    """Whether two names stand for the same images, or for folders of which one lies in the other, links followed."""
    if is_folder(one) and is_folder(other):
        return overlap(place(one).resolve(), place(other).resolve())
    return short_name(one) == short_name(other)


def overlap(one: Path, other: Path) -> bool:
    """Whether two folders, given without links, are the same or one lies inside the other."""
    return one.is_relative_to(other) or other.is_relative_to(one)
