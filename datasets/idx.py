"""The IDX format of MNIST and FashionMNIST: a big-endian header, then one array's bytes; plain or gzip-compressed."""

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np

from utils.errors import UserError

_UINT8 = 0x08  # the only element type in these data sets


def loads(data: bytes, path: Path) -> np.ndarray:
    """The uint8 array (read-only) in an IDX file's content; a `path` that ends in ".gz" says that it is compressed.

    Raises:
        UserError: the file is damaged, cut short, or holds another element type.
    """
    if path.suffix == ".gz":
        try:
            data = gzip.decompress(data)
        except (OSError, EOFError, zlib.error) as error:
            raise UserError(f"{path} is cut short or damaged ({error}): expected a gzip file; replace it") from error
    if len(data) < 4 or data[:2] != b"\0\0" or data[2] != _UINT8:
        raise UserError(f"{path} starts with 0x{data[:4].hex()}: expected an IDX header of type uint8; replace it")
    header = 4 + 4 * data[3]
    shape = struct.unpack_from(f">{data[3]}I", data, 4) if len(data) >= header else ()
    if len(data) != header + math.prod(shape):
        raise UserError(
            f"{path} has {len(data)} bytes, its header promises {header} and an array of shape {list(shape)}: "
            "it is cut short or damaged; replace it"
        )
    return np.frombuffer(data, np.uint8, offset=header).reshape(shape)


def dumps(array: np.ndarray) -> bytes:
    """A uint8 array in the IDX format, compressed. The same array always gives the same bytes."""
    header = bytes([0, 0, _UINT8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return gzip.compress(header + array.tobytes(), mtime=0)
