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
    """One training in a figure: its `history` (dicts with "epoch", "loss" and now and then "accuracy"),
    whether its network was kept, and the epoch chosen (from 1), if one was chosen."""

    history: Sequence[dict]
    kept: bool = True
    chosen: int | None = None


def draw(path: Path, panels: dict[str, Sequence[Training]], title: str, caption: str) -> None:
    """For every panel the loss, and beneath it the accuracy where it was measured, of its trainings in a row."""
    measured = any("accuracy" in entry for row in panels.values() for each in row for entry in each.history)
    kinds = ["loss", "accuracy"] if measured else ["loss"]
    columns = min(PANELS_A_ROW, len(panels))
    lines = -(-len(panels) // columns)
    heights = [1.1, 1.0][: len(kinds)] * lines
    legend = _legend(panels, measured)
    with plotting.picture(path, 1.1 + 1.25 * sum(heights), title, caption, legend=bool(legend)) as figure:
        grid = figure.subplots(len(heights), columns, squeeze=False, height_ratios=heights)
        for axes in grid.flat:
            axes.set_visible(False)  # until something is drawn there
        for index, (name, row) in enumerate(panels.items()):
            line, column = divmod(index, columns)
            below = grid[line * len(kinds) : (line + 1) * len(kinds), column]
            for axes, first, kind in zip(below, grid[:, 0], kinds, strict=False):
                axes.set_visible(True)
                if index > 0:
                    axes.sharey(first)
                _trainings(axes, row, kind)
                axes.grid(True, axis="y")
                axes.tick_params(labelleft=column == 0)
                axes.set_ylabel(("loss" if kind == "loss" else "accuracy (%)") if column == 0 else "")
            below[0].set_title(name)
            below[-1].set_xlabel("epoch")
        if legend:
            plotting.legend_under_title(figure, legend, columns=4)


def _trainings(axes: "Axes", row: Sequence[Training], kind: str) -> None:
    begin = 0
    for number, each in enumerate(row):
        points = [(begin + entry["epoch"], entry[kind]) for entry in each.history if kind in entry]
        if points:
            axes.plot(
                *zip(*points, strict=True),
                **_look(number, each.kept),
                marker="." if kind == "accuracy" else "",
                markersize=3,
            )
        chosen = [value for x, value in points if x == begin + (each.chosen or 0)]
        if kind == "accuracy" and chosen:
            axes.plot(begin + each.chosen, chosen[0], "*", color="black", markersize=7, zorder=3, clip_on=False)
        if number:
            axes.axvline(begin + 0.5, color=GREY, linewidth=0.6)
            if kind == "loss":
                axes.annotate(str(number), (begin + 0.5, 1), (2, -1), xycoords=("data", "axes fraction"),
                              textcoords="offset points", va="top", fontsize=6)  # fmt: skip
        begin += len(each.history)
    axes.set_xlim(0, begin + 1)
    axes.xaxis.get_major_locator().set_params(integer=True)


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
        handles.append(Line2D([], [], label="compression 1, 2, …, accepted", **_look(1, True)))
    if any(not each.kept for each in compressed):
        handles.append(Line2D([], [], label="rejected", **_look(1, False)))
    if measured:
        handles.append(Line2D([], [], label="epoch kept", color="black", marker="*", linestyle="none", markersize=7))
    return handles if len(handles) > 1 else []
