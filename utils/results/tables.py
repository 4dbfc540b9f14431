"""Markdown tables that also read well on a terminal, and the numbers in them."""

from collections.abc import Callable, Iterable, Sequence

from utils.running.console import duration


def page(*parts: str) -> str:
    """Markdown file of headings, paragraphs and tables with an empty line between them."""
    return "\n\n".join(parts) + "\n"


def markdown_table(header: Sequence[object], rows: Iterable[Sequence[object]]) -> str:
    """Markdown table with columns of equal width, the first to the left, all others to the right; no line break last.

    Args:
        header: the columns' titles.
        rows: cells of any type, one a column; None becomes "–". Pipes are escaped, and line breaks become spaces.
    """
    table = [[_cell(value) for value in row] for row in (header, *rows)]
    # Three characters at least: Markdown readers do not agree on shorter rules.
    widths = [max(3, *map(len, column)) for column in zip(*table, strict=True)]
    sides = ["<"] + [">"] * (len(widths) - 1)
    table.insert(1, [f"{':':-{side}{width}}" for side, width in zip(sides, widths, strict=True)])
    lines = [[f"{cell:{side}{width}}" for cell, side, width in zip(row, sides, widths, strict=True)] for row in table]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(value: object) -> str:
    return "–" if value is None else " ".join(str(value).split()).replace("|", "\\|")


def percent(value: float) -> str:
    """Percentage, or difference of two, with one decimal: ``76.4``. The unit belongs in the column's title."""
    return f"{round(value, 1) + 0.0:.1f}"  # + 0.0 turns -0.0 into 0.0


def written(value: float | dict | None, form: Callable[[float], str] = percent) -> str | None:
    """A number, None, or a dict of a "mean" and its "deviation", which may be None: "76.4 ± 0.3"."""
    parts = value.values() if isinstance(value, dict) else [value]
    return " ± ".join(form(part) for part in parts if part is not None) or None


def cells(values: dict, *names: str) -> list[str | None]:
    """The values of these names, each `written` as its kind is, see `FORMATS`; all others are percentages."""
    return [written(values[name], FORMATS.get(name, percent)) for name in names]


def widths(values: Sequence[int]) -> str:
    """Widths of a ResNet-18's four stages: ``16-32-64-128``."""
    return "-".join(map(str, values))


def parameters(number: float) -> str:
    """Count of parameters in millions: ``11.17 M``, and ``0.078 M`` with three decimals below ten."""
    return f"{number / 1e6:.{2 if number >= 1e7 else 3}f} M"


def flops(number: float) -> str:
    """Floating-point operations in millions, ``35.1 M``, or from a thousand millions on in ``1.11 G``."""
    # The bound is where the millions, rounded, would read 1000.0.
    return f"{number / 1e9:.2f} G" if number >= 999.95e6 else f"{number / 1e6:.1f} M"


FORMATS = {"widths": widths, "parameters": parameters, "flops": flops, "seconds": duration}
