"""Whole runs: what their files hold, what their trainings were given, and how they are stopped."""

import signal
from types import SimpleNamespace

import torch

from datasets import catalog
from models import EDENet, ResNet18
from models.der import DERNet
from tests.models.networks import same_state, state_of
from utils.method import training
from utils.running import checkpoint
from utils.running.errors import Interrupted
from utils.running.interrupt import Interruption

BOUNDS, NETWORKS = [0, 3, 6, 9], (ResNet18, EDENet, DERNet)


def networks(folder, pattern: str = "*") -> dict:
    """The networks of a folder whose names fit the pattern, by file name."""
    return {path.name: checkpoint.load(path, *NETWORKS) for path in sorted(folder.glob(f"{pattern}.pt"))}


def identical(one, other) -> bool:
    """Whether two folders hold the same networks, bit for bit, and the same exemplars."""
    one, other = networks(one), networks(other)
    return one.keys() == other.keys() and all(
        same_state(one[name], other[name]) and same_exemplars(one[name], other[name]) for name in one
    )


def same_exemplars(one, other) -> bool:
    first, second = (getattr(net, "meta", {}).get("exemplars", {}) for net in (one, other))
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def images_of(options, part, name="cifar100"):
    """(images, labels) of a part of the stand-in, in the order of its files."""
    found = catalog.load(name, options["data_root"], part)
    return found.images, found.labels


def rows(images, labels):
    """Each image with its label, in an order of their own."""
    return sorted((image.numpy().tobytes(), label) for image, label in zip(images, labels.tolist(), strict=True))


def answers(model, images):
    """Which output is the largest, image by image."""
    with torch.no_grad():
        return torch.tensor([int(model(image[None] / 255).argmax()) for image in images])


def noting_trainings(monkeypatch) -> list:
    """From now on, what every training was given: title, the weights it began with, batches, evaluation."""
    noted, fit = [], training.fit

    def noting(model, batches, objective, schedule, artefact, title, evaluate=None):
        begun = {"title": title, "state": state_of(model), "batches": batches, "evaluate": evaluate}
        noted.append(SimpleNamespace(**begun, schedule=schedule))
        return fit(model, batches, objective, schedule, artefact, title, evaluate)

    monkeypatch.setattr(training, "fit", noting)
    return noted


def stopping_every(monkeypatch, updates: int) -> None:
    """From now on SIGINT arrives after every so many updates."""
    update, count = training.Updates.update, []

    def stopping(self, *arguments):
        count.append(1)
        if len(count) % updates == 0:
            Interruption.requested = signal.SIGINT
        return update(self, *arguments)

    monkeypatch.setattr(training.Updates, "update", stopping)


def until_it_ends(call) -> list[str]:
    """Calls again and again; returns what each interruption said."""
    said = []
    while len(said) < 100:
        try:
            call()
        except Interrupted as stop:
            said.append(str(stop))
        else:
            return said
    raise AssertionError("it never ends")
