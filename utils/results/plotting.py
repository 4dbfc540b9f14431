"""Figures: curves, heat maps and bars, in the look of `style.mplstyle`.

Files are whole or absent. matplotlib is imported where a figure is drawn and nowhere else, so that it costs nothing
before; pyplot is not used: no display is needed, and nothing stays behind in the process.
"""

import io
import textwrap
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from math import nan
from pathlib import Path
from typing import TYPE_CHECKING

from utils.results import published
from utils.running import storage

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STYLE = Path(__file__).with_name("style.mplstyle")


@contextmanager
def picture(path: Path, height: float, title: str, caption: str, pdf: bool = False) -> "Iterator[Figure]":
    """Figure to draw in, written as PNG at the end, and as PDF if asked to: the same bytes for the same drawing.

    Args:
        path: without its ending.
        height: in inches; the width is that of a page's text.
        title, caption: over it, and under it in small letters.

    Raises: `OSError` if it cannot be written.
    """
    import matplotlib.style
    from matplotlib.figure import Figure

    with matplotlib.style.context(STYLE, after_reset=True), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")  # class names in scripts that the font lacks
        figure = Figure(figsize=(6.7, height), layout="constrained")
        figure.suptitle(title, x=0.01, ha="left", weight="bold")
        figure.supxlabel(textwrap.fill(caption, 138), x=0.01, ha="left", fontsize=6.5, color="#404040")
        yield figure
        unsaid = {"Software": None, "CreationDate": None}  # the version in a PNG, the date in a PDF
        for ending in ("png", "pdf") if pdf else ("png",):
            content = io.BytesIO()
            figure.savefig(content, format=ending, metadata=unsaid)
            storage.write_bytes(path.with_name(f"{path.name}.{ending}"), content.getvalue())


def seen_accuracy(path: Path, runs: dict[str, dict], caption: str, pdf: bool = False) -> None:
    """Writes the figure of the field: accuracy on all classes seen after each task.

    Published averages stand beside it where all runs are of one of the four splits.

    Args:
        runs: by name, each a `report.group`.
    """
    found = [published.averages(run["configuration"], run["test_images"]) for run in runs.values()]
    marks = found[0] if all(each == found[0] for each in found) else {}
    ratios = {"width_ratios": [3, 1.2]} if marks else {}
    caption = f"{caption} Unlabelled images too with mixmatch=True. {published.PROTOCOL}" if marks else caption
    title = "Accuracy on all classes seen, after each task"
    with picture(path, 3.9 + 0.16 * len(runs), title, caption, pdf) as figure:
        axes, *side = figure.subplots(1, 2 if marks else 1, squeeze=False, **ratios)[0]
        averages, colours = dict(marks), {}
        for name, run in runs.items():
            averages[name] = run["average_incremental_accuracy"]["mean"]
            means, deviations = ([each[part] for each in run["seen_accuracy"]] for part in ("mean", "deviation"))
            error = {} if None in deviations else {"yerr": deviations, "capsize": 2.5}
            label = f"{name}: average {averages[name]:.1f} %"
            line, *_ = axes.errorbar(run["configuration"]["split_list"][1:], means, label=label, **error)
            colours[name] = line.get_color()
        axes.set(xlabel="classes seen", ylabel="test accuracy (%)")
        axes.locator_params(axis="x", integer=True)
        low, high = axes.get_ylim()
        axes.set_ylim(min(low, high - 10), high + 0.5)  # a loss of a point or two is not to look like a cliff
        axes.grid(True)
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1))
        for axes in side:
            for place, name in enumerate(sorted(averages, key=averages.get)):
                axes.barh(place, averages[name], color=colours.get(name, "0.8"), alpha=0.5)
                axes.text(1, place, f"{averages[name]:.1f} {name}", va="center", fontsize=6.5, clip_on=True)
            axes.set_yticks([])
            axes.set_xlabel("averages (%), published")


