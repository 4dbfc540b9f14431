"""The saved networks of a run evaluated again, and held against what training reported of them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datasets import catalog, splits
from datasets.images import Images, ImageSet
from datasets.tasks import relabelled
from models import der
from models.ede_net import EDENet
from utils.method import stage_two
from utils.results import tables
from utils.running import device as devices
from utils.running import processes
from utils.running.artefact import read_record
from utils.running.console import show
from utils.running.errors import UserError
from utils.running.options import path_of

COUNTS = ("correct", "within", "elsewhere", "total")


@dataclass(frozen=True)
class Tested:
    """A task as far as evaluation needs it: its labels and its test images."""

    name: str
    first: int
    last: int
    test: Images


def evaluate(
    folder: str, stage: int | None, data_root: str, dataset: str | None, device: str
) -> dict[str, dict[str, Any]]:
    """Counts again, from the saved files, what training reported of all networks of a folder, or of one stage.

    Args:
        folder: of an EDE-Net, a baseline, or a sequence's networks.
        stage: from 1; all that are saved if left out.
        data_root, device: as in all options.
        dataset: "folder:PATH", where the network was trained on a folder of images.

    Returns: for each network, by the name of its files, the counts of `stage_two.evaluate`, and under "reported" those
        of its record.

    Raises: `UserError` if there is no such network, a file is damaged, or a count is another one.
    """
    processes.require_one()
    folder = path_of("folder", folder)
    where = devices.choose(device)
    pattern = "*" if stage is None else f"stage_{stage}"
    records = [path for path in folder.glob(f"{pattern}.json") if path.with_suffix(".pt").exists()]
    if not records:
        raise UserError(f"{folder} has no saved network{'' if stage is None else f' of stage {stage}'}: train it first")
    found = {}
    for path in sorted(records, key=lambda each: (len(each.stem), each.stem)):
        content = read_record(path)
        net = der.load(path.with_suffix(".pt"), where)
        if net.meta["fingerprint"] != content["fingerprint"]:
            raise UserError(f"{path} was not written with {path.stem}.pt: delete both and train them anew")
        counted = stage_two.evaluate(net, tested(net, content["configuration"], data_root, dataset))
        found[path.stem] = {**counted, "reported": {name: content["results"][name] for name in COUNTS}}
    show(table(folder, found))
    faults = [
        f"{stem}: {name} {each[name]}, reported {each['reported'][name]}"
        for stem, each in found.items()
        for name in COUNTS
        if each[name] != each["reported"][name]
    ]
    if faults:
        raise UserError(
            f"{folder} does not give what training reported: {'; '.join(faults)}. The files or the data have changed "
            f"since; or, where one or two images differ, the device or the version of PyTorch"
        )
    return found


def tested(net: EDENet, configuration: dict[str, Any], data_root: str, dataset: str | None) -> list[Tested]:
    """The tasks of a network with their test images."""
    labels = net.meta["tasks"]
    size = net.meta["image_size"]
    if "data_list" in configuration:
        parts = [catalog.load(name, data_root, "test", size) for name, _, _ in labels]
        return [Tested(*each, shifted(part, each[1])) for each, part in zip(labels, parts, strict=True)]
    name = dataset or configuration["dataset"]
    if name.startswith("folder-"):
        raise UserError(f'the network was trained on a folder of images: give dataset="folder:PATH" ({name})')
    part = catalog.load(name, data_root, "test", size)
    if part.name != configuration["dataset"]:
        raise UserError(f"the network was trained on {configuration['dataset']}, not on {part.name}: give that")
    order = splits.class_order(configuration["class_order"], len(part.class_names))[: net.num_classes]
    images = relabelled(part, order, "test")
    return [
        Tested(name, first, last, images.select((images.labels >= first) & (images.labels < last)))
        for name, first, last in labels
    ]


def shifted(part: ImageSet, first: int) -> Images:
    """All images of a part, its labels beginning at `first`."""
    return Images(part.images, part.labels + first, part.labels * 0)


def table(folder: Path, found: dict[str, dict[str, Any]]) -> str:
    """What was counted, as Markdown."""
    count = max(len(each["total"]) for each in found.values())
    rows = []
    for stem, each in found.items():
        accuracies = [100 * right / total for right, total in zip(each["correct"], each["total"], strict=True)]
        same = all(each[name] == each["reported"][name] for name in COUNTS)
        seen = 100 * sum(each["correct"]) / sum(each["total"])
        cells = [tables.percent(value) for value in (seen, *accuracies)] + [""] * (count - len(accuracies))
        rows.append([stem, *cells, "yes" if same else "NO"])
    header = ["network", "all seen", *[f"task {i + 1}" for i in range(count)], "as reported"]
    return f"# {folder.name}, evaluated again: test accuracy (%)\n\n{tables.markdown_table(header, rows)}\n"
