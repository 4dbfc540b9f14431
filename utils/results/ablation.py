"""EDE-Net with and without each of its parts, over several seeds: one table and one figure."""

from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

from datasets import naming, splits
from utils.results import compare, plotting, report, tables
from utils.running import checkpoint
from utils.running.console import show
from utils.running.options import OPTIONS, Settings

BARS = {
    "average_incremental_accuracy": "average incremental accuracy (%)",
    "last_accuracy": "last accuracy (%)",
}
# What the recipes with "plus" add to the faithful method, each by its options; stage one's come first.
ADDITIONS = {
    "inherited": ("inherit",),
    "other": ("other_weight", "other_exemplars"),
    "distilled": ("finetune_distillation", "finetune_mixup"),
}
STAGE_TWO = "stage two"  # the part without which nothing is fine-tuned


def folder(settings: Settings, split_list: list[int] | None, split_type: str | None, rehearsal_size: int) -> Path:
    """Where an ablation writes its table and figure, and below it all its runs."""
    bounds = None if split_list is None else splits.resolve_split(split_list, None, 10**6)
    split = split_type or (splits.split_type_of(bounds) if bounds else "s0-t10")
    name = f"ablation_{naming.short_name(settings.dataset)}_{split}_rehearsal_{rehearsal_size}"
    return Path(settings.checkpoint_root) / name


class Cell(NamedTuple):
    """A combination of parts: its folder's name, its parts, and the options and arguments of stage two."""

    name: str
    parts: dict[str, bool]
    options: dict[str, Any]


class Group(NamedTuple):
    """Cells of one stage one: where it lies, below the seed's folder, and its options and arguments."""

    folder: str
    options: dict[str, Any]
    cells: list[Cell]


def groups(settings: Settings) -> list[Group]:
    """The grid of MixMatch, compression and stage two; of a recipe with additions these, one on top of the other."""
    if not settings.finetune_distillation:
        return [
            Group(
                "",
                {"mixmatch": mixmatch},
                [
                    Cell(
                        f"{'mixmatch' if mixmatch else 'supervised'}_{'compressed' if prune else 'uncompressed'}",
                        {"MixMatch": mixmatch, "compression": prune},
                        {"mixmatch": mixmatch, "prune": prune},
                    )
                    for prune in (True, False)
                ],
            )
            for mixmatch in (True, False)
        ]
    found, off = [], {name: OPTIONS[name].default for options in ADDITIONS.values() for name in options}
    parts = dict.fromkeys(ADDITIONS, False)
    for addition in (None, *ADDITIONS):
        if addition:
            parts = {**parts, addition: True}
            off = {name: value for name, value in off.items() if name not in ADDITIONS[addition]}
        name = "_".join(part for part, there in parts.items() if there) or "faithful"
        cell = Cell(name, parts, off)
        if addition == "distilled":  # of stage two alone
            found[-1].cells.append(cell)
        else:
            found.append(Group(name, off, [cell]))
    return found


def collect(where: Path, seeds: Sequence[int], chosen: Sequence[Group]) -> dict | None:
    """Writes table and figure once all runs are finished; None while other processes are still at work."""
    cells, configuration = [], {}
    for cell, stage_two in product([cell for group in chosen for cell in group.cells], (True, False)):
        kind = "EDE_Net_*" if stage_two else "baseline_concatenate_*"
        found = [list(where.glob(f"seed_{seed}/{cell.name}/{kind}/results.json")) for seed in seeds]
        if not all(found):
            return show("the other processes of this job are still at work; the last one writes the table")
        results = [checkpoint.read_json(paths[0]) for paths in found]
        configuration = configuration or results[0]["configuration"]
        cells.append(({**cell.parts, STAGE_TWO: stage_two}, results))
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
