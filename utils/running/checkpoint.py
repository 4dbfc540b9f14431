"""Files that are whole or absent: bytes, JSON of a known form, and checkpoints for `torch.load(weights_only=True)`.

A checkpoint is a dict of tensors, strings, numbers, lists and dicts with two names in front: `format`, this project's,
and `kind`: "classifier" (a sub-model), "ede_net" (a stage), "training" (an unfinished training), and the fingerprint
of all of it, `checksum`.
"""

import hashlib
import io
import json
import os
import pickle
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

    Raises: `UserError` that says what could not be written and why; what was there before stays.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        try:
            with beside.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            before()
            os.replace(beside, path)
        except BaseException:
            beside.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise UserError(
            f"{path} could not be written ({error.strerror or error}); what was there before is unchanged: "
            f"make room or mend the folder, then run the same command again"
        ) from error


def read_bytes(path: Path) -> bytes:
    """The whole file. Raises `UserError` that names it if it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror or error}): make it readable") from error


def as_json(content: dict) -> bytes:
    """What a JSON file of this content holds."""
    return (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode()


def write_json(path: Path, content: dict) -> None:
    """Writes a JSON file."""
    write_bytes(path, as_json(content))


def read_json(path: Path, form: Any = dict) -> dict:
    """Reads a JSON file of this form, see `fault`. Raises `UserError` that names the file if it is another."""
    try:
        content = json.loads(read_bytes(path))
        found = fault(content, form, "it")
    except (ValueError, RecursionError) as error:
        found = str(error)
    if found:
        raise UserError(f"{path} is damaged ({found}): delete it and run the command that made it again")
    return content


def fault(value: Any, form: Any, name: str) -> str | None:
    """What is wrong with a value read from a file, or None.

    Args:
        form: a type; a tuple of forms, of which one has to fit; [form] for a list of such values; {name: form} for a
            dict that has at least these names.
        name: what the value is called in the answer.
    """
    match form:
        case tuple():
            found = [fault(value, each, name) for each in form]
            return None if None in found else found[0]
        case [each]:
            if not isinstance(value, list | tuple):
                return f"{name} is no list"
            return next(filter(None, (fault(item, each, f"{name}[{i}]") for i, item in enumerate(value))), None)
        case dict():
            if not isinstance(value, dict):
                return f"{name} is no object"
            missing = [key for key in form if key not in value]
            if missing:
                return f"{name} has no {missing[0]!r}"
            return next(filter(None, (fault(value[key], each, f"{name}[{key!r}]") for key, each in form.items())), None)
    wanted = (int, float) if form is float else (form,)
    fits = isinstance(value, wanted) and not (isinstance(value, bool) and form is not bool)
    return None if fits else f"{name} is {type(value).__name__}, not {form.__name__}"


def packed(kind: str, content: dict) -> bytes:
    """What a checkpoint of this kind holds, its tensors on the CPU, so that it can be read where there is no GPU."""
    buffer, content = io.BytesIO(), {"format": FORMAT, "kind": kind, **_on_cpu(content)}
    torch.save({**content, "checksum": fingerprint(content)}, buffer)
    return buffer.getvalue()


def write(path: Path, kind: str, content: dict) -> None:
    """Writes a checkpoint of this kind."""
    write_bytes(path, packed(kind, content))


def _on_cpu(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.detach().cpu()
    if isinstance(value, dict):
        return {key: _on_cpu(item) for key, item in value.items()}
    return [_on_cpu(item) for item in value] if isinstance(value, list | tuple) else value


def read(path: Path, kind: str | None, device: torch.device | str = "cpu", form: Any = dict) -> dict:
    """Reads a checkpoint of this kind, or of any, onto `device`.

    Raises: `UserError` that names the file if it is missing, damaged, something else, or not of this form.
    """
    _require_whole(path)
    try:
        content = torch.load(path, map_location=device, weights_only=True)
    except Exception as error:  # what it raises on damaged bytes has no common class
        # PyTorch's own message on a pickle that names functions recommends to load it nevertheless.
        raise _unreadable(
            path, "it names code" if isinstance(error, pickle.UnpicklingError) else repr(error)
        ) from error
    ours = isinstance(content, dict) and content.get("format") == FORMAT
    if not ours or kind not in (None, content.get("kind")):
        found = str(content.get("kind") if isinstance(content, dict) else type(content).__name__)[:40]
        raise UserError(f'{path} holds "{found}", expected a checkpoint of kind "{kind or "any"}" ({FORMAT})')
    try:
        checksum = content.pop("checksum", None)
        found = fault(content, form, "it") if fingerprint(content) == checksum else "it is not what was written"
    except Exception as error:  # what tensors raise that were never saved has no common class
        found = repr(error)
    if found:
        raise _unreadable(path, found)
    return content


def _require_whole(path: Path) -> None:
    """Raises `UserError` unless all checksums in the file are right: `torch.load` compares none."""
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > path.stat().st_size:
                raise ValueError("it is compressed")  # which ours are not: nobody knows into how much
            damaged = archive.testzip()
    except OSError as error:
        reason = error.strerror or error
        raise UserError(f"{path} is not there or cannot be read ({reason}): expected a checkpoint") from error
    except Exception as error:  # what it raises on damaged bytes has no common class
        raise _unreadable(path, repr(error)) from error
    if damaged is not None:
        raise _unreadable(path, f"the checksum of {damaged} differs")


def _unreadable(path: Path, reason: str) -> UserError:
    return UserError(
        f"{path} cannot be read as a checkpoint ({reason[:120]}): it is damaged or of another program; "
        f"delete it and run the command that made it again"
    )


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
