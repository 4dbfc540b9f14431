"""What EDE-Net stands against: one network that learns all tasks, and sub-models that are joined but not fine-tuned.

The one network is stage one's temporary ResNet-18. It goes on from task to task with a head that grows, and is trained
in every task as stage one trains: the same loop, loss and passes. The last epoch is kept. So nothing is held out: all
training images at hand are trained on.
"""

import torch
from torch import Tensor

from datasets.augment import Transform
from datasets.image_set import ImageSet
from datasets.rehearsal import RehearsalMemory, require_room
from datasets.stream import Images, Task, TaskStream
from models.ede_net import EDENet
from models.resnet import resnet18
from utils import setup, stage_two, training
from utils.errors import UserError
from utils.randomness import derive
from utils.recipes import Settings
from utils.run import Run
from utils.setup import Split, StageOne
from utils.stage_one import batches, objective, schedule

KINDS = {
    "finetune": "one network, trained on the current task's labelled images alone",
    "replay": "one network, trained on the current task's labelled images and the exemplars of the old classes",
    "joint": "one network, trained on ALL training images of the classes seen, which the protocol forbids: the upper "
    "bound",
    "concatenate": "stage one's sub-models with their logits concatenated, without any training in stage two",
}


def arguments(
    kind: str,
    settings: Settings,
    split: Split,
    train: ImageSet,
    others: ImageSet | None,
    prune: bool,
    mixmatch: bool,
    rehearsal_size: int,
) -> dict:
    """What of a call's arguments decides the baseline's results; those that mean nothing to its kind are left out.

    Args:
        train, others: the data set that is learned, and the unlabelled images where the kind trains with some.

    Raises: `UserError` for an unknown kind, a switch that is none, and a memory without room.
    """
    require_kind(kind)
    found = {"baseline": kind, **setup.arguments(settings, split, train, prune=prune, mixmatch=mixmatch)}
    if kind != "concatenate":
        del found["prune"]
    if others is not None:
        found |= setup.described("unlabeled", settings.unlabeled, others)
    if kind == "replay":
        require_room(rehearsal_size, split.bounds[-2])
        found["rehearsal_size"] = rehearsal_size
    return found


def require_kind(kind: str) -> None:
    """Raises `UserError` unless it is the name of a baseline."""
    if not isinstance(kind, str) or kind not in KINDS:
        raise UserError(f"{kind!r} is not a baseline: expected {', '.join(map(repr, KINDS))}")


def concatenate(run: Run, stage_one: StageOne, stream: TaskStream, task: Task) -> None:
    """One task without stage two's training: join its sub-model, write the stage."""
    net, memory = stage_two.previous(run, task)
    submodel, source = stage_two.new_submodel(run, stage_one, task)
    net.grow(submodel)
    stage_two.write_stage(run, net, memory, stream, task, None, source)


def learn(run: Run, stream: TaskStream, unlabelled: Tensor | None, task: Task) -> None:
    """One task of the one network: grow its head, train it, keep exemplars where there is a memory, write the stage."""
    stream.begin(task)
    net, memory = stage_two.previous(run, task)
    grow(net, stream, task, run.settings)
    images = labelled_images(run.configuration["baseline"], stream, task, memory)
    progress = train(run, net.to(run.device), images, unlabelled, stream, task)
    if memory.size:
        stage_two.remember(net, memory, stream, task, run.settings)
    stage_two.write_stage(run, net, memory, stream, task, progress, None)


def grow(net: EDENet, stream: TaskStream, task: Task, settings: Settings) -> None:
    """The network of the first task, fresh, or that of the task before with outputs for the task's classes too."""
    if task.index == 0:
        seed = derive(settings.seed, task.name, "temporary")  # as stage one begins
        net.grow(resnet18(task.num_classes, settings.widths, stream.mean, stream.std, seed))
    else:
        net.submodels[0].grow_head(task.num_classes, derive(settings.seed, task.name, "head"))


def labelled_images(kind: str, stream: TaskStream, task: Task, memory: RehearsalMemory) -> Images:
    """What a baseline of this kind trains on in a task, with global labels."""
    if kind == "joint":
        return stream.images_seen(task)
    current = stream.training_images(task)
    if kind == "finetune":
        return current
    old = stream.exemplars(memory.lists, memory.size)
    return Images(*(torch.cat([getattr(part, name) for part in (current, old)]) for name in vars(current)))


def train(
    run: Run, net: EDENet, images: Images, unlabelled: Tensor | None, stream: TaskStream, task: Task
) -> training.Progress:
    """Stage one's training on these images, over all classes seen so far, to the last epoch."""
    settings, transform = run.settings, Transform(run.settings.padding, run.settings.rotation, stream.mirror)
    labelled, key = (images.images, images.labels), (settings.seed, task.name, "baseline")
    return training.fit(
        net,
        batches(labelled, unlabelled, transform, settings, key, run.device),
        objective(net.num_classes, unlabelled, settings),
        schedule(settings, settings.epochs, settings.lr),
        run.console,
        f"baseline {run.configuration['baseline']}, task {task.index + 1} ({task.name})",
        unfinished=run.unfinished / f"baseline_{task.name}.pt",
    )
