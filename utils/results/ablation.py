"""EDE-Net with and without each of its parts, over several seeds: one table and one figure."""

from collections.abc import Sequence
from itertools import product
from pathlib import Path

from datasets import catalog, splits
from utils.results import compare, plotting, report, tables
from utils.running import checkpoint
from utils.running.console import show
from utils.running.options import Settings

BARS = {
    "average_incremental_accuracy": "average incremental accuracy (%)",
    "last_accuracy": "last accuracy (%)",
}
STAGE_TWO = "stage two"  # the part without which nothing is fine-tuned


def folder(settings: Settings, split_list: list[int] | None, split_type: str | None, rehearsal_size: int) -> Path:
    """Where an ablation writes its table and figure, and below it all its runs."""
    bounds = None if split_list is None else splits.resolve_split(split_list, None, 10**6)
    split = split_type or (splits.split_type_of(bounds) if bounds else "s0-t10")
    name = f"ablation_{catalog.short_name(settings.dataset)}_{split}_rehearsal_{rehearsal_size}"
    return Path(settings.checkpoint_root) / name


def cell_name(mixmatch: bool, compression: bool) -> str:
    """Name of the folder of the runs with these parts, with stage two and without."""
    return f"{'mixmatch' if mixmatch else 'supervised'}_{'compressed' if compression else 'uncompressed'}"


def collect(where: Path, seeds: Sequence[int]) -> dict | None:
    """Writes table and figure once all runs are finished; None while other processes are still at work."""
    cells, configuration = [], {}
    for mixmatch, compression, stage_two in product((True, False), repeat=3):
        kind = "EDE_Net_*" if stage_two else "baseline_concatenate_*"
        found = [list(where.glob(f"seed_{s}/{cell_name(mixmatch, compression)}/{kind}/results.json")) for s in seeds]
        if not all(found):
            return show("the other processes of this job are still at work; the last one writes the table")
        results = [checkpoint.read_json(paths[0]) for paths in found]
        configuration = configuration or results[0]["configuration"]
        cells.append(({"MixMatch": mixmatch, "compression": compression, STAGE_TWO: stage_two}, results))
    return write(where, configuration, cells)


def write(folder: Path, configuration: dict, cells: Sequence[tuple[dict[str, bool], Sequence[dict]]]) -> dict:
    """Writes `ablation.json`, `.md`, `.png` and `.pdf` into an existing folder, and prints the table.

    Args:
        configuration: of a run with a memory; what is told of all runs is taken from there.
        cells: for every combination, its parts by name and whether they are there, and the results of its runs, one
            for each seed, as in their results.json.

    Returns: the content of ablation.json: "dataset", "split_type", "split_list", "rehearsal_size", "selection",
        "recipe"; and "cells", for each its "parts", and mean and deviation over its seeds, see `compare.group`.
    """
    common = ("split_type", "split_list", "rehearsal_size", "selection", "recipe")
    groups = [{"parts": parts, **compare.group(results)} for parts, results in cells]
    content = {
        "dataset": report.dataset(configuration),
        **{name: configuration.get(name) for name in common},
        "cells": groups,
    }
    title = "Ablation: {dataset}, {split_type}, {rehearsal_size} exemplars, recipe {recipe}".format(**content)
    names = list(dict.fromkeys(name for each in groups for name in each["parts"]))
    seeds = ", ".join(map(str, groups[0]["seeds"]))
    note = f"Seeds {seeds}. {compare.NUMBERS} {report.selection_note(content['selection'])}"
    if STAGE_TWO in names:
        note += " Without stage two the sub-models' logits are concatenated and nothing is fine-tuned."

    rows = []
    for each in groups:
        parts = ["yes" if each["parts"].get(name) else "no" for name in names]
        rows.append([*parts, len(each["seeds"]), *tables.cells(each, *compare.MEASURES)])
    header = [*names, "seeds", *compare.MEASURES.values()]
    table = tables.page(f"# {title}", note, tables.markdown_table(header, rows, left=len(names)))
    labels = [" + ".join(name for name in names if each["parts"].get(name)) or "none" for each in groups]
    panels = {label: {"mean": [each[measure] for each in groups]} for measure, label in BARS.items()}
    plotting.bars(folder / "ablation", labels, panels, "With and without each part", f"{title}. {note}", pdf=True)
    return compare.write(folder / "ablation", content, table)
