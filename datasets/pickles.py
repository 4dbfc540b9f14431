"""The CIFAR archives' pickles: dictionaries of text, numbers, lists and NumPy arrays, written by Python 2.

A pickle can name any function and have it called. Here only those names are known that the archives use, and even
these lead to the few lines below instead of NumPy's own functions: nothing a file says runs code or reserves memory
that the file does not fill.
"""

import io
import math
import pickle
import pickletools
import re
import struct
from pathlib import Path
from typing import Any

import numpy as np

from utils.errors import UserError

# What the unpickler raises on damaged input, from a missing opcode to a key that is a list.
_DAMAGE = (
    pickle.UnpicklingError, EOFError, AttributeError, ImportError, IndexError, KeyError, MemoryError, OverflowError,
    RecursionError, TypeError, ValueError,
)  # fmt: skip


def loads(data: bytes, path: Path) -> dict[str, Any]:
    """The dictionary in a pickle, with keys as str whether they were written as Python 2's str, bytes or str.

    Values: int, bytes or str (as written), list, and numpy.ndarray (read-only) of a number type.

    Raises:
        UserError: the pickle is damaged, names anything but the archives' few NumPy types, or holds no dictionary.
            `path` is only used to say so.
    """
    try:
        for opcode, index, _ in pickletools.genops(data):
            # The unpickler's memo is a table as long as its highest index: one damaged byte could ask for gigabytes.
            if opcode.name in ("PUT", "LONG_BINPUT") and index > len(data):
                raise pickle.UnpicklingError(f"memo entry {index} in {len(data)} bytes")
        content = _Unpickler(data, path).load()
    except _DAMAGE as error:
        reason = " ".join(str(error).split())
        raise UserError(
            f"{path} is cut short or damaged ({reason}): expected a pickle as in the CIFAR archives; replace it"
        ) from error
    if not isinstance(content, dict) or not all(isinstance(key, str | bytes) for key in content):
        raise UserError(f"{path} does not hold a dictionary with text keys, as the official CIFAR files do; replace it")
    return {text(key): value.array if isinstance(value, _Array) else value for key, value in content.items()}


def text(value: str | bytes) -> str:
    """A string of a pickle as str: Python 2's strings arrive as bytes."""
    return value.decode("latin-1") if isinstance(value, bytes) else value


class _Unpickler(pickle.Unpickler):
    def __init__(self, data: bytes, path: Path) -> None:
        super().__init__(io.BytesIO(data), encoding="bytes")
        self._path = path

    def find_class(self, module: str, name: str) -> Any:
        known = _KNOWN.get((module, name))
        if known is None:
            refused = f"{module}.{name}"
            raise UserError(
                f"{self._path} refers to {refused!r}, which has no place in image data: expected dictionaries, lists, "
                "numbers, text and uint8 arrays only; do not trust this file, replace it"
            )
        return known


class _Dtype:
    """What `numpy.dtype(code, align, copy)` and its state say about an array."""

    def __init__(self, code: str | bytes, *_align_and_copy: Any) -> None:
        self._code = text(code)
        if not re.fullmatch("[biuf][1248]", self._code):
            raise pickle.UnpicklingError(f"an array of type {self._code!r}")
        self.numpy = np.dtype(self._code)

    def __setstate__(self, state: tuple) -> None:
        self.numpy = np.dtype(self._code).newbyteorder(text(state[1]))


class _Array:
    """What `numpy.ndarray`'s state says: (version, shape, dtype, whether in Fortran order, the numbers' bytes)."""

    array: np.ndarray | None = None  # None until the state is set

    def __setstate__(self, state: tuple) -> None:
        _version, shape, dtype, fortran, data = state
        if math.prod(shape) * dtype.numpy.itemsize != len(data) or min(shape, default=0) < 0:
            raise pickle.UnpicklingError(f"an array of shape {shape} in {len(data)} bytes")
        self.array = np.frombuffer(data, dtype.numpy).reshape(shape, order="F" if fortran else "C")


_NDARRAY = object()  # only a mark for `_reconstruct`'s first argument: `numpy.ndarray` itself is never called


def _reconstruct(subtype: object, shape: tuple, _code: str | bytes) -> _Array:
    """An array without content: the shape is always (0,) here, and the state that follows gives the true one."""
    if subtype is not _NDARRAY or shape != (0,):
        raise pickle.UnpicklingError("an array not written by numpy.ndarray")
    return _Array()


def _encode(characters: str, encoding: str) -> bytes:
    """Python 3 writes bytes as Latin-1 text into pickles of protocol 2."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"bytes written as {encoding!r}")
    return characters.encode("latin-1")


_KNOWN = {
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,  # NumPy 1 and the official archives
    ("numpy._core.multiarray", "_reconstruct"): _reconstruct,  # NumPy 2
    ("numpy", "ndarray"): _NDARRAY,
    ("numpy", "dtype"): _Dtype,
    ("_codecs", "encode"): _encode,
}


def dumps(content: dict[str, Any]) -> bytes:
    """A pickle of protocol 2 whose text is Python 2's `str`, as in the official archives; Python 3's `pickle` cannot
    write that type.

    `content`: text keys; values are text, int below 2³¹, lists of these, or uint8 arrays.
    """
    return pickle.PROTO + b"\x02" + _dump(content) + pickle.STOP


def _dump(value: Any) -> bytes:
    match value:
        case dict():
            items = b"".join(_dump(key) + _dump(item) for key, item in value.items())
            return pickle.EMPTY_DICT + pickle.MARK + items + pickle.SETITEMS
        case list():
            return pickle.EMPTY_LIST + pickle.MARK + b"".join(map(_dump, value)) + pickle.APPENDS
        case str():
            return _dump(value.encode("latin-1"))
        case bytes() if len(value) < 256:
            return pickle.SHORT_BINSTRING + bytes([len(value)]) + value
        case bytes():
            return pickle.BINSTRING + struct.pack("<i", len(value)) + value
        case int() if 0 <= value < 256:
            return pickle.BININT1 + bytes([value])
        case int():
            return pickle.BININT + struct.pack("<i", value)
        case np.ndarray() if value.dtype == np.uint8:
            return _dump_array(value)
        case _:
            raise TypeError(f"no {type(value).__name__} in a CIFAR pickle")


def _dump_array(array: np.ndarray) -> bytes:
    """Byte for byte what NumPy under Python 2 writes for a uint8 array, but for memo entries."""
    empty = (
        b"cnumpy.core.multiarray\n_reconstruct\n" b"cnumpy\nndarray\n"
        + _dump(0) + pickle.TUPLE1 + _dump("b") + pickle.TUPLE3 + pickle.REDUCE
    )  # fmt: skip
    uint8 = b"cnumpy\ndtype\n" + _dump("u1") + _dump(0) + _dump(1) + pickle.TUPLE3 + pickle.REDUCE
    uint8 += pickle.MARK + _dump(3) + _dump("|") + 3 * pickle.NONE + _dump(-1) + _dump(-1) + _dump(0)
    uint8 += pickle.TUPLE + pickle.BUILD
    shape = pickle.MARK + b"".join(map(_dump, array.shape)) + pickle.TUPLE
    state = pickle.MARK + _dump(1) + shape + uint8 + pickle.NEWFALSE + _dump(array.tobytes()) + pickle.TUPLE
    return empty + state + pickle.BUILD
