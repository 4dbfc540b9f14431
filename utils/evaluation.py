"""The saved networks of a split evaluated again, and held against what training reported of them."""

import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from datasets import tasks
from datasets.image_set import ImageSet
from datasets.stream import TaskStream
from utils import baselines, checkpoint, metrics, recipes, report, setup, stage_two, tables
from utils.errors import UserError
from utils.recipes import Settings
from utils.run import configuration_file


def saved_run(
    split_list: list[int] | None,
    split_type: str | None,
    rehearsal_size: int,
    baseline: str | None,
    mixmatch: bool,
    options: dict,
) -> tuple[Path, dict, Settings]:
    """The folder of stage two, or of a baseline, for these arguments, its configuration, and the settings it has.

    What the folder's name does not tell (the classes' order, a split that ends early, …) is taken from the
    configuration; what the caller names all the same has to agree.

    Raises: `UserError` that prints the command which trains it, or names what disagrees.
    """
    settings = recipes.settings(**options)
    if split_list is not None:  # whether the data have so many classes is not asked here: the run knew
        split_list = tasks.resolve_split(split_list, split_type, sys.maxsize)
    elif split_type is not None:
        tasks.parse_split_type(split_type)
    name = split_type or (tasks.split_type_of(split_list) if split_list else "s0-t10")
    split = setup.Split(split_list or [], name, [])
    call = {"split_list": split_list, "split_type": name, "rehearsal_size": rehearsal_size}
    if baseline is None:
        function, folder = "train_model", setup.ede_net_folder(settings, split, rehearsal_size)
    else:
        baselines.require_kind(baseline)
        setup.require_switches(mixmatch=mixmatch)
        memory = rehearsal_size if baseline == "replay" else 0
        function, folder = "baseline", setup.baseline_folder(settings, split, baseline, mixmatch, memory)
        call = {"kind": baseline, **call, "mixmatch": mixmatch}
    if not configuration_file(folder).is_file():
        command = recipes.command_line(
            "train_EDE_Net.py", function, {k: v for k, v in call.items() if v is not None}, settings
        )
        raise UserError(f"{folder} is not there or empty: expected a trained network, which this makes: {command}")
    configuration = checkpoint.read_json(configuration_file(folder))
    # Which data there are is told in another way there, and by the folder's name already.
    apart = {"recipe", *recipes.DATA}
    asked = {key: getattr(settings, key) for key in options if key in configuration and key not in apart}
    if split_list is not None:
        asked["split_list"] = split_list
    for key, value in asked.items():
        if json.loads(json.dumps(value)) != configuration[key]:
            raise UserError(
                f"{folder} was made with {key}={configuration[key]!r}, not {value!r}: leave {key} out, or give the "
                f"checkpoint_root of the run that is meant"
            )
    made_with = {key: configuration[key] for key in configuration.keys() & vars(settings).keys() - recipes.DATA}
    return folder, configuration, replace(settings, **made_with)


def require_data(folder: Path, configuration: dict, settings: Settings, train: ImageSet) -> None:
    """Raises `UserError` if the run was made with other images than `train`, of which a folder's name does not tell."""
    name = "dataset_fingerprint"
    found = setup.described("dataset", settings.dataset, train).get(name)
    if found != configuration.get(name):
        raise UserError(
            f"{folder} was made with other images ({name} {configuration.get(name)}) than {settings.dataset} holds now "
            f"({found}): give the folder that it was made with"
        )


