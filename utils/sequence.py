"""MNIST → SVHN → CIFAR-10: several data sets, one after the other, told apart without being told which is which."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from datasets import catalog
from datasets.augment import Transform
from datasets.batches import Batches, Part
from datasets.image_set import ImageSet
from datasets.rehearsal import random_order
from datasets.stream import Images, hold_out
from models import measure
from models.ede_net import EDENet
from models.resnet import ResNet18
from utils import checkpoint, metrics, recipes, training
from utils.errors import UserError
from utils.recipes import Settings
from utils.run import Run
from utils.stage_one import TaskImages, task_file
from utils.stage_two import fit_joined

CLASSIFIERS = "classifier_resnet18"
NETWORKS = "EDE_Net_resnet18"


def known_names(data_list: Sequence[str]) -> list[str]:
    """The data sets' canonical names. Raises `UserError` for an unknown or repeated one, or fewer than two."""
    if not isinstance(data_list, (list, tuple)) or len(data_list) < 2:
        raise UserError(f"data_list is {data_list!r}, expected a list of at least two data sets")
    names = [catalog.canonical_name(name) for name in data_list]
    for name in names:
        if names.count(name) > 1:
            raise UserError(f"data_list names {name!r} {names.count(name)} times, expected each data set once")
    return names


def classifier_folder(settings: Settings) -> Path:
    """Where stage one writes."""
    return Path(settings.checkpoint_root) / "MTIL" / CLASSIFIERS


def network_folder(settings: Settings) -> Path:
    """Where stage two writes."""
    return Path(settings.checkpoint_root) / "MTIL" / NETWORKS


def network_stem(names: Sequence[str], num_per_class: int) -> str:
    """What tells the files of the network that joins these data sets from the others'.

    Raises: `UserError` if `num_per_class` is no count.
    """
    if not isinstance(num_per_class, int) or isinstance(num_per_class, bool) or num_per_class < 1:
        raise UserError(f"num_per_class={num_per_class!r} is not accepted: expected a whole number from 1 up")
    return f"{'_'.join(names)}_{num_per_class}"


def images_of(part: ImageSet, device: torch.device) -> Images:
    """All images of a part, labels as in the data set."""
    return Images(part.images.to(device), part.labels.to(device), torch.arange(len(part.labels), device=device))


def read(name: str, num_class: int, settings: Settings) -> tuple[ImageSet, ImageSet]:
    """The data set's training and test part. Raises `UserError` if it has not `num_class` classes."""
    train, test = (catalog.load(name, settings.data_root, part) for part in ("train", "test"))
    if num_class != len(train.class_names):
        raise UserError(f"num_class={num_class!r}, but {name} has {len(train.class_names)} classes: give that number")
    return train, test


def classifier_images(train: ImageSet, test: ImageSet, settings: Settings, device: torch.device) -> TaskImages:
    """One data set for stage one, supervised; a tenth of each class held out."""
    labelled, held_out = hold_out(images_of(train, device), settings.validation_fraction, settings.seed)
    tested = images_of(test, device)
    judge = held_out if settings.selection == "validation" else tested
    return TaskImages(
        train.name,
        len(train.class_names),
        *[(part.images, part.labels) for part in (labelled, judge, tested)],
        unlabelled=None,
        transform=Transform(settings.padding, settings.rotation, train.mirror),
        mean=train.mean,
        std=train.std,
    )


def few_exemplars(name: str, num_per_class: int, settings: Settings, device: torch.device) -> Images:
    """`num_per_class` images of every class, drawn once by seed without replacement: fewer are a part of more.

    Raises: `UserError` if a class has not so many.
    """
    train = catalog.load(name, settings.data_root, "train")
    rows = []
    for label, class_name in enumerate(train.class_names):
        of_class = (train.labels == label).nonzero().flatten()
        if len(of_class) < num_per_class:
            raise UserError(
                f"num_per_class={num_per_class} is more than the {len(of_class)} training images of "
                f"{name}'s class {class_name}: expected at most that many"
            )
        order = random_order(len(of_class), (settings.seed, "exemplars", name, label))
        rows.append(of_class[order[:num_per_class]])
    return images_of(train, torch.device("cpu")).select(torch.cat(rows)).to(device)


@dataclass(frozen=True)
class Member:
    """A data set in the joined network: its exemplars and test images with labels among all outputs, from `offset`."""

    name: str
    offset: int
    class_names: list[str]
    mirror: bool
    exemplars: Images
    test: Images


def member(name: str, offset: int, num_per_class: int, settings: Settings, device: torch.device) -> Member:
    """Reads what stage two needs of a data set."""
    test = catalog.load(name, settings.data_root, "test")
    kept = few_exemplars(name, num_per_class, settings, device)
    tested = images_of(test, device)
    return Member(
        name,
        offset,
        list(test.class_names),
        test.mirror,
        replace(kept, labels=kept.labels + offset),
        replace(tested, labels=tested.labels + offset),
    )


