"""Tables for people, as text with columns under each other, and numbers with their nouns."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Collection, Sequence

__all__ = ["counted", "figure", "text_table"]


def text_table(rows: Sequence[Sequence[str]], left: Collection[int] = (0,)) -> str:
    """Set rows of cells into columns, two spaces apart, a line for each row.

    Args:
        rows: cells, the same number in each row; the first row may be a header.
        left: columns whose text begins at their left edge; the others end at their right edge.
    """
    widths = [max(map(_width, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = []
        for number, (cell, width) in enumerate(zip(row, widths, strict=True)):
            spaces = " " * (width - _width(cell))
            cells.append(cell + spaces if number in left else spaces + cell)
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def figure(value: float | None, form: str) -> str:
    """A number in a format such as ".3f"; "-" for None and NaN: what was not measured."""
    return "-" if value is None or math.isnan(value) else format(value, form)


def counted(number: int, noun: str) -> str:
    """A number with its noun: "1 class", "0 classes", "2 images"."""
    ending = "" if number == 1 else "es" if noun.endswith(("s", "x", "ch", "sh")) else "s"
    return f"{number} {noun}{ending}"


def _width(text: str) -> int:
    # Korean, Chinese and Japanese characters take two columns of a terminal.
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)
