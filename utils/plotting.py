"""What all figures share: colours that colour-blind readers tell apart, the page, and files that are whole or absent.

matplotlib is imported where a figure is drawn and nowhere else, so that it costs nothing before. Figures are made
without pyplot: no display is needed, and nothing stays behind in the process.
"""

import io
import textwrap
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from utils import checkpoint

if TYPE_CHECKING:
    from matplotlib.axes import Axes
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
    """Colour, marker and line of the curve number `index`, so that neighbours differ in all three."""
    return {
        "color": COLOURS[index % len(COLOURS)],
        "marker": MARKERS[index % len(MARKERS)],
        "linestyle": LINES[index % len(LINES)],
    }


@contextmanager
def picture(
    path: Path, height: float, title: str, caption: str = "", legend: int = 0, pdf: bool = False
) -> "Iterator[Figure]":
    """A figure to draw in, written as PNG at the end: the same bytes for the same drawing.

    Args:
        path: without its ending.
        height: in inches; the width is that of a page's text.
        title: over it.
        caption: under it, in small letters.
        legend: how many lines are left for a legend under the title, see `legend_under_title`.
        pdf: whether to write a PDF too, which takes as long again, as its fonts are cut to size.

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
            lines = textwrap.fill(caption, 142)
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
    """A legend for the whole figure; `picture` has left room for it if told so."""
    below = 1 - 0.2 / figure.get_figheight()
    figure.legend(handles=handles, loc="upper left", bbox_to_anchor=(0.01, below), ncols=columns, borderaxespad=0)


def heat_map(
    axes: "Axes", rows: Sequence[Sequence[float | None]], row_names: Sequence[str], column_names: Sequence[str]
) -> None:
    """Percentages as coloured cells, with their numbers where there is room; rows may be shorter or have None."""
    import numpy as np

    count = len(column_names)
    values = np.full((len(rows), count), np.nan)
    for index, row in enumerate(rows):
        values[index, : len(row)] = [np.nan if value is None else value for value in row]
    axes.imshow(values, cmap="viridis", vmin=0, vmax=100, aspect="auto")
    axes.set_xticks(range(count), column_names)
    axes.set_yticks(range(len(rows)), row_names)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    size = min(8.0, 100 / count)
    if size < 4:
        return
    for (row, column), value in np.ndenumerate(values):
        if not np.isnan(value):
            colour = "white" if value < 50 else "black"
            axes.text(column, row, f"{value:.1f}", ha="center", va="center", color=colour, fontsize=size)


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
