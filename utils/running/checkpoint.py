"""Checkpoints, for `torch.load(weights_only=True)`.

A checkpoint is a dict of tensors, strings, numbers, lists and dicts with two names in front: `format`, this project's,
and `kind`: "classifier" (a sub-model), "ede_net" or "der" (a stage), "training" (an unfinished training); and the
fingerprint of all of it, `checksum`.
"""

import hashlib
import io
import zipfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from utils.running.errors import UserError

FORMAT = "ede-net-2"


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


def read(path: Path, *kinds: str, device: torch.device | str = "cpu") -> dict[str, Any]:
    """Reads a checkpoint of one of these kinds, or of any, onto `device`.

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
    if content.get("format") != FORMAT or (kinds and content.get("kind") not in kinds):
        expected = " or ".join(kinds) or "any"
        raise UserError(f'{path} holds "{content.get("kind")}", expected a checkpoint of kind {expected} ({FORMAT})')
    return content


def load(path: str | Path, *networks: type[nn.Module], device: torch.device | str = "cpu") -> nn.Module:
    """Reads a network onto `device`, in evaluation mode.

    Args:
        networks: what it may be. Each class has a `KIND`, that of its checkpoints, and `described_by`, which makes one
            from a checkpoint's content; what else the content says becomes the network's `meta`.

    Raises: `UserError` as `read` does, and if the content does not describe one, or holds the weights of another.
    """
    path, known = Path(path), {each.KIND: each for each in networks}
    content = read(path, *known, device=device)
    network = known[content["kind"]]
    with torch.device("meta"):  # nothing is allocated for what a damaged file may say
        try:
            model, state = network.described_by(content), content.pop("model")
        except (LookupError, TypeError, ValueError, RuntimeError, OverflowError) as error:
            raise UserError(f"{path} does not describe a {network.__name__} ({error!r}): make it anew") from error
    try:
        model.load_state_dict(state, assign=True)
    except (RuntimeError, TypeError, AttributeError) as error:
        reason = str(error).splitlines()[-1].strip()
        raise UserError(f"{path} was made for another architecture ({reason[:160]})") from error
    model.meta = content
    return model.to(memory_format=torch.channels_last).eval()


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
