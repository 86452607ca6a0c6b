"""How tables look, for all commands; and quantities. Rich is imported only for a table on a terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

from regenstore.cli.console import has_colours, say, visible, width_of
from regenstore.quantities import about as about
from regenstore.quantities import age_text as age_text
from regenstore.quantities import counted as counted
from regenstore.quantities import size_text as size_text
from regenstore.quantities import time_text as time_text

_RICH = {"bold": "bold", "good": "green", "warn": "magenta", "error": "bold red", "quiet": "dim"}


def say_cut(text: str) -> None:
    """Print a line of an excerpt; on a terminal, the part of it that fits."""
    width = width_of(sys.stdout)
    cut = sys.stdout is not None and sys.stdout.isatty() and len(text) > width
    say(f"{text[: width - 1]}…" if cut else text, whole=True)


def headline(text: str, *, first: bool) -> None:
    """Print the line above one of several blocks, with an empty line between them."""
    if not first:
        say()
    say(text, style="bold")


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
        texts = [visible(cell.text) for cell in row]
        if whole:
            texts[-1] = _by_folders(texts[-1], room - sum(firsts))
        table.add_row(*(Text(text, style=_RICH.get(cell.style, "")) for text, cell in zip(texts, row)))
    colours = has_colours(sys.stdout)
    Console(width=room, no_color=not colours, highlight=False).print(table)


def _by_folders(text: str, cells: int) -> str:
    """Break a path that is too long after a slash, where possible, so that names stay whole."""
    if len(text) <= cells or " " in text:
        return text
    lines = [""]
    for part in text.replace("/", "/\n").split("\n"):
        if lines[-1] and len(lines[-1]) + len(part) > cells:
            lines.append("")
        lines[-1] += part
    return "\n".join(lines)
