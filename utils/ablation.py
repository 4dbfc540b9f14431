"""The grid of EDE-Net with and without each of its parts: its cells, its table and its figure."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from utils import checkpoint, comparison, plotting, report, tables
from utils.errors import UserError
from utils.plotting import BLUE, LIGHT
from utils.recipes import INDEX

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MEASURES = {
    "average_incremental_accuracy": "average incremental\naccuracy (%)",
    "last_accuracy": "last accuracy (%)",
}


@dataclass(frozen=True)
class Cell:
    """One combination of the parts; without stage two the sub-models are joined and not trained together."""

    mixmatch: bool
    compression: bool
    stage_two: bool

    @property
    def name(self) -> str:
        """Of the folder that holds the runs with these two parts, with stage two and without."""
        return f"{'mixmatch' if self.mixmatch else 'supervised'}_{'compressed' if self.compression else 'uncompressed'}"


# Stage one's networks are trained once with MixMatch and once without, and each is there before and after compression.
CELLS = [
    Cell(mixmatch, compression, stage_two)
    for mixmatch in (True, False)
    for compression in (True, False)
    for stage_two in (True, False)
]


def require_seeds(seeds: Sequence[int], options: dict) -> None:
    """Raises `UserError` unless these are different seeds, and no option says what the ablation itself decides."""
    for name, instead in (("seed", "seeds=[…]"), ("classifier_root", "checkpoint_root")):
        if name in options:
            raise UserError(f"ablation() was given {name}={options[name]!r}, which it sets itself: give {instead}")
    numbers = isinstance(seeds, list | tuple) and all(INDEX[1](seed) for seed in seeds)
    if not numbers or not seeds or len(set(seeds)) < len(seeds):
        raise UserError(f"seeds={seeds!r} is not accepted: expected a list of different seeds, each {INDEX[0]}")


def summary(found: dict[Cell, list[dict]], rehearsal_size: int) -> dict:
    """ablation.json: the mean over the seeds and the sample standard deviation of every cell.

    Args:
        found: the results of each cell's runs, one for each seed, as in their results.json.

    Returns: "cells", for each cell its parts, and as in `utils.comparison.group`; and what all have in common.
    """
    first = next(iter(found.values()))[0]["configuration"]
    return {
        "dataset": report.dataset(first),
        "split_type": first["split_type"],
        "split_list": first["split_list"],
        "rehearsal_size": rehearsal_size,
        "selection": first["selection"],
        "recipe": first["recipe"],
        "cells": [{**asdict(cell), **comparison.group(cell.name, runs)} for cell, runs in found.items()],
    }


def table(content: dict) -> str:
    """ablation.md."""
    rows = [
        [
            *["yes" if cell[part] else "no" for part in ("mixmatch", "compression", "stage_two")],
            len(cell["seeds"]),
            *[
                comparison.plus_minus(cell[name], tables.percent)
                for name in ("average_incremental_accuracy", "last_accuracy", "forgetting")
            ],
            comparison.plus_minus(cell["parameters"], tables.parameters),
        ]
        for cell in content["cells"]
    ]
    header = ["MixMatch", "compression", "stage two", "seeds", "average", "last", "forgetting", "parameters"]
    return "\n".join(
        [f"# {title(content)}", "", note(content), "", tables.markdown_table(header, rows, "lll" + "r" * 5), ""]
    )


def title(content: dict) -> str:
    """The ablation in words."""
    return (
        f"Ablation: {content['dataset']}, {content['split_type']}, {content['rehearsal_size']} exemplars, "
        f"recipe {content['recipe']}"
    )


def note(content: dict) -> str:
    """What the figures are, and how epochs were chosen."""
    seeds = ", ".join(map(str, content["cells"][0]["seeds"]))
    return (
        f"Test accuracy (%): average incremental and last accuracy; forgetting in points. Seeds {seeds}: mean ± sample "
        "standard deviation. Without stage two the sub-models' logits are concatenated and nothing is fine-tuned. "
        + report.selection_note(content["selection"])
    )


def draw(path: Path, content: dict) -> None:
    """Average and last accuracy of every cell as bars, with the deviation over the seeds."""
    caption = f"{title(content)}. {note(content)}"
    with plotting.picture(path, 4.6, "With and without each part", caption, legend=1, pdf=True) as figure:
        rows = figure.subplots(len(MEASURES), 1, sharex=True)
        names = list(dict.fromkeys(cell["label"] for cell in content["cells"]))
        for axes, (measure, label) in zip(rows, MEASURES.items(), strict=True):
            for stage_two, shift in ((False, -0.2), (True, 0.2)):
                cells = [cell for cell in content["cells"] if cell["stage_two"] == stage_two]
                places = [names.index(cell["label"]) + shift for cell in cells]
                _bars(axes, places, [cell[measure] for cell in cells], stage_two)
            axes.set_ylabel(label)
            axes.grid(True, axis="y")
            axes.margins(y=0.12)
        rows[-1].set_xticks(
            range(len(names)), [name.replace("mixmatch", "MixMatch").replace("_", ",\n") for name in names]
        )
        plotting.legend_under_title(figure, rows[0].get_legend_handles_labels()[0], columns=2)


def _bars(axes: "Axes", places: Sequence[float], values: Sequence[dict], stage_two: bool) -> None:
    means = [value["mean"] for value in values]
    deviations = [value["deviation"] or 0.0 for value in values]
    look = {"color": BLUE} if stage_two else {"color": LIGHT, "hatch": "////"}
    axes.bar(places, means, 0.38, edgecolor="black", linewidth=0.5, label=f"with{'' if stage_two else 'out'} stage two",
             **look)  # fmt: skip
    if any(deviations):
        axes.errorbar(places, means, deviations, fmt="none", ecolor="black", elinewidth=0.8, capsize=2.5)
    for place, mean, deviation in zip(places, means, deviations, strict=True):
        axes.annotate(f"{mean:.1f}", (place, mean + deviation), (0, 2), ha="center", textcoords="offset points",
                      fontsize=6.5)  # fmt: skip


def write(where: Path, content: dict) -> dict:
    """Writes `ablation.json`, `.md`, `.png` and `.pdf`, prints the table, and returns the content."""
    checkpoint.write_json(where / "ablation.json", content)
    checkpoint.write_text(where / "ablation.md", table(content))
    draw(where / "ablation", content)
    print(f"{table(content)}\nwritten to {where}")
    return content
