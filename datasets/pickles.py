"""The CIFAR archives' pickles: dictionaries of text, numbers, lists and NumPy arrays, written by Python 2.

A pickle can name any function and have it called. Here a call is written down and never made, and of what is written
down only an array's description is understood. So nothing that a file says runs code, changes what it names, or
reserves memory that the file does not fill.
"""

import io
import math
import pickle
import pickletools
import re
from pathlib import Path
from typing import Any

import numpy as np

from utils.running.errors import UserError, one_line

MOST_STEPS = 2_000_000  # CIFAR-100's training file has some 150,000
MOST_CONTAINERS = 1000  # and some 20; so nothing is nested deeper than that

# What is named: by NumPy 1 and in the official archives, by NumPy 2, and by Python 3 for bytes.
_ARRAYS = ("numpy.core.multiarray._reconstruct", "numpy._core.multiarray._reconstruct")
_NAMES = (*_ARRAYS, "numpy.ndarray", "numpy.dtype", "_codecs.encode")

_CONTAINERS = {"EMPTY_DICT", "DICT", "EMPTY_LIST", "LIST", "EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3"}
_STEPS = _CONTAINERS | {
    "PROTO", "FRAME", "STOP", "MARK", "PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE", "GET", "BINGET", "LONG_BINGET",
    "NONE", "NEWTRUE", "NEWFALSE", "INT", "BININT", "BININT1", "BININT2", "STRING", "BINSTRING", "SHORT_BINSTRING",
    "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINBYTES", "SHORT_BINBYTES", "APPEND", "APPENDS", "SETITEM",
    "SETITEMS", "GLOBAL", "STACK_GLOBAL", "REDUCE", "BUILD",
}  # fmt: skip


def loads(data: bytes, path: Path) -> dict[str, Any]:
    """The dictionary in a pickle, with keys as str whether they were written as Python 2's str, bytes or str.

    Values: int, bytes or str (as written), list, and numpy.ndarray (read-only) of a number type.

    Raises: `UserError` if the pickle is damaged, names anything but the archives' few NumPy types, or holds no
        dictionary. `path` is only used to say so.
    """
    try:
        _require_plain(data)
        content = _Unpickler(io.BytesIO(data), encoding="bytes").load()
        if not isinstance(content, dict):
            raise ValueError(f"no dictionary but {type(content).__name__}")
        return {text(key): _array(value) if isinstance(value, _Call) else value for key, value in content.items()}
    except (pickle.UnpicklingError, EOFError, AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"{path} is cut short, damaged or not to be trusted ({one_line(str(error))[:120]}): expected a pickle as "
            f"in the CIFAR archives; replace it"
        ) from error


def text(value: str | bytes) -> str:
    """A string of a pickle as str: Python 2's strings arrive as bytes."""
    return value.decode("latin-1") if isinstance(value, bytes) else value


def _require_plain(data: bytes) -> None:
    """Raises ValueError unless all steps are of the few, hold the bytes that they announce, and are not too many."""
    containers = 0
    for number, (opcode, argument, _) in enumerate(pickletools.genops(data)):
        containers += opcode.name in _CONTAINERS
        # The memo is a table as long as its highest index: one damaged byte could ask for gigabytes.
        beyond = "PUT" in opcode.name and argument > number
        if opcode.name not in _STEPS or beyond or number > MOST_STEPS or containers > MOST_CONTAINERS:
            raise ValueError(f"the step {opcode.name}, number {number}")


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> "_Call":
        if f"{module}.{name}" not in _NAMES:
            raise pickle.UnpicklingError(f"{f'{module}.{name}'[:60]!r} has no place in image data")
        return _Call(f"{module}.{name}")


class _Call:
    """A name, or what a pickle wants to have called by that name; and the state that it then sets."""

    __slots__ = ("arguments", "name", "state")

    def __init__(self, name: str, arguments: tuple = (), state: Any = None) -> None:
        self.name, self.arguments, self.state = name, arguments, state

    def __call__(self, *arguments: Any) -> "_Call | bytes":
        match self.name, arguments:
            case "_codecs.encode", (str() as characters, "latin1"):  # so Python 3 writes bytes by protocol 2
                return characters.encode("latin-1")
        return _Call(self.name, arguments)

    def __setstate__(self, state: Any) -> None:
        self.state = state


def _array(call: _Call) -> np.ndarray:
    """The array of a state that NumPy sets: (version, shape, dtype, whether in Fortran order, the numbers' bytes)."""
    match call.state:
        case (_, tuple() as shape, _Call(name="numpy.dtype") as dtype, fortran, bytes() as numbers):
            code, order = text(dtype.arguments[0]), text(dtype.state[1])
        case _:
            raise ValueError("a call that makes no array")
    if call.name not in _ARRAYS or not re.fullmatch("[<>|=][biuf][1248]", order + code):
        raise ValueError(f"an array of type {code[:20]!r}")
    numbers = np.frombuffer(numbers, np.dtype(order + code))
    if len(shape) > 2 or set(map(type, shape)) != {int} or math.prod(shape) != len(numbers) or min(shape) < 0:
        raise ValueError(f"an array of another shape than its {len(numbers)} numbers")
    return numbers.reshape(shape, order="F" if fortran else "C")