def exemplar_batches(members: Sequence[Member], settings: Settings, device: torch.device) -> Batches:
    """Batches with as many exemplars of each data set, each set augmented in its own way; an epoch is one pass."""
    size = min(settings.finetune_batch_size, sum(len(each.exemplars) for each in members))
    if size < len(members):
        raise UserError(f"a batch of {size} exemplars cannot hold one of each of {len(members)} data sets: give more")
    shares = [size // len(members) + (index < size % len(members)) for index in range(len(members))]
    parts = [
        Part(
            each.exemplars.images,
            each.exemplars.labels,
            share,
            Transform(settings.padding, settings.finetune_rotation, each.mirror),
        )
        for each, share in zip(members, shares, strict=True)
    ]
    steps = max(-(-len(part.images) // part.size) for part in parts)
    return Batches(parts, steps, key=(settings.seed, *[each.name for each in members], "finetune"), device=device)


def join(run: Run, names: Sequence[str], num_per_class: int) -> None:
    """Joins the last data set's sub-model to the network of those before it, fine-tunes, evaluates and writes."""
    stem = network_stem(names, num_per_class)
    if len(names) == 2:
        first, source = submodel(run, names[0])
        net, sources = EDENet([first]), [source]
    else:
        net = checkpoint.load_ede_net(run.folder / f"model_{network_stem(names[:-1], num_per_class)}.pt", run.device)
        sources = net.meta["submodels"]
    new, source = submodel(run, names[-1])
    net.grow(new)
    offsets = [net.offset(index) for index in range(len(names))]
    members = [
        member(name, offset, num_per_class, run.settings, run.data_device)
        for name, offset in zip(names, offsets, strict=True)
    ]
    batches = exemplar_batches(members, run.settings, run.device)
    progress = fit_joined(run, net, batches, f"{' + '.join(names)}, {num_per_class} a class", f"finetune_{stem}")
    checkpoint.write_ede_net(
        run.folder / f"model_{stem}.pt",
        net,
        {
            "datasets": list(names),
            "submodels": [*sources, source],
            "num_per_class": num_per_class,
            "class_names": [name for each in members for name in each.class_names],
            "configuration": run.configuration,
            "exemplars": [each.exemplars.indices.tolist() for each in members],
            "results": {
                **evaluate(net, members),
                "updates": progress.epoch * batches.steps_per_epoch,
                "seconds": progress.seconds,
                "parameters": measure.parameters(net),
                "flops": measure.flops(net),
                "history": progress.history,
            },
        },
    )


def submodel(run: Run, name: str) -> tuple[ResNet18, dict]:
    """Stage one's network of a data set, and what a joined network's file says of it.

    Raises: `UserError` that prints the command which makes it, if it is not there; if its epochs were chosen in another
        way than this run says.
    """
    path = task_file(classifier_folder(run.settings), name, compressed=False)
    if not path.is_file():
        command = recipes.command_line(
            "trainMTIL.py", "train_MTIL_classifier", {"data_type": name}, run.settings, recipes.MTIL, stage=1
        )
        raise UserError(f"{path} is not there: stage two needs stage one's network, which this makes: {command}")
    model, content = checkpoint.load_classifier(path, run.device)
    selection = content["configuration"]["selection"]
    if selection != run.settings.selection:
        raise UserError(
            f'{path} was made with selection="{selection}", now "{run.settings.selection}": give the same, '
            f"or make it anew in another checkpoint_root"
        )
    return model, {
        "fingerprint": content["fingerprint"],
        "selection": selection,
        "stand_in": "dataset_stand_in" in content["configuration"],
        "alone": content["results"]["test_accuracy"],
    }


def finished(run: Run, names: Sequence[str], num_per_class: int) -> bool:
    """Whether the network that joins these data sets is there.

    Raises: `UserError` if it was grown from other sub-models than stage one's folder holds now.
    """
    path = run.folder / f"model_{network_stem(names, num_per_class)}.pt"
    if not path.exists():
        return False
    if checkpoint.read(path, "ede_net").get("submodels") != [submodel(run, name)[1] for name in names]:
        raise UserError(
            f"{path} was grown from other sub-models than {classifier_folder(run.settings)} holds now: begin stage two "
            f"anew with restart=True, or give another checkpoint_root"
        )
    run.console.say(f"{' + '.join(names)}, {num_per_class} a class: done before, {path.name} is there")
    return True


def evaluate(net: EDENet, members: Sequence[Member]) -> dict:
    """For each data set the test images taken for the right class among all outputs, and for another set's class."""
    correct, elsewhere, total = [], [], []
    for each in members:
        predicted = predictions(net, each.test.images)
        inside = (predicted >= each.offset) & (predicted < each.offset + len(each.class_names))
        correct.append(metrics.count_correct(predicted, each.test.labels.to(predicted.device)))
        elsewhere.append(int((~inside).sum()))
        total.append(len(predicted))
    return {"correct": correct, "elsewhere": elsewhere, "total": total}


def predictions(net: EDENet, images: Tensor) -> Tensor:
    """The likeliest output of each image, int64 [N]."""
    return training.outputs(net.eval(), images, next(net.parameters()).device).argmax(dim=1)
