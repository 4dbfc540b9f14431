"""The CIFAR archives' pickles: dictionaries of text, numbers, lists and NumPy arrays, written by Python 2.

A pickle can name any function and have it called. Here nothing is called: what it wants to have called is only listed,
with its arguments and what is set on it. Of the pickle machine's steps only those are known that such dictionaries
need. So nothing that a file says runs code or reserves memory that the file does not fill.
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

    Values: int, bytes or str, list; and for an object a list [name, arguments, state].

    Raises: ValueError if the pickle is damaged, or holds no dictionary.
    """
    try:
        return {**_Unpickler(io.BytesIO(data), encoding="bytes").load()}
    except Exception as error:  # whatever a step raises that does not find what it needs
        raise ValueError(f"{type(error).__name__}: {error}") from error


def images(made: object) -> np.ndarray:
    """The array uint8 [N, 3072], read-only, that such a list stands for. Raises: ValueError if it stands for another.

    The state of an array is (version, shape, dtype, whether in Fortran order, content).
    """
    match made:
        case [_, _, (_, (int(), 3072) as shape, [_, ("u1" | b"u1", *_), *_], fortran, str() | bytes() as content)]:
            content = content.encode("latin-1") if isinstance(content, str) else content
            return np.frombuffer(content, np.uint8).reshape(shape, order="F" if fortran else "C")
    raise ValueError("no images uint8 [N, 3072]")


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


class _Unpickler(pickle._Unpickler):  # the one in Python, whose steps can be chosen and whose memo is no table
    dispatch = {step: pickle._Unpickler.dispatch[step] for step in (getattr(pickle, name)[0] for name in STEPS.split())}
    dispatch[pickle.EMPTY_DICT[0]] = lambda self: self.append(_Dict())

    def find_class(self, module: str, name: str) -> str:
        return name

    def called(self) -> None:
        name, arguments = self.stack[-2:]
        # By _codecs.encode Python 3 writes bytes in protocol 2: they stay text.
        self.stack[-2:] = [arguments[0] if name == "encode" else [name, arguments]]

    dispatch[pickle.REDUCE[0]] = called
    dispatch[pickle.BUILD[0]] = pickle._Unpickler.load_append
