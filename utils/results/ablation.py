"""EDE-Net with and without each of its parts, over several seeds: one table and one figure."""

from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

from datasets import naming, splits
from utils.results import compare, plotting, report
from utils.running import storage
from utils.running.console import show
from utils.running.options import OPTIONS, Settings

# What the recipes with "plus" add to the faithful method, each by its options; the last two are of stage two.
ADDITIONS = {
    "inherited": ("inherit",),
    "warm": ("warm_epochs",),
    "other": ("other_weight", "other_exemplars"),
    "distilled": ("finetune_distillation", "finetune_mixup", "finetune"),
    "flipped": ("flip_average",),
}


def folder(settings: Settings, split_list: list[int] | None, split_type: str | None, rehearsal_size: int) -> Path:
    """Where an ablation writes its table and figure, and below it all its runs."""
    bounds = None if split_list is None else splits.resolve_split(split_list, None, 10**6)
    split = split_type or (splits.split_type_of(bounds) if bounds else "s0-t10")
    name = f"ablation_{naming.short_name(settings.dataset)}_{split}_rehearsal_{rehearsal_size}"
    return Path(settings.checkpoint_root) / name


class Cell(NamedTuple):
    """A combination of parts, and where its stage two lies below a seed's folder."""

    name: str
    parts: dict[str, bool]
    options: dict[str, Any]  # and arguments, of both stages


def grid(settings: Settings) -> list[tuple[str, list[Cell]]]:
    """The cells of MixMatch, compression and stage two; of a recipe with additions these, one on top of the other.

    Cells of one stage one stand together, with the folder below a seed's where that lies.
    """
    found = []
    if "plus" not in settings.recipe:
        for mixmatch, name in ((True, "mixmatch"), (False, "supervised")):
            cells = []
            for prune, state in ((True, "compressed"), (False, "uncompressed")):
                parts = {"MixMatch": mixmatch, "compression": prune}
                cells.append(Cell(f"{name}_{state}", parts, {"mixmatch": mixmatch, "prune": prune}))
            found.append(("", cells))
        return found
    for count in range(len(ADDITIONS) + 1):
        there, off = [*ADDITIONS][:count], [*ADDITIONS][count:]
        name = "_".join(there) or "without_additions"
        options = {option: OPTIONS[option].default for addition in off for option in ADDITIONS[addition]}
        cell = Cell(name, {addition: addition in there for addition in ADDITIONS}, options)
        if "distilled" in there:
            found[-1][1].append(cell)
        else:
            found.append((name, [cell]))
    return found


def write(folder: Path, seeds: Sequence[int], cells: Sequence[Cell]) -> dict | None:
    """Writes `ablation.json`, `.md`, `.png` and `.pdf` once all runs are finished, and prints the table.

    Returns: the content of ablation.json: "cells", for each, with stage two and without, its "parts", their names as
        "label", and mean and deviation over its seeds, see `report.group`. None while other processes are at work.
    """
    found = []
    for cell, stage_two in product(cells, (True, False)):
        kind = "EDE_Net_*" if stage_two else "baseline_concatenate_*"
        paths = [path for seed in seeds for path in folder.glob(f"seed_{seed}/{cell.name}/{kind}/results.json")]
        if len(paths) < len(seeds):
            return show("the other processes of this job are still at work; the last one writes the table")
        parts = {**cell.parts, "stage two": stage_two}
        label = " + ".join(part for part, there in parts.items() if there) or "none"
        found.append({"label": label, "parts": parts, **report.group([*map(storage.read_json, paths)])})
    configuration = found[0]["configuration"]
    title = f"Ablation: {report.name(found[0])}, {configuration['split_type']}, recipe {configuration['recipe']}"
    end = "Without stage two the sub-models' logits are concatenated and nothing is fine-tuned."
    panels = {
        "average incremental accuracy (%)": [each["average_incremental_accuracy"] for each in found],
        "last accuracy (%)": [each["last_accuracy"] for each in found],
    }
    caption = f"{title}. {compare.note(found)} {end}"
    labels = [each["label"] for each in found]
    plotting.bars(folder / "ablation", labels, panels, "With and without each part", caption, pdf=True)
    return compare.write(folder / "ablation", {"cells": found}, title, found, end)
