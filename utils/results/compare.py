"""Several finished runs in one figure and one table; runs that differ by the seed only are one line."""

import json
import os
from collections.abc import Sequence
from pathlib import Path

from utils.results import plotting, report, tables
from utils.running import storage
from utils.running.console import show
from utils.running.errors import UserError
from utils.running.options import path_of

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

    Raises: `UserError` for a folder without finished results, `OSError` if nothing can be written.
    """
    runs = read([path_of("a folder", folder) for folder in folders])
    if output is None:
        output = Path(os.path.commonpath([Path(folder).resolve().parent for folder in runs])) / "comparison"
    output = path_of("output", output)
    output.mkdir(parents=True, exist_ok=True)
    found = grouped(runs)
    curves = {each["label"]: each for each in found}
    plotting.seen_accuracy(output / "comparison", curves, note(found), pdf=True)
    folders = "\n".join(f"- {each['label']}: {', '.join(each['folders'])}" for each in found)
    return write(output / "comparison", {"groups": found}, "Runs compared", found, folders)


def read(folders: Sequence[Path]) -> dict[str, dict]:
    """The results of each folder. Raises `UserError` that names the folder that has none of stage two."""
    if len({folder.resolve() for folder in folders}) < max(2, len(folders)):
        raise UserError("compare() needs two or more results folders of stage two or of baselines, each once")
    runs = {}
    for folder in folders:
        path = folder / "results.json"
        if not path.is_file():
            raise UserError(f"{path} is not there: give the folder of a finished run of stage two or of a baseline")
        results = storage.read_json(path)
        try:
            note(grouped({path.name: results}))
            lengths = {len(results[name]) for name in ("seen_accuracy", "test_images", "parameters")}
            whole = lengths == {len(results["configuration"]["split_list"]) - 1} and "split_type" in _options(results)
        except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError):
            whole = False
        if not whole:
            raise UserError(
                f"{path} does not hold the results of stage two on a split: give the folder of another run, or run the "
                "command that made it again"
            )
        runs[str(folder)] = results
    return runs


def grouped(runs: dict[str, dict]) -> list[dict]:
    """Groups of runs (results by folder) whose options differ by the seed only; each alone where a seed comes twice.

    The second is so because such runs differ in something that no option holds: the data, or the program.

    Returns: for each group "label", "folders", and what `report.group` says of it.
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
        {"label": label, "folders": members, **report.group([runs[folder] for folder in members])}
        for label, members in zip(labels, together, strict=True)
    ]


def _options(results: dict) -> dict:
    """All options that decided a run: its own and stage one's, of which it tells both where they differ."""
    own, first = results["configuration"], results["stage_one"] or {}
    options = {**first, **own}
    for name in first.keys() & own.keys() - NO_PART:
        if first[name] != own[name]:
            options[name] = f"{own[name]} ({first[name]} in stage one)"
    return options


def _labels(runs: dict[str, dict]) -> list[str]:
    """In what the runs (options by folder) differ, in words; the folder too where that does not tell them apart.

    Baselines and EDE-Net have not all options in common: one differs where two of the runs that have it differ.
    """
    names = dict.fromkeys(name for each in runs.values() for name in each if name not in ("seed", "baseline"))
    values = {name: {json.dumps(each[name]) for each in runs.values() if name in each} for name in names}
    differing = [name for name in names if len(values[name]) > 1]
    if "split_type" in differing:
        differing.remove("split_list")
    several = len({report.method(each) for each in runs.values()}) > 1
    labels = []
    for each in runs.values():
        words = [f"{name}={each[name]}" for name in differing if name in each]
        words[KEYS_IN_LABEL:] = ["…"] if len(words) > KEYS_IN_LABEL else []
        labels.append(", ".join([report.method(each)] * several + words) or report.method(each))
    return [
        f"{label} ({folder})" if labels.count(label) > 1 else label for label, folder in zip(labels, runs, strict=True)
    ]


def note(found: Sequence[dict]) -> str:
    """What the numbers of groups are and rest on."""
    return (
        "Test accuracy (%): average incremental, and on all classes after the last task; then also among the task's "
        "own classes, as if told the task, and the share of images taken for another task's class. Forgetting and "
        "backward transfer in points. ±: sample standard deviation over seeds. "
        + report.notes(each["configuration"] for each in found)
    )


def write(path: Path, content: dict, title: str, found: Sequence[dict], end: str) -> dict:
    """Writes the content as JSON and a table of its groups as Markdown, prints the table, and returns the content.

    Args:
        found: groups, each with its "label".
        end: what follows on the table.
    """
    rows = [[each["label"], len(each["seeds"]), *tables.cells(each, *report.MEASURES)] for each in found]
    table = tables.markdown_table(["run", "seeds", *report.MEASURES.values()], rows)
    page = tables.page(f"# {title}", note(found), table, end)
    storage.write_bytes(path.with_suffix(".json"), storage.as_json(content))
    storage.write_bytes(path.with_suffix(".md"), page.encode())
    show(f"{page}\nwritten to {path.parent}")
    return content
