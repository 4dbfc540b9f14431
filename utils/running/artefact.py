"""A trained network's files, which know what they were made from: the one idea of what is done."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from utils.running import checkpoint, storage
from utils.running.errors import UserError

if TYPE_CHECKING:
    from utils.running.run import Run


def read_record(path: Path) -> dict[str, Any]:
    """What a `NAME.json` holds. Raises `UserError` that names it if that is not what was written."""
    content = storage.read_json(path)
    if content.pop("checksum", None) != checkpoint.fingerprint(content):
        raise UserError(f"{path} is not what was written: delete it and run the command that made it again")
    return content


def _require_recorded(content: dict[str, Any], path: Path) -> None:
    """Raises `UserError` if a `NAME.pt` of this content is not what `NAME.json` was written with."""
    if content.get("fingerprint") != read_record(path.with_suffix(".json"))["fingerprint"]:
        raise UserError(
            f"{path} is not the network that {path.stem}.json was written with: delete both and run the command that "
            f"made them again"
        )


def load_network(path: Path, *networks: type[nn.Module], device: torch.device | str = "cpu") -> nn.Module:
    """`checkpoint.load` of a `NAME.pt`; raises `UserError` too if it is not what `NAME.json` was written with."""
    model = checkpoint.load(path, *networks, device=device)
    _require_recorded(model.meta, path)
    return model


class Artefact:
    """`NAME.pt`, a trained network, and `NAME.json`, written last, with its results and what it was made from.

    It is done when its record equals the one wanted. An unfinished training, `unfinished/NAME.training.pt`, has the
    same record.

    Args:
        run: whose folder it lies in.
        name: of its files.
        made_from: the options that decide it, and the fingerprints of the data and networks that it is made from.
        folder: where it lies, if not in the run's folder itself.

    Raises: `UserError` that names what differs, if there is one with another record in its place.
    """

    def __init__(self, run: "Run", name: str, made_from: dict[str, Any], folder: Path | None = None):
        self.run, self.name = run, name
        self.made_from = json.loads(json.dumps(made_from))
        folder = folder or run.folder
        self.path, self.record = folder / f"{name}.pt", folder / f"{name}.json"
        self.unfinished = run.unfinished / f"{name}.training.pt"
        self.content: dict[str, Any] | None = None  # of `NAME.json`
        self.model: nn.Module | None = None  # once it has been made or loaded
        if run.has(self.path) and run.has(self.record):
            self.content = read_record(self.record)
            self._require_same(self.content["made_from"], self.record)
            run.console.say(f"{name}: done before, {self.path.name} is there")
        elif run.has(self.path):  # stopped before the record was written, or the record was taken away: to be made anew
            self._require_same(checkpoint.read(self.path)["made_from"], self.path)
        if run.siblings and not self.done and not run.settings.restart:
            self._take_over()

    @property
    def done(self) -> bool:
        """Whether the network is there."""
        return self.content is not None

    @property
    def results(self) -> dict[str, Any]:
        return self.content["results"]

    @property
    def fingerprint(self) -> str:
        return self.content["fingerprint"]

    def _take_over(self) -> None:
        """Copies the files of another run of this kind whose record is the one wanted."""
        for path in sorted(self.run.folder.parent.glob(f"{self.run.siblings}/{self.path.name}")):
            record = path.with_suffix(".json")
            try:
                if not record.exists() or read_record(record)["made_from"] != self.made_from:
                    continue
                _require_recorded(checkpoint.read(path), path)
            except UserError as error:
                self.run.console.say(f"{self.name} is not taken over: {error}")
                continue
            if self.run.dry:
                self.path, self.record = path, record
            self.run.write(self.path, path.read_bytes())
            self.run.write(self.record, record.read_bytes())
            self.content = read_record(self.record)
            self.run.console.say(f"{self.name}: taken over from {path.parent}, which began alike")
            return

    def _require_same(self, theirs: dict[str, Any], path: Path) -> None:
        mine = self.made_from
        differing = [
            f"{name} (there {json.dumps(theirs.get(name))[:40]}, now {json.dumps(mine.get(name))[:40]})"
            for name in dict.fromkeys([*theirs, *mine])
            if theirs.get(name) != mine.get(name)
        ]
        if differing:
            raise UserError(
                f"{path} was made from something else: {', '.join(differing[:4])}; give the same, or another "
                f"checkpoint_root, or begin anew with restart=True"
            )

    def load(self, network: type[nn.Module]) -> nn.Module:
        """The network, of this class, on the run's device; errors as in `load_network`."""
        if self.model is None:
            self.model = load_network(self.path, network, device=self.run.device)
        return self.model

    def save(self, model: nn.Module, results: dict[str, Any], **content: Any) -> None:
        """Writes the network and what else its file holds, then its record, and removes what was needed to go on.

        Raises: `UserError` if a weight is not finite.
        """
        state = model.state_dict()
        common = {"configuration": self.run.configuration, "fingerprint": checkpoint.fingerprint(state)}
        self._write(self.path, model.KIND, {**model.described, **common, **content, "model": state})
        self.model = model
        self.content = json.loads(json.dumps({"made_from": self.made_from, **common, "results": results}))
        checksum = checkpoint.fingerprint(self.content)
        self.run.write(self.record, storage.as_json({**self.content, "checksum": checksum}))
        for path in [] if self.run.dry else self.run.unfinished.glob(f"{self.name}.*"):
            if path not in (self.path, self.record):
                path.unlink(missing_ok=True)

    def saved_training(self) -> dict[str, Any] | None:
        """The unfinished training, if there is one. Raises `UserError` if it was made from something else."""
        if not self.run.has(self.unfinished):
            return None
        saved = checkpoint.read(self.unfinished, "training", device=self.run.device)
        self._require_same(saved["made_from"], self.unfinished)
        return saved

    def save_training(self, content: dict[str, Any]) -> None:
        """Writes the unfinished training. Raises `UserError` if a weight is not finite."""
        self._write(self.unfinished, "training", content)

    def _write(self, path: Path, kind: str, content: dict[str, Any]) -> None:
        weights = content["model"].values()
        if not all(bool(torch.isfinite(value).all()) for value in weights if value.is_floating_point()):
            raise UserError(f"{self.name}: weights are not finite and were not written: try a smaller learning rate")
        self.run.write(path, checkpoint.packed(kind, {"made_from": self.made_from, **content}))
