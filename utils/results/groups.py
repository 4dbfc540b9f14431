"""Runs that differ by the seed only, as one: mean and deviation of what their results.json say."""

from collections.abc import Sequence
from pathlib import Path
from statistics import fmean, stdev

from utils.results import report, tables
from utils.results.report import MEASURES
from utils.running import storage
from utils.running.console import show

NUMBERS = (
    "Test accuracy (%): average incremental, and on all classes after the last task; then also among the task's own "
    "classes, as if told the task, and the share of images taken for another task's class. Forgetting and backward "
    "transfer in points. ±: sample standard deviation over seeds."
)


def group(results: Sequence[dict]) -> dict:
    """Mean and deviation over runs that differ by the seed.

    Returns: "configuration", what their options have in common; "seeds"; "test_images"; and as dicts of "mean" and
        "deviation" (None for one run) "seen_accuracy" after each task, and `report.MEASURES` at the end.
    """
    ends = [{**each, "parameters": each["parameters"][-1]} for each in results]
    return {
        "configuration": {name: value for name, value in results[0]["configuration"].items() if name != "seed"},
        "seeds": [each["configuration"]["seed"] for each in results],
        "test_images": results[0]["test_images"],
        "seen_accuracy": [_spread(row) for row in zip(*[each["seen_accuracy"] for each in results], strict=True)],
        **{name: _spread([each[name] for each in ends]) for name in MEASURES},
    }


def _spread(values: Sequence[float | None]) -> dict[str, float | None]:
    """Mean and sample standard deviation; nothing of a measure that one task alone does not have."""
    if None in values:
        return {"mean": None, "deviation": None}
    return {"mean": fmean(values), "deviation": stdev(values) if len(values) > 1 else None}


def note(found: Sequence[dict]) -> str:
    """What the numbers of groups are and rest on."""
    return f"{NUMBERS} {report.notes(each['configuration'] for each in found)}"


def write(path: Path, content: dict, title: str, found: Sequence[dict], end: str) -> dict:
    """Writes the content as JSON and a table of its groups as Markdown, prints the table, and returns the content.

    Args:
        found: groups, each with its "label".
        end: what follows on the table.
    """
    rows = [[each["label"], len(each["seeds"]), *tables.cells(each, *MEASURES)] for each in found]
    table = tables.markdown_table(["run", "seeds", *MEASURES.values()], rows)
    page = tables.page(f"# {title}", note(found), table, end)
    storage.write_bytes(path.with_suffix(".json"), storage.as_json(content))
    storage.write_bytes(path.with_suffix(".md"), page.encode())
    show(f"{page}\nwritten to {path.parent}")
    return content
