"""Figures of curves: accuracies, with published averages at their side, and the epochs of trainings."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING

from utils.results import plotting
from utils.results.plotting import BLUE, GREY, LIGHT, ORANGE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LABEL_SIZE = 6.5  # points
LABEL_DISTANCE = 0.047  # what a label of this size takes of the axes' height


@dataclass(frozen=True)
class Curve:
    """Accuracies in percent of one run, or their mean over some."""

    x: Sequence[int | str]  # where they stand, such as the number of classes seen; words stand at equal distances
    accuracy: Sequence[float]  # one value for each x
    deviation: Sequence[float] | None = None  # its standard deviation over seeds
    average: float | None = None  # the average incremental accuracy, told in the legend
    level: float | None = None  # an accuracy to compare with, as a thin line


def accuracy(
    path: Path,
    panels: dict[str, dict[str, Curve]],
    title: str,
    xlabel: str,
    caption: str,
    published: dict[str, float] = {},
    pdf: bool = False,
) -> None:
    """Writes a figure of accuracies; a single curve has its numbers beside it.

    Args:
        panels: by title the curves by name; the same name is the same colour in all panels.
        published: average incremental accuracy (%) by method, as marks at the side of a single panel without title.
    """
    names = list(dict.fromkeys(name for curves in reversed(panels.values()) for name in curves))
    across = 2 if published or len(panels) > 1 else 1
    lines = -(-len(panels) // across)
    columns = 2 if len(names) > 2 else 1
    legend = -(-len(names) // columns)
    height = 1.9 + 2.1 * lines + 0.16 * legend
    ratios = {"width_ratios": [3.1, 1]} if published else {}
    with plotting.picture(path, height, title, caption, legend, pdf) as figure:
        grid = figure.subplots(lines, across, sharey=True, squeeze=False, **ratios)
        handles = {}
        for axes, (panel, curves) in zip(grid.flat, panels.items(), strict=False):
            for name, curve in curves.items():
                handles[name] = _curve(axes, name, curve, names.index(name), numbers=len(names) == 1)
            ticks = list(dict.fromkeys(x for curve in curves.values() for x in curve.x))
            axes.set_xticks(ticks if len(ticks) <= 20 else ticks[:: len(ticks) // 10])
            axes.set_title(panel)
            axes.set_xlabel(xlabel)
            axes.grid(True)
        for axes in grid[:, 0]:
            axes.set_ylabel("test accuracy (%)")
        for axes in grid.flat[len(panels) :]:
            axes.set_axis_off()
        if published:
            _marks(grid[0, 1], panels[""], published)
        plotting.legend_under_title(figure, [handles[name] for name in names], columns)


def _curve(axes: "Axes", name: str, curve: Curve, index: int, numbers: bool) -> object:
    """Draws it and returns what the legend shows."""
    label = name if curve.average is None else f"{name}: average {curve.average:.1f} %"
    style = plotting.line_style(index)
    [line] = axes.plot(curve.x, curve.accuracy, label=label, **style)
    if curve.deviation is not None:
        band = list(zip(curve.accuracy, curve.deviation, strict=True))
        low, high = [mean - around for mean, around in band], [mean + around for mean, around in band]
        axes.fill_between(curve.x, low, high, color=style["color"], alpha=0.18, linewidth=0)
    if curve.level is not None:
        axes.axhline(curve.level, color=style["color"], linewidth=0.7)
    for point in zip(curve.x, curve.accuracy, strict=True) if numbers else ():
        axes.annotate(f"{point[1]:.1f}", point, (0, 5), textcoords="offset points", ha="center", fontsize=7)
    return line


def _marks(axes: "Axes", curves: dict[str, Curve], published: dict[str, float]) -> None:
    """The averages as marks on a line, named beside it: published ones in grey, the curves' own as in the legend."""
    theirs = {"color": GREY, "marker": "_"}
    marks = [(value, name, theirs) for name, value in published.items()]
    for index, (name, curve) in enumerate(curves.items()):
        marks.append((curve.average, name if len(curves) == 1 else "", plotting.line_style(index)))
    marks.sort(key=lambda mark: mark[0])
    low, high = axes.get_ylim()
    low, high = axes.set_ylim(min(low, marks[0][0] - 2), max(high, marks[-1][0] + 2))
    places = plotting.spread([value for value, _, _ in marks], LABEL_DISTANCE * (high - low))
    leader = {"arrowstyle": "-", "color": LIGHT, "linewidth": 0.6, "shrinkA": 0, "shrinkB": 4, "relpos": (0, 0.5)}
    for (value, name, style), place in zip(marks, places, strict=True):
        weight, colour = ("normal", "black") if style is theirs else ("bold", style["color"])
        text = {"va": "center", "fontsize": LABEL_SIZE, "weight": weight, "color": colour, "annotation_clip": False}
        axes.plot([0], [value], markersize=6, **{**style, "linestyle": "none"})
        axes.annotate(f"{name} {value:.1f}".strip(), (0, value), (0.25, place), arrowprops=leader, **text)
    axes.set_xlim(-0.1, 1)
    axes.set_title("averages (%), published", loc="left")


