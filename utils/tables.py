"""Markdown tables that also read well on a terminal, and the numbers in them."""

from collections.abc import Iterable, Sequence

MISSING = "–"  # a value that does not exist, such as the forgetting after one task


def markdown_table(header: Sequence[object], rows: Iterable[Sequence[object]], align: str | None = None) -> str:
    """A Markdown table whose columns are padded to equal width.

    Args:
        header: the columns' titles.
        rows: cells in any type that ``str`` turns into text; None becomes "–". Pipes are escaped, and line breaks
            become spaces, as a cell cannot hold them.
        align: a letter a column: ``l`` left, ``c`` centred, ``r`` right. The first column is on the left and
            the others on the right if not given.

    Returns:
        The table's lines, joined, without a line break at the end.

    Raises:
        ValueError: if a row, or ``align``, does not have one entry a column.
    """
    align = "l" + "r" * (len(header) - 1) if align is None else align
    if len(align) != len(header) or set(align) - set("lcr"):
        raise ValueError(f"align is {align!r}, expected {len(header)} letters out of l, c and r")
    table = [[_cell(value) for value in row] for row in (header, *rows)]
    if any(len(row) != len(header) for row in table):
        raise ValueError(f"rows of {sorted({len(row) for row in table})} cells, expected {len(header)} in each")
    # Three characters at least: Markdown readers do not agree on shorter rules.
    widths = [max(3, *map(len, column)) for column in zip(*table, strict=True)]
    lines = [
        "| " + " | ".join(_PAD[side](cell, width) for cell, side, width in zip(row, align, widths, strict=True)) + " |"
        for row in table
    ]
    rule = "| " + " | ".join(_RULE[side](width) for side, width in zip(align, widths, strict=True)) + " |"
    return "\n".join([lines[0], rule, *lines[1:]])


_PAD = {"l": str.ljust, "c": str.center, "r": str.rjust}
_RULE = {
    "l": lambda width: ":" + "-" * (width - 1),
    "c": lambda width: ":" + "-" * (width - 2) + ":",
    "r": lambda width: "-" * (width - 1) + ":",
}


def _cell(value: object) -> str:
    return MISSING if value is None else " ".join(str(value).split()).replace("|", "\\|")


def percent(value: float | None) -> str:
    """A percentage, or a difference of two, with one decimal: ``76.4``. The unit belongs in the column's title."""
    return MISSING if value is None else f"{round(value, 1) + 0.0:.1f}"  # + 0.0 turns -0.0 into 0.0


def parameters(number: int | None) -> str:
    """A count of parameters in millions: ``11.17 M``, and ``0.078 M`` below a tenth of one."""
    if number is None:
        return MISSING
    return f"{number / 1e6:.{2 if number >= 1e5 else 3}f} M"


def flops(number: float | None) -> str:
    """Floating-point operations in millions, ``35.1 M``, or from a thousand millions on in ``1.11 G``."""
    if number is None:
        return MISSING
    # The bound is where the millions, rounded, would read 1000.0.
    return f"{number / 1e9:.2f} G" if number >= 999.95e6 else f"{number / 1e6:.1f} M"


def duration(seconds: float | None) -> str:
    """A time span by its two largest units: ``4.2 s``, ``45 s``, ``3 min 05 s``, ``61 h 20 min``."""
    if seconds is None:
        return MISSING
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes == 0:
        return f"{rest} s"
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return "{} h {:02d} min".format(*divmod(round(seconds / 60), 60))