def stages(folder: Path, stage: int | None, stream: TaskStream, device: torch.device) -> list[dict]:
    """Counts again what the saved networks of all stages, or of one (from 1), classify correctly.

    Returns: for each stage "stage", "correct" and "total" (images of each task so far), "accuracy" (%, each task),
        "seen_accuracy" (%, all of them), and "reported": "correct" and "total" as in its file.

    Raises: `UserError` if there is no such stage, or a file is damaged or of another split.
    """
    there = [task for task in stream.tasks if stage_two.stage_file(folder, task.index).is_file()]
    numbers = [task.index + 1 for task in there]
    if not there or (stage is not None and (isinstance(stage, bool) or stage not in numbers)):
        found = f"it has stage {', '.join(map(str, numbers))}" if there else "it has none"
        raise UserError(f"{folder} has no saved stage{'' if stage is None else f' {stage!r}'}: {found}")
    found = []
    for task in there:
        if stage not in (None, task.index + 1):
            continue
        path = stage_two.stage_file(folder, task.index)
        net = checkpoint.load_ede_net(path, device)
        if net.meta.get("class_order") != stream.order[: task.last] or net.num_classes != task.last:
            raise UserError(f"{path} is of other classes than its folder's configuration says: train it anew")
        correct, total = stage_two.accuracy_row(net, stream, task)
        found.append(
            {
                "stage": task.index + 1,
                "correct": correct,
                "total": total,
                "accuracy": [metrics.percentage(c, n) for c, n in zip(correct, total, strict=True)],
                "seen_accuracy": metrics.percentage(sum(correct), sum(total)),
                "reported": {name: net.meta["results"][name] for name in ("correct", "total")},
            }
        )
    return found


def stages_table(found: Sequence[dict], configuration: dict) -> str:
    """The accuracies of `stages`, and the protocol's measures where all stages are there."""
    count = max(len(each["correct"]) for each in found)
    rows = [
        [
            each["stage"],
            configuration["split_list"][each["stage"]],
            tables.percent(each["seen_accuracy"]),
            *[tables.percent(value) for value in each["accuracy"]],
            *[""] * (count - len(each["accuracy"])),
            "NO" if differences({"": each}) else "yes",
        ]
        for each in found
    ]
    header = ["after task", "classes", "all seen", *[f"task {i + 1}" for i in range(count)], "as reported"]
    title = report.heading(f"{report.method_and_memory(configuration)}, evaluated again", configuration)
    lines = [title, "", tables.markdown_table(header, rows), ""]
    if len(found) == len(configuration["split_list"]) - 1:
        values = measures(found)
        rows = [[name.replace("_", " "), tables.percent(value)] for name, value in values.items()]
        lines += [tables.markdown_table(["measure (%, points)", "value"], rows), ""]
    return "\n".join(lines)


def measures(found: Sequence[dict]) -> dict[str, float | None]:
    """The protocol's measures of all stages, by the names of results.json."""
    matrix, sizes = [each["accuracy"] for each in found], found[-1]["total"]
    return {
        "average_incremental_accuracy": metrics.average_incremental_accuracy(matrix, sizes),
        "last_accuracy": metrics.last_accuracy(matrix, sizes),
        "forgetting": metrics.forgetting(matrix),
        "backward_transfer": metrics.backward_transfer(matrix),
    }


def require_reported(folder: Path, found: Sequence[dict]) -> None:
    """Raises `UserError` where a stage's counts are not those in its file, or its accuracies not those in results.json.

    An unfinished run has no results.json yet.
    """
    faults = differences({f"stage {each['stage']}": each for each in found})
    path = folder / "results.json"
    if not faults and path.is_file():
        matrix = checkpoint.read_json(path).get("accuracy_matrix", [])
        for each in found:
            row = matrix[each["stage"] - 1] if each["stage"] <= len(matrix) else None
            if row != each["accuracy"]:
                faults.append(f"stage {each['stage']}: accuracy {each['accuracy']}, in {path} {row}")
    refuse(folder, faults)


def differences(found: dict[str, dict]) -> list[str]:
    """What differs from what was reported: {what: {name: figure, "reported": {name: figure}}} -> one text each."""
    return [
        f"{what}: {name} {each[name]}, reported {figure}"
        for what, each in found.items()
        for name, figure in each["reported"].items()
        if each[name] != figure
    ]


def refuse(folder: Path, faults: Sequence[str]) -> None:
    """Raises `UserError` if there is any fault."""
    if faults:
        raise UserError(
            f"{folder} does not give what training reported: {'; '.join(faults)}. The files or the data have changed "
            f"since; or, where one or two images differ, the device or the version of PyTorch"
        )
