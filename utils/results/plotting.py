"""The page that all figures share, and what several of them draw: heat maps, bars, labels that do not overlap.

Colours are ones that colour-blind readers tell apart; files are whole or absent. matplotlib is imported where a figure
is drawn and nowhere else, so that it costs nothing before. Figures are made without pyplot: no display is needed, and
nothing stays behind in the process.
"""

import io
import textwrap
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from math import isnan, nan
from pathlib import Path
from typing import TYPE_CHECKING

from utils.running import checkpoint

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Okabe & Ito 2008, "Color Universal Design", without the yellow, which is hard to see on white.
BLUE, ORANGE, GREEN = "#0072B2", "#D55E00", "#009E73"
COLOURS = (BLUE, ORANGE, GREEN, "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
LINES = ("-", "--", "-.", ":")
GREY, LIGHT = "#767676", "#D0D0D0"

WIDTH = 6.7  # inches: the text width of a page
DPI = 200
STYLE = {
    "font.size": 8,
    "axes.titlesize": 8,
    "figure.titlesize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": "#E4E4E4",
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.4,
    "lines.markersize": 4.5,
    "legend.fontsize": 7.5,
    "legend.frameon": False,
    "hatch.linewidth": 0.5,
    "pdf.fonttype": 42,  # letters stay letters
    "text.parse_math": False,  # class names may hold a dollar sign
}


def line_style(index: int) -> dict:
    """Colour, marker and line of the curve number `index`: neighbours differ in all three."""
    return {
        "color": COLOURS[index % len(COLOURS)],
        "marker": MARKERS[index % len(MARKERS)],
        "linestyle": LINES[index % len(LINES)],
    }


@contextmanager
def picture(
    path: Path, height: float, title: str, caption: str = "", legend: int = 0, pdf: bool = False
) -> "Iterator[Figure]":
    """Figure to draw in, written as PNG at the end: the same bytes for the same drawing.

    Args:
        path: without its ending.
        height: in inches; the width is that of a page's text.
        title: over it.
        caption: under it, in small letters.
        legend: how many lines are left for a legend under the title, see `legend_under_title`.
        pdf: write a PDF too, which takes as long again, as its fonts are cut to size.

    Raises: `UserError` if it cannot be written.
    """
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")  # class names in scripts that the font lacks
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(STYLE)
        figure = Figure(figsize=(WIDTH, height), layout="constrained")
        figure.suptitle(title + "\n" * legend, x=0.01, ha="left", weight="bold")
        if caption:
            lines = textwrap.fill(caption, 138)
            figure.supxlabel(lines, x=0.01, ha="left", fontsize=6.5, color="#404040", linespacing=1.3)
        yield figure
        _save(figure, path, {"png": {"Software": None}, **({"pdf": {"CreationDate": None}} if pdf else {})})


def _save(figure: "Figure", path: Path, formats: dict[str, dict]) -> None:
    """Writes the figure in every format with these metadata: no date, no version."""
    figure.draw_without_rendering()
    figure.set_layout_engine("none")  # everything has its place now: not to be found again for each format
    for ending, metadata in formats.items():
        content = io.BytesIO()
        figure.savefig(content, format=ending, dpi=DPI, metadata=metadata)
        checkpoint.write_bytes(path.with_name(f"{path.name}.{ending}"), content.getvalue())


def legend_under_title(figure: "Figure", handles: Sequence, columns: int) -> None:
    """Draws a legend for the whole figure; `picture` has left room for it if told so."""
    below = 1 - 0.2 / figure.get_figheight()
    figure.legend(handles=handles, loc="upper left", bbox_to_anchor=(0.01, below), ncols=columns, borderaxespad=0)


def heat_maps(
    path: Path,
    panels: dict[str, Sequence[Sequence[float | None]]],
    rows: tuple[str, Sequence[str]],
    columns: tuple[str, Sequence[str]],
    title: str,
    caption: str,
) -> None:
    """Writes a figure of percentages as coloured cells, with their numbers where there is room.

    Args:
        panels: by title, one under the other, the cells of every row; a row may be shorter or have None.
        rows, columns: the label of that axis, and the names along it.
    """
    count = len(columns[1])
    size = min(8.0, 100 / count)
    height = 0.5 + 0.26 * min(max(len(rows[1]), 3), 25)
    with picture(path, 0.9 + len(panels) * height, title, caption) as figure:
        grid = figure.subplots(len(panels), sharex=True, squeeze=False)[:, 0]
        for axes, (name, cells) in zip(grid, panels.items(), strict=True):
            values = [[nan if value is None else value for value in (*row, *[None] * count)][:count] for row in cells]
            axes.imshow(values, cmap="viridis", vmin=0, vmax=100, aspect="auto")
            axes.set_title(name, loc="left")
            axes.set_yticks(range(len(values)), rows[1])
            axes.set_ylabel(rows[0])
            axes.tick_params(length=0)
            axes.spines[:].set_visible(False)
            for y, x in ((y, x) for y in range(len(values)) for x in range(count) if size >= 4):
                if not isnan(value := values[y][x]):
                    colour = "white" if value < 50 else "black"
                    axes.text(x, y, f"{value:.1f}", ha="center", va="center", color=colour, fontsize=size)
        grid[-1].set_xticks(range(count), columns[1])
        grid[-1].set_xlabel(columns[0])


def bars(
    path: Path,
    names: Sequence[str],
    panels: dict[str, dict[str, Sequence[dict]]],
    title: str,
    caption: str,
    pdf: bool = False,
) -> None:
    """Writes a figure of bars with their lengths in numbers, a line for every name.

    Args:
        panels: side by side, by the label of its axis, the values of every kind by its name: one kind, or the same two
            in each panel. A value is a dict of "mean" (nan: no bar) and "deviation" (None: of one value).
    """
    kinds = list(next(iter(panels.values())))
    looks = [{"color": LIGHT, "hatch": "////"}, {"color": BLUE}][-len(kinds) :]
    thick = 0.8 / len(kinds)
    height = 1.1 + (0.2 + 0.1 * len(kinds)) * max(len(names), 3)
    with picture(path, height, title, caption, legend=len(kinds) - 1, pdf=pdf) as figure:
        grid = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
        for axes, (label, series) in zip(grid, panels.items(), strict=True):
            for index, (kind, values) in enumerate(series.items()):
                places = [line + (index - (len(kinds) - 1) / 2) * thick for line in range(len(names))]
                deviations = [value["deviation"] or 0 for value in values]
                error = {"xerr": deviations if any(deviations) else None, "error_kw": {"capsize": 2.5}}
                look = {"label": kind, "edgecolor": "black", "linewidth": 0.5, **looks[index]}
                drawn = axes.barh(places, [value["mean"] for value in values], thick, **error, **look)
                axes.bar_label(drawn, fmt=_short, padding=2, fontsize=6.5)
            axes.set_xlabel(label)
            axes.grid(True, axis="x")
            axes.margins(x=0.22)
        grid[0].set_yticks(range(len(names)), names)
        grid[0].invert_yaxis()
        if len(kinds) > 1:
            legend_under_title(figure, grid[0].containers, columns=2)


def _short(value: float) -> str:
    """A number for a bar: 1113.1, 60.9, 4.1, 0.064."""
    return f"{value:.1f}" if value >= 10 else f"{value:.3g}"


def spread(positions: Sequence[float], distance: float) -> list[float]:
    """Places for labels at rising positions, at least `distance` apart and as near to them as that allows."""
    groups: list[tuple[float, int]] = []  # (middle, how many) of labels that touch
    for position in positions:
        groups.append((position, 1))
        while len(groups) > 1:
            (low, below), (high, above) = groups[-2:]
            if high - low >= distance * (below + above) / 2:
                break
            groups[-2:] = [((low * below + high * above) / (below + above), below + above)]
    return [middle + (index - (count - 1) / 2) * distance for middle, count in groups for index in range(count)]