@dataclass(frozen=True)
class Training:
    """One training in a figure."""

    history: Sequence[dict]  # for each epoch "epoch" (from 1), "loss" and, where it was measured, "accuracy" (%)
    chosen: int | None = None  # the epoch kept, if one was chosen
    look: str = "training"  # its name in the legend, a key of LOOKS


ACCEPTED, REJECTED, KEPT = "compression 1, 2, …, accepted", "rejected", "epoch kept"
LOOKS = {
    "training": {"color": BLUE, "linestyle": "-"},
    ACCEPTED: {"color": ORANGE, "linestyle": "--"},
    REJECTED: {"color": GREY, "linestyle": ":"},
    KEPT: {"color": "black", "linestyle": "none", "marker": "*", "markersize": 7},
}


def trainings(path: Path, panels: dict[str, Sequence[Training]], title: str, caption: str) -> None:
    """Writes a panel of the loss for each row of trainings, and beneath it the accuracy where it was measured."""
    from matplotlib.lines import Line2D

    drawn = [each for row in panels.values() for each in row]
    measured = any("accuracy" in entry for each in drawn for entry in each.history)
    kinds = {"loss": "loss", "accuracy": "accuracy (%)"} if measured else {"loss": "loss"}
    looks = {each.look for each in drawn} | ({KEPT} if measured else set())
    columns = min(4, len(panels))
    lines = len(kinds) * -(-len(panels) // columns)
    with plotting.picture(path, 1.1 + 1.3 * lines, title, caption, legend=1) as figure:
        grid = figure.subplots(lines, columns, squeeze=False, sharey="row")
        places = [(line, column) for line in range(0, lines, len(kinds)) for column in range(columns)]
        for (line, column), name in zip_longest(places, panels):
            for axes, kind in zip(grid[line : line + len(kinds), column], kinds, strict=True):
                axes.set_visible(name is not None)
                _row(axes, panels.get(name, ()), kind)
            grid[line, column].set_title(name)
            grid[line + len(kinds) - 1, column].set_xlabel("epoch")
        for axes, label in zip(grid[:, 0], [*kinds.values()] * lines, strict=False):
            axes.set_ylabel(label)
        legend = [Line2D([], [], label=name, **look) for name, look in LOOKS.items() if name in looks]
        plotting.legend_under_title(figure, legend, columns=4)


def _row(axes: "Axes", row: Sequence[Training], kind: str) -> None:
    """One kind of value of trainings that follow each other, the second and later ones numbered from 1."""
    begin = 0
    for number, each in enumerate(row):
        points = {begin + entry["epoch"]: entry[kind] for entry in each.history if kind in entry}
        chosen = begin + (each.chosen or 0)
        marker = {"marker": ".", "markersize": 3} if kind == "accuracy" else {}
        axes.plot(list(points), list(points.values()), **LOOKS[each.look], **marker)
        if kind == "accuracy" and chosen in points:
            axes.plot(chosen, points[chosen], zorder=3, clip_on=False, **LOOKS[KEPT])
        if number > 0:
            axes.axvline(begin + 0.5, color=GREY, linewidth=0.6)
            axes.text(begin + 0.5, 0.99, f" {number}", transform=axes.get_xaxis_transform(), va="top", fontsize=6)
        begin += len(each.history)
    axes.grid(True, axis="y")
    axes.set_xlim(0, begin + 1)
    axes.xaxis.get_major_locator().set_params(integer=True)
