"""The figure of the field: accuracy on all classes seen after each task, with published averages at its side."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from utils import plotting

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LABEL_SIZE = 6.5  # points
LABEL_DISTANCE = 0.047  # what a label of this size takes of the axes' height


@dataclass(frozen=True)
class Curve:
    """One run, or the mean over some.

    Attributes:
        label: for the legend.
        classes: number of classes seen after each task.
        accuracy: accuracy (%) on all of them.
        deviation: its standard deviation over seeds, or none.
        average: average incremental accuracy (%).
    """

    label: str
    classes: Sequence[int]
    accuracy: Sequence[float]
    average: float
    deviation: Sequence[float] | None = None


def draw(
    path: Path, curves: Sequence[Curve], published: dict[str, float], title: str, caption: str, pdf: bool = False
) -> None:
    """Writes the figure; `published` is method -> average incremental accuracy (%), for the marks at its side."""
    columns = 2 if len(curves) > 2 else 1
    lines = -(-len(curves) // columns)
    with plotting.picture(path, 4.0 + 0.16 * lines, title, caption, lines, pdf) as figure:
        main, side = (
            figure.subplots(1, 2, sharey=True, width_ratios=[3.1, 1]) if published else (figure.subplots(), None)
        )
        values = [value for curve in curves for value in curve.accuracy] + list(published.values())
        main.set_ylim(max(0, 10 * ((min(values) - 6) // 10)), min(102, max(values) + 6))
        if side is not None:
            _marks(side, curves, published)
        for index, curve in enumerate(curves):
            _curve(main, curve, plotting.line_style(index), numbers=len(curves) == 1)
        ticks = sorted({count for curve in curves for count in curve.classes})
        main.set_xticks(ticks if len(ticks) <= 20 else ticks[:: len(ticks) // 10])
        main.set_xlabel("classes seen")
        main.set_ylabel("test accuracy on all classes seen (%)")
        main.grid(True)
        plotting.legend_under_title(figure, main.get_legend_handles_labels()[0], columns)


def _curve(axes: "Axes", curve: Curve, style: dict, numbers: bool) -> None:
    axes.plot(curve.classes, curve.accuracy, label=f"{curve.label}: average {curve.average:.1f} %", **style)
    if curve.deviation is not None:
        low = [value - spread for value, spread in zip(curve.accuracy, curve.deviation, strict=True)]
        high = [value + spread for value, spread in zip(curve.accuracy, curve.deviation, strict=True)]
        axes.fill_between(curve.classes, low, high, color=style["color"], alpha=0.18, linewidth=0)
    if numbers:
        for x, y in zip(curve.classes, curve.accuracy, strict=True):
            axes.annotate(f"{y:.1f}", (x, y), (0, 5), textcoords="offset points", ha="center", fontsize=7)


def _marks(axes: "Axes", curves: Sequence[Curve], published: dict[str, float]) -> None:
    """The averages as marks on a line, named beside it: published ones in grey, the curves' own as in the legend."""
    own = [(curve.average, "this run" if len(curves) == 1 else "", index) for index, curve in enumerate(curves)]
    marks = [(value, name, None) for name, value in published.items()] + own
    marks.sort(key=lambda mark: mark[0])
    low, high = axes.get_ylim()
    places = plotting.spread([value for value, _, _ in marks], LABEL_DISTANCE * (high - low))
    for (value, name, index), place in zip(marks, places, strict=True):
        style = plotting.line_style(index) if index is not None else {"color": plotting.GREY, "marker": "_"}
        axes.plot([0], [value], color=style["color"], marker=style["marker"], markersize=6, linestyle="none")
        axes.annotate(
            f"{name} {value:.1f}".strip(),
            (0, value),
            (0.25, place),
            va="center",
            fontsize=LABEL_SIZE,
            weight="bold" if index is not None else "normal",
            color=style["color"] if index is not None else "black",
            arrowprops={
                "arrowstyle": "-",
                "color": plotting.LIGHT,
                "linewidth": 0.6,
                "shrinkA": 0,
                "shrinkB": 4,
                "relpos": (0, 0.5),
            },
            annotation_clip=False,
        )
    axes.set_xlim(-0.1, 1)
    axes.set_xticks([])
    axes.spines[["bottom", "left"]].set_visible(False)
    axes.tick_params(left=False, labelleft=False)
    axes.set_title("averages (%), published", loc="left")
