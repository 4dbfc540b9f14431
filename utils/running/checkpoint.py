"""Files that are whole or absent: bytes, JSON, and checkpoints for `torch.load(weights_only=True)`.

A checkpoint is a dict of tensors, strings, numbers, lists and dicts with two names in front: `format`, this project's,
and `kind`: "classifier" (a sub-model), "ede_net" or "der" (a stage), "training" (an unfinished training); and the
fingerprint of all of it, `checksum`.
"""

import hashlib
import io
import json
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from utils.running.errors import UserError

FORMAT = "ede-net-2"


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


def packed(kind: str, content: dict) -> bytes:
    """What a checkpoint of this kind holds, its tensors on the CPU, so that it can be read where there is no GPU."""
    buffer, content = io.BytesIO(), {"format": FORMAT, "kind": kind, **_on_cpu(content)}
    torch.save({**content, "checksum": fingerprint(content)}, buffer)
    return buffer.getvalue()


def _on_cpu(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.detach().cpu()
    if isinstance(value, dict):
        return {key: _on_cpu(item) for key, item in value.items()}
    return [_on_cpu(item) for item in value] if isinstance(value, list | tuple) else value


def read(path: Path, kind: str | None = None, device: torch.device | str = "cpu") -> dict:
    """Reads a checkpoint of this kind, or of any, onto `device`.

    Raises: `UserError` that names the file if it is missing, damaged or something else.
    """
    try:
        with zipfile.ZipFile(path) as archive:  # of all this `torch.load` looks at nothing
            if sum(entry.file_size for entry in archive.infolist()) > path.stat().st_size:
                raise ValueError("it is compressed, nobody knows into how much")
            if archive.testzip() is not None:
                raise ValueError("it is not what was written")
        content = torch.load(path, map_location=device, weights_only=True)
        checksum = content.pop("checksum")
        if fingerprint(content) != checksum:
            raise ValueError("it is not what was written")
    except Exception as error:  # what damaged bytes raise has no common class, and advises to trust them
        reason = str(error) if isinstance(error, OSError | ValueError) else type(error).__name__
        raise UserError(
            f"{path} cannot be read as a checkpoint ({reason[:160]}): it is missing, damaged or of another program; "
            f"run the command that makes it, and delete it before if it is there"
        ) from error
    if content["format"] != FORMAT or kind not in (None, content["kind"]):
        raise UserError(f'{path} holds "{content["kind"]}", expected a checkpoint of kind "{kind or "any"}" ({FORMAT})')
    return content


def load_weights(model: nn.Module, state: Any, path: Path, assign: bool = False) -> None:
    """`model.load_state_dict`, with a `UserError` naming the file if it was made for another architecture."""
    try:
        model.load_state_dict(state, assign=assign)
    except (RuntimeError, TypeError, AttributeError) as error:
        reason = str(error).splitlines()[-1].strip()
        raise UserError(f"{path} was made for another architecture ({reason[:160]})") from error


def fingerprint(value: Any) -> str:
    """A hash of tensors and plain values, such as a network's `state_dict()`: equal for equal bits, on any device.

    Raises: `ValueError` for a tensor of more values than it holds.
    """
    digest = hashlib.sha256()

    def add(value: Any) -> None:
        if isinstance(value, Tensor):
            if value.numel() * value.element_size() > value.untyped_storage().nbytes():
                raise ValueError("a tensor has more values than it holds")
            digest.update(f"{value.dtype} {tuple(value.shape)}".encode())
            digest.update(value.detach().cpu().contiguous().numpy().tobytes())
        elif isinstance(value, dict | list | tuple):
            pairs = value.items() if isinstance(value, dict) else enumerate(value)
            digest.update(f"{len(value)} of ".encode())
            for name, item in pairs:
                digest.update(f"{name!r}: ".encode())
                add(item)
        else:
            digest.update(f"{value!r}, ".encode())

    add(value)
    return digest.hexdigest()
