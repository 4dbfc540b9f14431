"""What EDE-Net stands against: one network that learns all tasks, and sub-models that are joined but not fine-tuned.

The one network is stage one's temporary ResNet-18. It goes on from task to task with a head that grows, and is trained
in every task as stage one trains: the same loop, loss and passes. The last epoch is kept. So nothing is held out: all
training images at hand are trained on.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from datasets.images import Images, joined
from datasets.memory import Memory
from datasets.tasks import Task
from models.ede_net import EDENet
from models.resnet import resnet18
from utils.method import stage_one, stage_two, training
from utils.method.stage_one import Foreign
from utils.method.stage_two import SubModels
from utils.method.training import Progress, Schedule
from utils.running.artefact import Artefact
from utils.running.options import Settings
from utils.running.randomness import derive
from utils.running.run import Run

if TYPE_CHECKING:
    from utils.method.data import Split

# The options that decide each kind, by `Settings.deciding`, beside the data.
DECIDING = {
    "finetune": ("run", "update", "network", "mixmatch", "prediction"),
    "replay": ("run", "update", "network", "mixmatch", "memory", "prediction"),
    "joint": ("run", "update", "network", "mixmatch", "prediction"),
    "der": ("run", "update", "network", "memory", "prediction"),
    "concatenate": ("run", "prediction"),
}
WITH_MEMORY = ("replay", "der")


def place(
    settings: Settings, split: "Split", kind: str, prune: bool, mixmatch: bool, size: int
) -> tuple[Path, Settings, dict[str, Any]]:
    """Where a baseline writes, and what decides its results, for a `Run`; `size` is its exemplars in all."""
    name = f"baseline_{kind}_{split.dataset}_{split.type}_resnet18{'_mixmatch' if mixmatch else ''}"
    folder = Path(settings.checkpoint_root) / (f"{name}_rehearsal_{size}" if size else name)
    found = {**split.configuration, "baseline": kind, "mixmatch": mixmatch, "recipe": settings.recipe}
    if kind == "concatenate":
        found |= {"prune": prune, "selection": settings.selection}
    if size:
        found["rehearsal_size"] = size
    return folder, settings, {**found, **settings.deciding(*DECIDING[kind])}


def stage(
    run: Run,
    kind: str,
    task: Task,
    before: Artefact | None,
    memory: Memory,
    unlabelled: Images | None,
    submodels: SubModels | None,
) -> Artefact:
    """The baseline after a task, `stage_<t>`: what it is made from, and whether it is done."""
    record = {
        "baseline": kind,
        "task": task.name,
        "classes": list(task.class_names),
        "images": task.fingerprint,
        "unlabelled images": unlabelled and unlabelled.fingerprint(),
        "normalisation": [*task.mean, *task.std],
        "sub-model": submodels and submodels.record(task)["fingerprint"],
        "stage before": before and before.fingerprint,
        "rehearsal_size": memory.size,
        **run.settings.deciding(*DECIDING[kind]),
    }
    del record["class_order"]  # the classes themselves are named
    return run.artefact(stage_two.name(task), record)


def labelled_images(kind: str, task: Task, memory: Memory, seen: list[Images]) -> Images:
    """What a baseline of this kind trains on in a task, with global labels.

    Args:
        seen: the training images of the tasks before, which joint training keeps: what the protocol forbids.
    """
    if kind == "joint":
        everything = joined([*seen, task.train])
        return everything.select(everything.indices.argsort())
    if kind in WITH_MEMORY and task.index > 0:
        return joined([task.train, memory.images()])
    return task.train


def learn(
    run: Run, artefact: Artefact, net: EDENet, task: Task, labelled: Images, unlabelled: Images | None
) -> Progress:
    """Learns a task as stage one trains, over all classes seen so far, to the last epoch.

    The network is fresh for the first task; then its head grows by the task's classes.
    """
    settings = run.settings
    if task.index == 0:
        seed = derive(settings.seed, task.name, "temporary")  # as stage one begins
        net.grow(resnet18(task.num_classes, settings.widths, task.mean, task.std, seed))
    else:
        net.submodels[0].grow_head(task.num_classes, derive(settings.seed, task.name, "head"))
    return training.fit(
        net.to(run.device),
        stage_one.batches(run, task, labelled, Foreign(unlabelled), (settings.seed, task.name, "baseline")),
        stage_one.objective(net.num_classes, Foreign(unlabelled), settings),
        Schedule.of(settings, settings.epochs, settings.lr),
        run.console,
        f"task {task.index + 1} ({task.name})",
        artefact=artefact,
    )
