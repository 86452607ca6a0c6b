"""How sizes, times, counts and tables look, for all commands. Rich is imported only for a table on a terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

from regenstore.cli.console import has_colours, say, visible, width_of

_RICH = {"bold": "bold", "good": "green", "warn": "magenta", "error": "bold red", "quiet": "dim"}
_UNITS = ("B", "kB", "MB", "GB", "TB")


def size_text(size: float) -> str:
    """Format a number of bytes for display, in powers of 1000, which is how options such as --free read them too."""
    at = 0
    while at < len(_UNITS) - 1 and float(_digits(size)) >= 1000:
        size, at = size / 1000, at + 1
    return f"{size:.0f} B" if at == 0 else f"{_digits(size)} {_UNITS[at]}"


def _digits(number: float) -> str:
    return f"{number:.1f}" if number < 99.95 else f"{number:.0f}"


def time_text(seconds: float) -> str:
    """Format a duration for display: two or three digits, whatever its length."""
    if seconds < 9.95:
        return f"{seconds:.2g} s"
    if seconds < 599.5:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7170 else f"{seconds / 3600:.1f} h"


def age_text(seconds: float) -> str:
    """Format a limit of age for display, in the largest unit that it fills."""
    for unit, length in (("day", 86400.0), ("hour", 3600.0), ("minute", 60.0)):
        if seconds >= length:
            return f"{seconds / length:g} {unit}" + ("" if seconds == length else "s")
    return f"{seconds:g} s"


def counted(number: int, one: str, many: str = "") -> str:
    """A number with its noun: ``1 content``, ``2,000 contents``."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


class Heading(NamedTuple):
    """A column of a table: its head, and whether its texts are aligned at their ends, as numbers are."""

    head: str
    right: bool = False


class Cell(NamedTuple):
    """A text of a table, and its style as for :func:`console.say`."""

    text: str
    style: str = ""


def show_table(columns: Sequence[Heading], rows: Iterable[Sequence[str | Cell]]) -> None:
    """Print a table without its empty columns. On a terminal it has heads and colours; the last column is folded at the
    window's edge, and the others too if they need most of it. Nothing is truncated, so that paths can be copied.
    Elsewhere only the aligned rows are printed."""
    listed = [[cell if isinstance(cell, Cell) else Cell(cell) for cell in row] for row in rows]
    used = [at for at in range(len(columns)) if any(row[at].text for row in listed)]
    if sys.stdout is None or not used:
        return
    if sys.stdout.isatty():
        _show_in_colour([columns[at] for at in used], [[row[at] for at in used] for row in listed])
        return
    widths = {at: max(len(visible(row[at].text)) for row in listed) for at in used}
    for row in listed:
        shown = {at: visible(row[at].text) for at in used}
        aligned = (shown[at].rjust(widths[at]) if columns[at].right else shown[at].ljust(widths[at]) for at in used)
        say("  ".join(aligned).rstrip())


def _show_in_colour(columns: Sequence[Heading], rows: Sequence[Sequence[Cell]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.show_header = any(column.head for column in columns)
    room = width_of(sys.stdout)
    firsts = [max(len(visible(text)) for text in (column.head, *(row[at].text for row in rows))) + 2
              for at, column in enumerate(columns[:-1])]  # fmt: skip
    whole = sum(firsts) <= room * 3 // 4  # else all are folded: rich cuts what must not wrap
    for column in columns:
        justify: Literal["left", "right"] = "right" if column.right else "left"
        table.add_column(column.head, justify=justify, no_wrap=whole and column is not columns[-1], overflow="fold")
    for row in rows:
        table.add_row(*(Text(visible(cell.text), style=_RICH.get(cell.style, "")) for cell in row))
    colours = has_colours(sys.stdout)
    Console(width=room, no_color=not colours, highlight=False).print(table)
