"""Several finished runs in one figure and one table."""

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import fmean, stdev

from utils import accuracy_curves, checkpoint, distributed, published, report, setup, tables
from utils.accuracy_curves import Curve
from utils.baselines import KINDS
from utils.errors import UserError

MEASURES = ("average_incremental_accuracy", "last_accuracy", "forgetting", "backward_transfer")
KEYS_IN_LABEL = 4  # of those in which runs differ


def compare(*folders, output=None):
    """Draws the runs of several folders of stage two or of baselines into one figure and one table; mean ± deviation.

    Runs whose options, stage one's among them, differ by the seed only are one line: the mean over the seeds, and the
    sample standard deviation.

    Args:
        *folders: results folders of `train_EDE_Net.train_model` and `train_EDE_Net.baseline`, two or more.
        output: the folder to write to; `comparison` beside the folders, in what they have in common, if left out.

    Returns: a dict with "groups", also written as `comparison.json` beside `comparison.md`, `.png` and `.pdf`.

    Raises: `utils.errors.UserError` for a folder without finished results, and for anything else a user can mend.
    """
    distributed.require_one_process()
    if output is not None and not isinstance(output, str | os.PathLike):
        raise UserError(f"output={output!r} is not accepted: expected the path of a folder")
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
            raise UserError(f"{folder} {state}; expected a results folder of stage two or of a baseline")
        results = checkpoint.read_json(path)
        if not isinstance(results, dict) or not {"seen_accuracy", "configuration"} <= results.keys():
            raise UserError(f"{path} has no accuracies after each task: expected the results of stage two on a split")
        runs[str(folder)] = results
    return runs


def options_of(results: dict) -> dict:
    """All options that decided a run: its own, and stage one's under their names or as "stage one's <name>"."""
    options = dict(results["configuration"])
    for name, value in (results.get("stage_one") or {}).items():
        if name not in options:
            options[name] = value
        elif name not in {*setup.SHARED, "split_type", "recipe", "prune"}:  # agreed, or without a say in a sub-model
            options[f"stage one's {name}"] = value
    return options


def grouped(runs: dict[str, dict]) -> list[dict]:
    """Runs whose options differ by the seed only, together; each run alone where a seed comes twice.

    The second is so because such runs differ in something that no option holds: the data, or the program.

    Returns: for each group "label", "method" ("EDE-Net" or a baseline's kind), "folders", "seeds", "selection",
        "classes" (seen after each task), "seen_accuracy", "parameters" and `MEASURES`, of which each is a dict "mean"
        and "deviation" (None for one run).
    """
    alike: dict[str, list[str]] = {}
    for folder, results in runs.items():
        shared = {name: value for name, value in options_of(results).items() if name != "seed"}
        alike.setdefault(json.dumps(shared, sort_keys=True), []).append(folder)
    together: list[list[str]] = []
    for members in alike.values():
        seeds = {runs[folder]["configuration"]["seed"] for folder in members}
        together += [members] if len(seeds) == len(members) else [[folder] for folder in members]
    labels = _labels([options_of(runs[members[0]]) for members in together], [each[0] for each in together])
    return [
        {"folders": members, **group(label, [runs[folder] for folder in members])}
        for label, members in zip(labels, together, strict=True)
    ]


def _labels(options: Sequence[dict], folders: Sequence[str]) -> list[str]:
    """In what the runs differ, in words; the folder where that tells nothing or not enough.

    Baselines and EDE-Net have not all options in common: one differs where two of the runs that have it differ.
    """
    names = dict.fromkeys(name for each in options for name in each if name not in ("seed", "baseline"))
    values = {name: [json.dumps(each[name]) if name in each else None for each in options] for name in names}
    differing = [name for name in values if len({*values[name]} - {None}) > 1]
    told_twice = {
        f"stage one's {name}"
        for name in names
        if all(each.get(f"stage one's {name}", each[name]) == each[name] for each in options if name in each)
    }
    if "split_type" in differing:
        told_twice.add("split_list")
    differing = [name for name in differing if name not in told_twice]
    methods = [report.method(each) for each in options]
    labels = []
    for each, method, folder in zip(options, methods, folders, strict=True):
        words = [f"{name}={each[name]}" for name in differing if name in each]
        told = [method] * (len(set(methods)) > 1) + words[:KEYS_IN_LABEL] + ["…"] * (len(words) > KEYS_IN_LABEL)
        labels.append(", ".join(told) or folder)
    return [
        f"{label} ({folder})" if labels.count(label) > 1 else label
        for label, folder in zip(labels, folders, strict=True)
    ]


def group(label: str, results: Sequence[dict]) -> dict:
    """Mean and deviation over runs that differ by the seed, see `grouped`."""
    return {
        "label": label,
        "method": results[0]["configuration"].get("baseline", "EDE-Net"),
        "seeds": [each["configuration"]["seed"] for each in results],
        "selection": results[0]["configuration"].get("selection"),
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
            *[plus_minus(group[name], tables.percent) for name in MEASURES],
            plus_minus(group["parameters"], tables.parameters),
        ]
        for group in groups
    ]
    header = ["run", "seeds", "average", "last", "forgetting", "backward transfer", "parameters"]
    where = [f"- {group['label']}: {', '.join(group['folders'])}" for group in groups]
    note = (
        "Test accuracy (%): average incremental and last accuracy, forgetting and backward transfer in points. "
        f"{'± is the sample standard deviation over seeds. ' * _spreads(groups)}{protocol_notes(groups)}"
    )
    return "\n".join(["# Runs compared", "", note, "", tables.markdown_table(header, rows), "", *where, ""])


def protocol_notes(groups: Sequence[dict]) -> str:
    """What the baselines among the groups are, and how epochs were chosen: each once, of whom if not of all."""
    methods = dict.fromkeys(group["method"] for group in groups)
    notes = [f"{kind}: {KINDS[kind]}." for kind in methods if kind in KINDS]
    chosen: dict[str, dict[str, None]] = {}
    for group in groups:
        chosen.setdefault(report.selection_note(group["selection"]), {})[group["method"]] = None
    if len(chosen) == 1:
        return " ".join([*notes, *chosen])
    return " ".join(notes + [f"{', '.join(of)}: {note}" for note, of in chosen.items()])


def _spreads(groups: Sequence[dict]) -> bool:
    """Whether a group has a deviation."""
    return any(len(group["seeds"]) > 1 for group in groups)


def plus_minus(spread: dict, written: Callable[[float | None], str]) -> str:
    """A mean of `group` with its deviation, as in a table's cell."""
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
        "Bands: sample standard deviation over seeds." * _spreads(groups),
        protocol_notes(groups),
        f"Unlabelled images too with mixmatch=True. {published.PROTOCOL}" if same else "",
    ]
    caption = " ".join(note for note in notes if note)
    accuracy_curves.draw(path, curves, same, "Accuracy on all classes seen, after each task", caption, pdf=True)
