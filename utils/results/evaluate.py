"""The saved networks of a run evaluated again, and held against what training reported of them."""

from typing import Any

from utils.results import metrics, tables
from utils.running import processes
from utils.running.console import show
from utils.running.errors import UserError
from utils.running.options import path_of, require_arguments


def evaluate(folder, stage=None, data_root="data", dataset=None, device="auto"):
    """Counts again, from the saved files, what training reported of every stage or of one; a difference is an error.

    Args:
        folder: of an EDE-Net, a baseline, or a sequence's networks.
        stage: from 1; all that are saved if left out.
        data_root, device: as in all options.
        dataset: "folder:PATH", where the network was trained on a folder of images.

    Returns: for each network, by the name of its files, the counts of `stage_two.evaluate`, and under "reported" those
        of its record.

    Raises: `UserError` if there is no such network, a file is damaged, or a count is another one.
    """
    named = {} if dataset is None else {"dataset": dataset}
    require_arguments(stage=stage, data_root=data_root, device=device, **named)
    processes.require_one()
    folder = path_of("folder", folder)
    names = "*" if stage is None else f"stage_{stage}"
    records = [path for path in folder.glob(f"{names}.json") if path.with_suffix(".pt").exists()]
    if not records:
        raise UserError(f"{folder} has no saved network{'' if stage is None else f' of stage {stage}'}: train it first")
    from models.der import DERNet
    from models.ede_net import EDENet
    from utils.method import stage_two
    from utils.running import artefact
    from utils.running import device as devices

    where = devices.choose(device)
    found, faults, rows = {}, [], []
    for path in sorted(records, key=lambda each: (len(each.stem), each.stem)):
        content = artefact.read_record(path)
        net = artefact.load_network(path.with_suffix(".pt"), EDENet, DERNet, device=where)
        counted = stage_two.evaluate(net, tested(net.meta, content["configuration"], data_root, dataset))
        reported = {name: content["results"][name] for name in counted}
        found[path.stem] = {**counted, "reported": reported}
        differing = [name for name in counted if counted[name] != reported[name]]
        faults += [f"{path.stem}: {name} {counted[name]}, reported {reported[name]}" for name in differing]
        seen = tables.percent(100 * sum(counted["correct"]) / sum(counted["total"]))
        each = ", ".join(map(tables.percent, metrics.percentages(counted["correct"], counted["total"])))
        rows.append([path.stem, seen, each, "NO" if differing else "yes"])
    table = tables.markdown_table(["network", "all seen", "task 1, 2, …", "as reported"], rows)
    show(tables.page(f"# {folder.name}, evaluated again: test accuracy (%)", table))
    if faults:
        raise UserError(
            f"{folder} does not give what training reported: {'; '.join(faults)}. The files or the data have changed "
            f"since; or, where one or two images differ, the device or the version of PyTorch"
        )
    return found


def tested(meta: dict[str, Any], configuration: dict[str, Any], data_root: str, dataset: str | None) -> list:
    """The tasks of a network; their test images stand in the training images' place, too, which nobody asks for.

    Args:
        meta: what the network's file says, see `EDENet`.
        configuration: of the run that trained it.
    """
    from datasets import catalog, splits
    from datasets.tasks import class_ranges, data_sets

    size = meta["image_size"]
    if "data_list" in configuration:
        parts = [catalog.load(name, data_root, "test", size) for name in configuration["data_list"]]
        return data_sets([(part, part) for part in parts])
    name = dataset or configuration["dataset"]
    if name.startswith("folder-"):
        raise UserError(f'the network was trained on a folder of images: give dataset="folder:PATH" ({name})')
    part = catalog.load(name, data_root, "test", size)
    bounds = [0, *(last for _, _, last in meta["tasks"])]
    moved = part.name.startswith("folder-") and configuration["dataset"].startswith("folder-")
    if (part.name != configuration["dataset"] and not moved) or len(part.class_names) < bounds[-1]:
        theirs = f"{bounds[-1]} classes of {configuration['dataset']}"
        raise UserError(
            f"the network was trained on {theirs}, found {len(part.class_names)} of {part.name}: give those"
        )
    order = splits.class_order(configuration["class_order"], len(part.class_names))
    return class_ranges(part, part, order, bounds)
