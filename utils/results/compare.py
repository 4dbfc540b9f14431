"""Several finished runs in one figure and one table; runs that differ by the seed only are one line."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean, stdev

from utils.results import figures, published, report, tables
from utils.results.curves import Curve
from utils.running import checkpoint
from utils.running.console import show
from utils.running.errors import UserError
from utils.running.options import BASELINES, path_of

MEASURES = {
    "average_incremental_accuracy": "average",
    "last_accuracy": "last",
    "last_within_task_accuracy": "told the task",
    "last_task_confusion": "taken for another's",
    "forgetting": "forgetting",
    "backward_transfer": "backward transfer",
    "parameters": "parameters",
}
NUMBERS = (
    "Test accuracy (%). After the last task also among the task's own classes, as if told the task, and the share of "
    "images taken for another task's class. Forgetting and backward transfer in points. ± or a band: sample standard "
    "deviation over seeds."
)
NO_PART = {"seed", "split_type", "split_list", "prune", "recipe"}  # of stage one's options: agreed, or in no sub-model
KEYS_IN_LABEL = 4  # of those in which runs differ


def compare(*folders, output=None):
    """Draws the runs of several folders of stage two or of baselines into one figure and one table.

    Runs whose options, stage one's among them, differ by the seed only are one line: the mean over the seeds, and the
    sample standard deviation.

    Args:
        *folders: results folders of `train_EDE_Net.train_model` and `train_EDE_Net.baseline`, two or more.
        output: the folder to write to; `comparison` beside the folders, in what they have in common, if left out.

    Returns: a dict with "groups", see `grouped`; also written as `comparison.json` beside `.md`, `.png` and `.pdf`.

    Raises: `UserError` for a folder without finished results, and for anything else a user can mend.
    """
    if not isinstance(output, str | os.PathLike | None):
        raise UserError(f"output={output!r} is not accepted: expected the path of a folder")
    folders = [path_of("folder", folder) for folder in folders]
    runs = read(folders)
    if output is None:
        output = Path(os.path.commonpath([Path(folder).resolve().parent for folder in folders])) / "comparison"
    output = Path(output)
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{output} cannot be made ({error.strerror}): give another output") from error
    groups = grouped(runs)
    draw(output / "comparison", groups, list(runs.values()))
    return write(output / "comparison", {"groups": groups}, table(groups))


def write(path: Path, content: dict, table: str) -> dict:
    """Writes the content as JSON and the table as Markdown, prints the table, and returns the content."""
    checkpoint.write_json(path.with_suffix(".json"), content)
    checkpoint.write_bytes(path.with_suffix(".md"), table.encode())
    show(f"{table}\nwritten to {path.parent}")
    return content


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
        try:
            group([results])
            lengths = {len(results[name]) for name in ("seen_accuracy", "test_images", "parameters")}
            whole = lengths == {len(results["configuration"]["split_list"]) - 1} and "split_type" in _options(results)
        except (LookupError, TypeError, ValueError, AttributeError):
            whole = False
        if not whole:
            raise UserError(
                f"{path} does not hold the results of stage two on a split: give the folder of another run, or run the "
                "command that made it again"
            )
        runs[str(folder)] = results
    return runs


# --- runs in groups


def grouped(runs: dict[str, dict]) -> list[dict]:
    """Groups of runs whose options differ by the seed only; each run alone where a seed comes twice.

    The second is so because such runs differ in something that no option holds: the data, or the program.

    Args:
        runs: results by folder.

    Returns: for each group "label", "folders", and what `group` says of it.
    """
    alike: dict[str, list[str]] = {}
    for folder, results in runs.items():
        shared = {name: value for name, value in _options(results).items() if name != "seed"}
        alike.setdefault(json.dumps(shared, sort_keys=True), []).append(folder)
    together: list[list[str]] = []
    for members in alike.values():
        seeds = {runs[folder]["configuration"]["seed"] for folder in members}
        together += [members] if len(seeds) == len(members) else [[folder] for folder in members]
    labels = _labels({members[0]: _options(runs[members[0]]) for members in together})
    return [
        {"label": label, "folders": members, **group([runs[folder] for folder in members])}
        for label, members in zip(labels, together, strict=True)
    ]


def _options(results: dict) -> dict:
    """All options that decided a run: its own and stage one's, of which it tells both where they differ."""
    own, first = results["configuration"], results["stage_one"] or {}
    options = {**own, **{name: value for name, value in first.items() if name not in own}}
    for name in first.keys() & own.keys() - NO_PART:
        if first[name] != own[name]:
            options[name] = f"{own[name]} ({first[name]} in stage one)"
    return options


