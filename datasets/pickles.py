"""The CIFAR archives' pickles: dictionaries of text, numbers, lists and NumPy arrays, written by Python 2.

A pickle can name any function and have it called. Here a name gives one of the few classes below, which do nothing but
look at what they are given, and of the pickle machine's steps only those are known that such dictionaries need. So
nothing that a file says runs code or reserves memory that the file does not fill.
"""

import io
import pickle
from typing import Any

import numpy as np

STEPS = (
    "PROTO FRAME STOP MARK BINPUT LONG_BINPUT MEMOIZE BINGET LONG_BINGET NONE NEWTRUE NEWFALSE BININT BININT1 BININT2 "
    "BINSTRING SHORT_BINSTRING BINUNICODE SHORT_BINUNICODE BINBYTES SHORT_BINBYTES EMPTY_LIST APPEND APPENDS "
    "EMPTY_DICT SETITEM SETITEMS EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3 GLOBAL STACK_GLOBAL REDUCE BUILD"
)


def loads(data: bytes) -> dict[str, Any]:
    """The dictionary in a pickle, with keys as str whether they were written as Python 2's str, bytes or str.

    Values: int, bytes or str (as written), list, and numpy.ndarray (read-only).

    Raises: ValueError if the pickle is damaged, names anything but the archives' few NumPy types, or holds no
        dictionary.
    """
    try:
        content = _Unpickler(io.BytesIO(data), encoding="bytes").load()
        return {key: value.array if isinstance(value, _Array) else value for key, value in content.items()}
    except Exception as error:  # whatever a step raises that does not find what it needs
        raise ValueError(f"{type(error).__name__}: {error}") from error


def text(value: str | bytes) -> str:
    """A string of a pickle as str: Python 2's strings arrive as bytes."""
    if not isinstance(value, str | bytes):
        raise TypeError(f"{type(value).__name__} in place of text")
    return value.decode("latin-1") if isinstance(value, bytes) else value


class _Dict(dict):
    """With text for keys: to hash a deeply nested tuple would overflow the stack of the process."""

    __slots__ = ()

    def __setitem__(self, key: Any, value: Any) -> None:
        super().__setitem__(text(key), value)


class _Type:
    """numpy.dtype: its state begins with a version and the byte order."""

    def __init__(self, code: str | bytes, *_: Any) -> None:
        self.code = text(code)

    def __setstate__(self, state: tuple) -> None:
        self.code = text(state[1]) + self.code


class _Array:
    """numpy.ndarray: its state is (version, shape, dtype, whether in Fortran order, the numbers' bytes)."""

    def __init__(self, *_: Any) -> None: ...

    def __setstate__(self, state: tuple) -> None:
        _, shape, kind, fortran, numbers = state
        if not isinstance(kind, _Type) or not isinstance(numbers, bytes):
            raise TypeError("an array of something else than numbers")
        self.array = np.frombuffer(numbers, kind.code).reshape(shape, order="F" if fortran else "C")


class _Unpickler(pickle._Unpickler):  # the one in Python, whose steps can be chosen and whose memo is no table
    dispatch = {step: pickle._Unpickler.dispatch[step] for step in (getattr(pickle, name)[0] for name in STEPS.split())}
    dispatch[pickle.EMPTY_DICT[0]] = lambda self: self.append(_Dict())

    def find_class(self, module: str, name: str) -> Any:
        match f"{module.replace('_core', 'core')}.{name}":
            case "numpy.core.multiarray._reconstruct":
                return _Array
            case "numpy.ndarray":
                return None
            case "numpy.dtype":
                return _Type
            case "_codecs.encode":  # so Python 3 writes bytes by protocol 2; a new function each time
                return lambda characters, codec: characters.encode("latin-1")
        raise pickle.UnpicklingError(f"{module[:40]}.{name[:40]} has no place in image data")
