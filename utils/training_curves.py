"""Loss and accuracy over the epochs of a run's trainings, a panel for each task."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from utils import plotting
from utils.plotting import BLUE, GREY, ORANGE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PANELS_A_ROW = 4


@dataclass(frozen=True)
class Training:
    """One training in a figure: its `history` (dicts with "epoch", "loss" and now and then "accuracy"), what it
    is called, whether its network was kept, and the epoch chosen (from 1), if one was chosen."""

    history: Sequence[dict]
    name: str = "training"
    kept: bool = True
    chosen: int | None = None


def draw(path: Path, panels: dict[str, Sequence[Training]], title: str, caption: str) -> None:
    """For every panel the loss, and beneath it the accuracy where it was measured, of its trainings in a row."""
    measured = any("accuracy" in entry for row in panels.values() for each in row for entry in each.history)
    kinds = ["loss", "accuracy"] if measured else ["loss"]
    columns = min(PANELS_A_ROW, len(panels))
    lines = -(-len(panels) // columns)
    heights = [1.1, 1.0][: len(kinds)] * lines
    with plotting.picture(path, 1.1 + 1.25 * sum(heights), title, caption, legend=1) as figure:
        grid = figure.subplots(len(heights), columns, squeeze=False, sharey=False, height_ratios=heights)
        for index in range(lines * columns):
            row, column = index // columns * len(kinds), index % columns
            for place, kind in enumerate(kinds):
                axes = grid[row + place][column]
                if index >= len(panels):
                    axes.set_visible(False)
                    continue
                axes.sharey(grid[place][0]) if (row, column) != (0, 0) else None
                _trainings(axes, list(panels.values())[index], kind)
                if column == 0:
                    axes.set_ylabel("loss" if kind == "loss" else "accuracy (%)")
                else:
                    axes.tick_params(labelleft=False)
            grid[row][column].set_title(list(panels)[index] if index < len(panels) else "")
            grid[row + len(kinds) - 1][column].set_xlabel("epoch")
        for axes in grid.flat:
            axes.grid(True, axis="y")
        plotting.legend_under_title(figure, _legend(panels, measured), columns=4)


def _trainings(axes: "Axes", row: Sequence[Training], kind: str) -> None:
    begin = 0
    for number, each in enumerate(row):
        points = [(begin + entry["epoch"], entry[kind]) for entry in each.history if kind in entry]
        if points:
            axes.plot(*zip(*points, strict=True), **_look(number, each.kept), marker="." if kind == "accuracy" else "")
        chosen = [value for x, value in points if x == begin + (each.chosen or 0)]
        if kind == "accuracy" and chosen:
            axes.plot(begin + each.chosen, chosen[0], "*", color="black", markersize=7, zorder=3)
        if number:
            axes.axvline(begin + 0.5, color=GREY, linewidth=0.6)
            if kind == "loss":
                axes.annotate(each.name, (begin + 0.5, 1), (2, -1), xycoords=("data", "axes fraction"),
                              textcoords="offset points", va="top", fontsize=5.5)  # fmt: skip
        begin += len(each.history)
    axes.set_xlim(0, begin + 1)


def _look(number: int, kept: bool) -> dict:
    """A training, an accepted compression, or a rejected one."""
    if number == 0:
        return {"color": BLUE, "linestyle": "-"}
    return {"color": ORANGE, "linestyle": "--"} if kept else {"color": GREY, "linestyle": ":"}


def _legend(panels: dict[str, Sequence[Training]], measured: bool) -> list:
    from matplotlib.lines import Line2D

    compressed = [each for row in panels.values() for each in row[1:]]
    handles = [Line2D([], [], label="training", **_look(0, True))]
    if any(each.kept for each in compressed):
        handles.append(Line2D([], [], label="compressed to widths, accepted", **_look(1, True)))
    if any(not each.kept for each in compressed):
        handles.append(Line2D([], [], label="rejected", **_look(1, False)))
    if measured:
        handles.append(Line2D([], [], label="epoch kept", color="black", marker="*", linestyle="none", markersize=7))
    return handles