def _labels(runs: dict[str, dict]) -> list[str]:
    """In what the runs differ, in words; the folder where that tells nothing or not enough.

    Baselines and EDE-Net have not all options in common: one differs where two of the runs that have it differ.

    Args:
        runs: options by folder.
    """
    names = dict.fromkeys(name for each in runs.values() for name in each if name not in ("seed", "baseline"))
    values = {name: {json.dumps(each[name]) for each in runs.values() if name in each} for name in names}
    differing = [name for name in names if len(values[name]) > 1]
    if "split_type" in differing:
        differing.remove("split_list")
    methods = {report.method(each) for each in runs.values()}
    labels = []
    for folder, each in runs.items():
        words = [f"{name}={each[name]}" for name in differing if name in each]
        words[KEYS_IN_LABEL:] = ["…"] if len(words) > KEYS_IN_LABEL else []
        if len(methods) > 1:
            words.insert(0, report.method(each))
        labels.append(", ".join(words) or folder)
    return [
        f"{label} ({folder})" if labels.count(label) > 1 else label for label, folder in zip(labels, runs, strict=True)
    ]


def group(results: Sequence[dict]) -> dict:
    """Mean and deviation over runs that differ by the seed.

    Returns: "method" ("EDE-Net" or a baseline's kind), "seeds", "selection", "classes" (seen after each task), and as
        dicts of "mean" and "deviation" (None for one run) "seen_accuracy" after each task, and `MEASURES` at the end.
    """
    configuration = results[0]["configuration"]
    ends = [{**each, "parameters": each["parameters"][-1]} for each in results]
    return {
        "method": configuration.get("baseline", "EDE-Net"),
        "seeds": [each["configuration"]["seed"] for each in results],
        "selection": configuration.get("selection"),
        "classes": configuration["split_list"][1:],
        "seen_accuracy": [_spread(row) for row in zip(*[each["seen_accuracy"] for each in results], strict=True)],
        **{name: _spread([each[name] for each in ends]) for name in MEASURES},
    }


def _spread(values: Sequence[float | None]) -> dict[str, float | None]:
    """Mean and sample standard deviation; nothing of a measure that one task alone does not have."""
    known = [value for value in values if value is not None]
    return {"mean": fmean(known) if known else None, "deviation": stdev(known) if len(known) > 1 else None}


# --- the table and the figure


def table(groups: Sequence[dict]) -> str:
    """Content of comparison.md."""
    rows = [[each["label"], len(each["seeds"]), *tables.cells(each, *MEASURES)] for each in groups]
    return tables.page(
        "# Runs compared",
        f"{NUMBERS} {_notes(groups)}",
        tables.markdown_table(["run", "seeds", *MEASURES.values()], rows),
        "\n".join(f"- {each['label']}: {', '.join(each['folders'])}" for each in groups),
    )


def draw(path: Path, groups: Sequence[dict], runs: Sequence[dict]) -> None:
    """Draws accuracy on all classes seen, and published averages where all runs are of one of the four splits."""
    found = {}
    for each in groups:
        means, deviations = ([row[part] for row in each["seen_accuracy"]] for part in ("mean", "deviation"))
        average = each["average_incremental_accuracy"]["mean"]
        found[each["label"]] = Curve(each["classes"], means, deviations if len(each["seeds"]) > 1 else None, average)
    marks = [published.averages(each["configuration"], each["test_images"]) for each in runs]
    same = marks[0] if all(each == marks[0] for each in marks) else {}
    figures.seen_accuracy(path, found, same, f"{NUMBERS} {_notes(groups)}", pdf=True)


def _notes(groups: Sequence[dict]) -> str:
    """What the baselines among the groups are, and how epochs were chosen: each once, of whom if not of all."""

    methods = dict.fromkeys(each["method"] for each in groups)
    notes = [f"{kind}: {BASELINES[kind]}." for kind in methods if kind in BASELINES]
    chosen: dict[str, dict[str, None]] = {}
    for each in groups:
        chosen.setdefault(report.selection_note(each["selection"]), {})[each["method"]] = None
    return " ".join(notes + [note if len(chosen) == 1 else f"{', '.join(of)}: {note}" for note, of in chosen.items()])
