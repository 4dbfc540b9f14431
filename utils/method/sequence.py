"""MNIST → SVHN → CIFAR-10: what sets a sequence of whole data sets apart from a split's tasks.

Stage one is supervised and does not compress; stage two is fine-tuned on exemplars of the current data set too, and
nothing else.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from datasets import catalog, naming
from datasets.memory import Memory
from datasets.tasks import Task, data_sets
from models.ede_net import EDENet
from utils.method import stage_two
from utils.method.stage_two import SubModels
from utils.method.training import Progress
from utils.running.artefact import Artefact
from utils.running.errors import UserError
from utils.running.options import Settings, command_line
from utils.running.run import Run


def known_names(names: object, least: int = 1) -> list[str]:
    """The canonical names of a list of data sets. Raises `UserError` for an unknown or repeated one, or too few."""
    if not isinstance(names, list | tuple) or len(names) < least:
        raise UserError(f"{str(names)[:80]} is not accepted: expected a list of at least {least} data sets")
    found = [naming.canonical_name(name) for name in names]
    for name in found:
        if found.count(name) > 1:
            raise UserError(f"{name!r} is named {found.count(name)} times: expected each data set once")
    return found


def tasks(settings: Settings, names: Sequence[str], num_class: int | None = None) -> list[Task]:
    """Reads the data sets, each a task. Raises `UserError` if one has not `num_class` classes, where that is asked."""
    parts = [[catalog.load(name, settings.data_root, part) for part in ("train", "test")] for name in names]
    for train, _ in parts:
        if num_class not in (None, len(train.class_names)):
            raise UserError(
                f"num_class={num_class}, but {train.name} has {len(train.class_names)} classes: give that number"
            )
    return data_sets(parts)


def classifier_folder(settings: Settings) -> Path:
    """Where stage one writes."""
    return Path(settings.checkpoint_root) / "MTIL" / "classifier_resnet18"


def network_folder(settings: Settings) -> Path:
    """Where stage two writes."""
    return Path(settings.checkpoint_root) / "MTIL" / "EDE_Net_resnet18"


def network_name(names: Sequence[str], num_per_class: int) -> str:
    """The name of a joined network's files, such as model_mnist_svhn_5."""
    return f"model_{'_'.join(names)}_{num_per_class}"


def classifier_configuration(settings: Settings, task: Task, num_class: int) -> dict[str, Any]:
    """What decides a data set's network, as results say it."""
    stand_in = {"dataset_stand_in": True} if task.stand_in else {}
    deciding = settings.deciding("run", "update", "network", "choice")
    return {"dataset": task.name, **stand_in, "num_class": num_class, "recipe": settings.recipe, **deciding}


def network_configuration(settings: Settings, joined: Sequence[Task], num_per_class: int) -> dict[str, Any]:
    """What decides a joined network, as results say it."""
    stand_in = {"dataset_stand_in": True} if any(task.stand_in for task in joined) else {}
    shared = {"recipe": settings.recipe, "selection": settings.selection}
    deciding = settings.deciding("run", "update", "finetune")
    names = [task.name for task in joined]
    return {"data_list": names, "num_per_class": num_per_class, **stand_in, **shared, **deciding}


def submodels_of(settings: Settings) -> SubModels:
    """Stage one's networks, whose epochs have to be chosen by the same rule."""
    command = command_line("trainMTIL.py", "train_MTIL_classifier", {"data_type": "…"}, settings)
    return SubModels(classifier_folder(settings), False, command, {"selection": settings.selection})


def stage(run: Run, joined: Sequence[Task], before: Artefact | None, submodels: SubModels, memory: Memory) -> Artefact:
    """The network that joins these data sets: what it is made from, and whether it is done."""
    name = network_name([task.name for task in joined], memory.per_class)
    return run.artefact(name, stage_two.made_from(run, joined[-1], before, submodels, memory))


def save(
    artefact: Artefact,
    net: EDENet,
    memory: Memory,
    joined: Sequence[Task],
    progress: Progress | None,
    steps: int,
    submodels: SubModels,
) -> None:
    """Evaluates and writes the network that joins these data sets; `steps` is its updates an epoch."""
    stage_two.save(
        artefact,
        net,
        memory,
        joined,
        progress,
        updates=progress.epoch * steps if progress else 0,
        alone=[submodels.record(task, artefact.run.dry)["results"]["test_accuracy"] for task in joined],
    )
