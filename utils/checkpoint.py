"""Files that are whole or absent, and checkpoints that `torch.load(weights_only=True)` reads.

A checkpoint is a dict of tensors, strings, numbers, lists and dicts with two names in front: `format`, this project's,
and `kind`: "classifier" (a sub-model), "ede_net" (a stage), "training" (an unfinished training).
"""

import hashlib
import io
import json
import os
import pickle
import zipfile
from pathlib import Path

import torch
from torch import nn

from models.ede_net import EDENet
from models.resnet import ResNet18
from utils.errors import UserError

FORMAT = "ede-net-1"


def write_bytes(path: Path, content: bytes) -> None:
    """Writes beside the place, flushes to the disk, then renames: a reader sees the old file or the new one.

    Raises: `UserError` that says what could not be written and why; what was there before stays.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        try:
            with beside.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
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


def write_text(path: Path, text: str) -> None:
    write_bytes(path, text.encode())


def write_json(path: Path, content: dict) -> None:
    write_text(path, json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def read_json(path: Path) -> dict:
    """Reads a JSON file. Raises `UserError` that names it if it is damaged."""
    try:
        content = json.loads(read_bytes(path))
        if not isinstance(content, dict):
            raise ValueError(f"it holds a {type(content).__name__}, no object")
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is damaged ({error}): restart=True begins the run anew") from error
    return content


def write(path: Path, kind: str, content: dict) -> None:
    """Writes a checkpoint of this kind."""
    buffer = io.BytesIO()
    torch.save({"format": FORMAT, "kind": kind, **content}, buffer)
    write_bytes(path, buffer.getvalue())


def read(path: Path, kind: str, device: torch.device | str = "cpu") -> dict:
    """Reads a checkpoint of this kind onto `device`.

    Raises: `UserError` that names the file if it is missing, damaged, or something else.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path} is not there: expected a checkpoint ({kind})")
    require_whole(path)
    try:
        content = torch.load(path, map_location=device, weights_only=True)
    except Exception as error:  # what it raises on damaged bytes has no common class
        # PyTorch's own message on a pickle that names functions recommends to load it nevertheless.
        reason = "it names code" if isinstance(error, pickle.UnpicklingError) else repr(error)[:120]
        raise _unreadable(path, reason) from error
    if not isinstance(content, dict) or content.get("format") != FORMAT or content.get("kind") != kind:
        found = content.get("kind") if isinstance(content, dict) else type(content).__name__
        raise UserError(f'{path} holds "{found}", expected a checkpoint of kind "{kind}" ({FORMAT})')
    return content


def require_whole(path: Path) -> None:
    """Raises `UserError` unless all checksums in the file are right: `torch.load` compares none."""
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
    except Exception as error:  # what it raises on damaged bytes has no common class
        raise _unreadable(path, repr(error)[:120]) from error
    if damaged is not None:
        raise _unreadable(path, f"the checksum of {damaged} differs")


def _unreadable(path: Path, reason: str) -> UserError:
    return UserError(
        f"{path} cannot be read as a checkpoint ({reason}): it is damaged or of another program; "
        f"delete it and run the command that made it again"
    )


def load_weights(model: nn.Module, state: dict, path: Path) -> None:
    """`model.load_state_dict`, with a `UserError` naming the file if it was made for another architecture."""
    try:
        model.load_state_dict(state)
    except (RuntimeError, TypeError, AttributeError) as error:
        reason = str(error).splitlines()[-1].strip()
        raise UserError(f"{path} was made for another architecture ({reason[:160]})") from error


def write_classifier(path: Path, model: ResNet18, content: dict) -> None:
    """Writes one sub-model with what was measured of it, and a fingerprint of its weights."""
    write(
        path,
        "classifier",
        {
            "widths": list(model.widths),
            "num_classes": model.num_classes,
            "model": model.state_dict(),
            "fingerprint": fingerprint(model),
            **content,
        },
    )


def fingerprint(model: nn.Module) -> str:
    """A hash of a network's weights and statistics: equal for equal bits, on any device."""
    digest = hashlib.sha256()
    for name, value in model.state_dict().items():
        digest.update(name.encode() + value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def load_classifier(path: Path, device: torch.device | str = "cpu") -> tuple[ResNet18, dict]:
    """The sub-model of a `model_<a>to<b>.pt` in evaluation mode, and all that the file holds."""
    content = read(path, "classifier", device)
    try:
        model = ResNet18(content["num_classes"], content["widths"])
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path} does not describe a ResNet-18 ({error!r})") from error
    load_weights(model, content.get("model"), path)
    return model.to(device, memory_format=torch.channels_last).eval(), content


def write_ede_net(path: Path, net: EDENet, content: dict) -> None:
    """Writes a whole EDE-Net with what is needed to use it and to go on from it."""
    write(
        path,
        "ede_net",
        {
            "widths": [list(widths) for widths in net.widths],
            "classes_per_task": net.classes_per_task,
            "model": net.state_dict(),
            "fingerprint": fingerprint(net),
            **content,
        },
    )


def load_ede_net(path: Path | str, device: torch.device | str = "cpu") -> EDENet:
    """The EDE-Net of a `stage_<t>.pt`, in evaluation mode, the rest of the file in its `meta`."""
    path = Path(path)
    content = read(path, "ede_net", device)
    try:
        net = EDENet.from_widths(content["widths"], content["classes_per_task"])
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path} does not describe an EDE-Net ({error!r})") from error
    load_weights(net, content.pop("model", None), path)
    net.meta = content
    return net.to(device, memory_format=torch.channels_last).eval()
