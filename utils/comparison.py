"""Several finished runs in one figure and one table."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean, stdev

from utils import accuracy_curves, checkpoint, published, report, tables
from utils.accuracy_curves import Curve
from utils.errors import UserError

MEASURES = ("average_incremental_accuracy", "last_accuracy", "forgetting", "backward_transfer")
KEYS_IN_LABEL = 4  # of those in which runs differ


def compare(*folders, output=None):
    """Draws the runs of several stage-two folders into one figure and one table; mean ± deviation over seeds.

    Runs whose configurations differ by the seed only are one line: the mean, and the sample standard deviation.

    Args:
        *folders: results folders of `train_EDE_Net.train_model`, two or more.
        output: the folder to write to; `comparison` beside the folders, in what they have in common, if left out.

    Returns: a dict with "groups", also written as `comparison.json` beside `comparison.md`, `.png` and `.pdf`.

    Raises: `utils.errors.UserError` for a folder without finished results, and for anything else a user can mend.
    """
    runs = read(folders)
    if output is None:
        output = Path(os.path.commonpath([Path(folder).resolve().parent for folder in folders])) / "comparison"
    output = Path(output)
    groups = grouped(runs)
    table = comparison_table(groups)
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{output} cannot be made ({error.strerror}): give another output") from error
    checkpoint.write_json(output / "comparison.json", {"groups": groups})
    checkpoint.write_text(output / "comparison.md", table)
    draw(output / "comparison", groups, list(runs.values()))
    print(f"{table}\nwritten to {output}")
    return {"groups": groups}


def read(folders: Sequence[str]) -> dict[str, dict]:
    """The results of each folder. Raises `UserError` that names the folder that has none of stage two."""
    if len(folders) < 2 or not all(isinstance(folder, str | os.PathLike) for folder in folders):
        raise UserError(f"compare() was given {folders!r}, expected two or more results folders of stage two")
    if len({Path(folder).resolve() for folder in folders}) < len(folders):
        raise UserError("compare() was given a folder twice: give each once")
    runs = {}
    for folder in folders:
        path = Path(folder) / "results.json"
        if not path.is_file():
            state = "holds no results.json: its run is not finished" if path.parent.is_dir() else "is not there"
            raise UserError(f"{folder} {state}; expected a results folder of stage two, as train_model writes it")
        results = checkpoint.read_json(path)
        if not isinstance(results, dict) or "seen_accuracy" not in results:
            raise UserError(f"{path} has no accuracies after each task: expected the results of stage two on a split")
        runs[str(folder)] = results
    return runs


def grouped(runs: dict[str, dict]) -> list[dict]:
    """Runs whose configurations differ by the seed only, together; each run alone where a seed comes twice.

    The second is so because such runs differ in something that stage two's configuration does not hold: stage one.

    Returns: for each group "label", "folders", "seeds", "classes" (seen after each task), "seen_accuracy", "parameters"
        and `MEASURES`, of which each is a dict "mean" and "deviation" (None for one run).
    """
    alike: dict[str, list[str]] = {}
    for folder, results in runs.items():
        shared = {name: value for name, value in results["configuration"].items() if name != "seed"}
        alike.setdefault(json.dumps(shared, sort_keys=True), []).append(folder)
    together: list[list[str]] = []
    for members in alike.values():
        seeds = {runs[folder]["configuration"]["seed"] for folder in members}
        together += [members] if len(seeds) == len(members) else [[folder] for folder in members]
    labels = _labels([runs[members[0]]["configuration"] for members in together], [each[0] for each in together])
    return [
        _group(label, members, [runs[folder] for folder in members])
        for label, members in zip(labels, together, strict=True)
    ]


def _labels(configurations: Sequence[dict], folders: Sequence[str]) -> list[str]:
    """What of the configurations differs, in words; the folder where that tells nothing or not enough."""
    names = dict.fromkeys(name for configuration in configurations for name in configuration)
    values = {name: [json.dumps(each.get(name)) for each in configurations] for name in names if name != "seed"}
    differing = [name for name in values if len(set(values[name])) > 1]
    if "split_type" in differing and "split_list" in differing:
        differing.remove("split_list")
    labels = []
    for configuration, folder in zip(configurations, folders, strict=True):
        words = [f"{name}={configuration.get(name)}" for name in differing[:KEYS_IN_LABEL]]
        label = ", ".join(words + ["…"] * (len(differing) > KEYS_IN_LABEL))
        labels.append(label or folder)
    return [
        f"{label} ({folder})" if labels.count(label) > 1 else label
        for label, folder in zip(labels, folders, strict=True)
    ]


def _group(label: str, folders: Sequence[str], results: Sequence[dict]) -> dict:
    return {
        "label": label,
        "folders": list(folders),
        "seeds": [each["configuration"]["seed"] for each in results],
        "selection": results[0]["configuration"]["selection"],
        "classes": results[0]["configuration"]["split_list"][1:],
        "seen_accuracy": [_spread(row) for row in zip(*[each["seen_accuracy"] for each in results], strict=True)],
        "parameters": _spread([each["parameters"][-1] for each in results]),
        **{name: _spread([each[name] for each in results]) for name in MEASURES},
    }


def _spread(values: Sequence[float | None]) -> dict[str, float | None]:
    """Mean and sample standard deviation; nothing of a measure that one task alone does not have."""
    known = [value for value in values if value is not None]
    return {"mean": fmean(known) if known else None, "deviation": stdev(known) if len(known) > 1 else None}


def comparison_table(groups: Sequence[dict]) -> str:
    """comparison.md."""
    rows = [
        [
            group["label"],
            len(group["folders"]),
            *[_plus_minus(group[name], tables.percent) for name in MEASURES],
            _plus_minus(group["parameters"], tables.parameters),
        ]
        for group in groups
    ]
    header = ["run", "seeds", "average", "last", "forgetting", "backward transfer", "parameters"]
    where = [f"- {group['label']}: {', '.join(group['folders'])}" for group in groups]
    note = (
        "Test accuracy (%): average incremental and last accuracy, forgetting and backward transfer in points; "
        "± is the sample standard deviation over seeds."
    )
    notes = [report.selection_note(selection) for selection in sorted({group["selection"] for group in groups})]
    return "\n".join(
        ["# Runs compared", "", " ".join([note, *notes]), "", tables.markdown_table(header, rows), "", *where, ""]
    )


def _plus_minus(spread: dict, written) -> str:
    deviation = spread["deviation"]
    return written(spread["mean"]) + ("" if deviation is None else f" ± {written(deviation)}")


def draw(path: Path, groups: Sequence[dict], runs: Sequence[dict]) -> None:
    """The figure: accuracy on all classes seen; published averages where all runs are of one of the four splits."""
    curves = [
        Curve(
            group["label"],
            group["classes"],
            [each["mean"] for each in group["seen_accuracy"]],
            group["average_incremental_accuracy"]["mean"],
            [each["deviation"] for each in group["seen_accuracy"]] if len(group["folders"]) > 1 else None,
        )
        for group in groups
    ]
    marks = [published.averages(results["configuration"], results["test_images"]) for results in runs]
    same = marks[0] if all(each == marks[0] for each in marks) else {}
    notes = [
        "Bands: sample standard deviation over seeds." if any(len(group["seeds"]) > 1 for group in groups) else "",
        *[report.selection_note(selection) for selection in sorted({group["selection"] for group in groups})],
        f"Unlabelled images too with mixmatch=True. {published.PROTOCOL}" if same else "",
    ]
    caption = " ".join(note for note in notes if note)
    accuracy_curves.draw(path, curves, same, "Accuracy on all classes seen, after each task", caption, pdf=True)