def trainings(path: Path, panels: dict[str, Sequence[Sequence[dict]]], title: str, caption: str) -> None:
    """Writes a panel of the loss for each row of trainings, and beneath it the accuracy where it was measured.

    Args:
        panels: by title, trainings one after the other, of each for each epoch "loss" and perhaps "accuracy" (%).
    """
    entries = [entry for row in panels.values() for history in row for entry in history]
    kinds = [kind for kind in ("loss", "accuracy") if any(kind in entry for entry in entries)]
    columns = min(4, len(panels))
    lines = -(-len(panels) // columns)
    with picture(path, 1 + 1.3 * lines * len(kinds), title, caption) as figure:
        grid = figure.subplots(lines * len(kinds), columns, squeeze=False, sharey="row")
        for number, (name, row) in enumerate(panels.items()):
            line, column = divmod(number, columns)
            places = grid[line * len(kinds) : (line + 1) * len(kinds), column]
            for axes, kind in zip(places, kinds, strict=True):
                begin = 0
                for history in row:
                    points = {begin + entry["epoch"]: entry[kind] for entry in history if kind in entry}
                    axes.plot(points.keys(), points.values(), marker="." if kind == "accuracy" else "")
                    begin += len(history)
                axes.set_ylabel({"accuracy": "accuracy (%)"}.get(kind, kind) if column == 0 else "")
                axes.grid(True, axis="y")
            places[0].set_title(textwrap.fill(name, 100 // columns))
            places[-1].set_xlabel("epoch")
        for axes in grid.flat:
            axes.set_visible(axes.has_data())


def heat_maps(
    path: Path, panels: dict[str, Sequence[Sequence[float]]], tasks: Sequence[Sequence[str]], title: str, caption: str
) -> None:
    """Writes a figure of percentages [after task, on task], one under the other, with numbers where there is room.

    Args:
        panels: by title, a row for every task, of the tasks so far.
        tasks: for each panel the tasks' names.
    """
    height = sum(0.75 + 0.26 * min(max(len(names), 3), 25) for names in tasks)
    with picture(path, 0.7 + height, title, caption) as figure:
        grid = figure.subplots(len(panels), squeeze=False)[:, 0]
        for axes, (name, rows), names in zip(grid, panels.items(), tasks, strict=True):
            count = len(rows)
            values = [row + [nan] * (count - len(row)) for row in rows]
            axes.imshow(values, vmin=0, vmax=100, aspect="auto")
            axes.set_title(name, loc="left")
            axes.set_yticks(range(count), [str(number + 1) for number in range(count)])
            axes.set_xticks(range(count), [f"{number + 1}\n{name}" for number, name in enumerate(names)])
            axes.tick_params(length=0)
            axes.spines[:].set_visible(False)
            style = {"ha": "center", "va": "center", "fontsize": min(8.0, 100 / count)}
            for y, row in enumerate(rows if count <= 25 else ()):
                for x, value in enumerate(row):
                    axes.text(x, y, f"{value:.1f}", color="white" if value < 50 else "black", **style)
        figure.supylabel("after task")
        grid[-1].set_xlabel("on the test images of task")


def bars(
    path: Path, names: Sequence[str], panels: dict[str, Sequence[dict]], title: str, caption: str, pdf: bool = False
) -> None:
    """Writes a figure of bars with their lengths in numbers, a line for every name.

    Args:
        panels: side by side, by the label of its axis, for every name "mean" and "deviation" (None: of one value).
    """
    with picture(path, 1.3 + 0.26 * max(len(names), 3), title, caption, pdf) as figure:
        grid = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
        for axes, (label, values) in zip(grid, panels.items(), strict=True):
            means, deviations = ([value[part] for value in values] for part in ("mean", "deviation"))
            error = {} if None in deviations else {"xerr": deviations, "capsize": 2.5}
            drawn = axes.barh(range(len(names)), means, **error)
            axes.bar_label(drawn, fmt=lambda value: f"{value:#.3g}".rstrip("."), padding=2, fontsize=6.5)
            axes.set_xlabel(label)
            axes.grid(True, axis="x")
            axes.margins(x=0.22)
        grid[0].set_yticks(range(len(names)), names)
        grid[0].invert_yaxis()
