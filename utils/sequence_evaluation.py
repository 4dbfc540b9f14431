"""The saved networks of a sequence of data sets evaluated again, and held against what training reported of them."""

from collections.abc import Sequence
from dataclasses import replace

import torch

from datasets import catalog
from utils import checkpoint, evaluation, metrics, sequence, tables, training
from utils import device as devices
from utils.errors import UserError
from utils.recipes import Settings
from utils.stage_one import task_file


def networks(settings: Settings, names: Sequence[str] | None, num_per_class: int | None) -> list[dict]:
    """Evaluates the sequence's saved networks again: all, or those of these data sets or exemplars a class.

    Returns: for each network "datasets", "num_per_class", "correct", "elsewhere" and "total" (test images of each data
        set: taken for the right class, for another set's, in all), "alone" (%, by stage one's networks, None where
        there is none), and "reported" with the same in the files' words.

    Raises: `UserError` if there is no such network, or a file is damaged.
    """
    folder, device = sequence.network_folder(settings), devices.choose(settings.device)
    found = []
    for path in sorted(folder.glob("model_*.pt")):
        meta = checkpoint.read(path, "ede_net")
        if names not in (None, meta["datasets"]) or num_per_class not in (None, meta["num_per_class"]):
            continue
        net = checkpoint.load_ede_net(path, device)
        members = [_tested(name, net.offset(i), settings) for i, name in enumerate(meta["datasets"])]
        alone = [_alone(settings, member, device) for member in members]
        counted = sequence.evaluate(net, members)
        found.append(
            {
                "datasets": meta["datasets"],
                "num_per_class": meta["num_per_class"],
                **counted,
                "alone": [again for again, _ in alone],
                "reported": {
                    **{name: meta["results"][name] for name in counted},
                    "alone": [reported for _, reported in alone],
                },
            }
        )
    if not found:
        raise UserError(f"{folder} has no saved network of data_list={names!r}, num_per_class={num_per_class!r}")
    return sorted(found, key=lambda each: (len(each["datasets"]), each["datasets"], each["num_per_class"]))


def _tested(name: str, offset: int, settings: Settings) -> sequence.Member:
    """A data set with its test images and no exemplars, which evaluation does not need."""
    test = catalog.load(name, settings.data_root, "test")
    images = sequence.images_of(test, torch.device("cpu"))
    images = replace(images, labels=images.labels + offset)
    none = images.select(torch.zeros(len(images), dtype=torch.bool))
    return sequence.Member(name, offset, list(test.class_names), test.mirror, none, images)


def _alone(settings: Settings, member: sequence.Member, device: torch.device) -> tuple[float | None, float | None]:
    """Test accuracy (%) of stage one's network of a data set: counted again, and in its file."""
    path = task_file(sequence.classifier_folder(settings), member.name, compressed=False)
    if not path.is_file():
        return None, None
    model, content = checkpoint.load_classifier(path, device)
    again = training.accuracy(model, member.test.images, member.test.labels - member.offset)
    return again, content["results"]["test_accuracy"]


def networks_table(found: Sequence[dict]) -> str:
    """The accuracies of `networks`."""
    rows = [
        [
            " + ".join(map(catalog.title, each["datasets"])) if index == 0 else "",
            each["num_per_class"] if index == 0 else "",
            catalog.title(name),
            tables.percent(each["alone"][index]),
            tables.percent(metrics.percentage(each["correct"][index], each["total"][index])),
            tables.percent(metrics.percentage(each["elsewhere"][index], each["total"][index])),
            "NO" if any(figures[index] != each[key][index] for key, figures in each["reported"].items()) else "yes",
        ]
        for each in found
        for index, name in enumerate(each["datasets"])
    ]
    header = ["sequence", "exemplars a class", "data set", "alone", "joined", "taken for another set's", "as reported"]
    title = "# EDE-Net over data sets, evaluated again: test accuracy (%)"
    return "\n".join([title, "", tables.markdown_table(header, rows, align="lrlrrrr"), ""])


def require_reported(settings: Settings, found: Sequence[dict]) -> None:
    """Raises `UserError` where a network's figures are not those in the files."""
    titled = {f"{' + '.join(each['datasets'])}, {each['num_per_class']} a class": each for each in found}
    evaluation.refuse(sequence.network_folder(settings), evaluation.differences(titled))
