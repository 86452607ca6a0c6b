"""``regenstore tries``"""

from __future__ import annotations

import time

import click

from regenstore.cli.console import say, visible
from regenstore.cli.context import emit_json, json_option, open_repository, shell_path, worktree_path
from regenstore.cli.history import STYLES, content_fields, short_value, take_one
from regenstore.cli.presentation import Cell, Heading, counted, show_table, size_text
from regenstore.cli.show import plain
from regenstore.fs.path_text import path_text
from regenstore.tracked import tries
from regenstore.tracked.tries import Tries, Try

_COLUMNS = 6
"""Fields that have a column of their own."""


@click.command()
@click.argument("path")
@click.option("--sheet", metavar="FILE", help="Write a contact sheet of all tries as a PNG.")
@click.option("--force", is_flag=True, help="With --sheet: replace FILE.")
@click.option("--take", type=int, metavar="N", help="Bring back the try with this number.")
@click.option("--dry-run", "-n", is_flag=True, help="With --take: only show what would be brought back.")
@json_option
def command(path: str, sheet: str | None, force: bool, take: int | None, dry_run: bool, as_json: bool) -> None:
    """List what has been tried at PATH: every content that it has had, with its seed, the parameters in which they
    differ, date, size, and whether the store still has it.

    Tries are numbered from the oldest, and found where 'regenstore history' finds them: in all of Git's history, among
    the results of the same recipes, and in what commands replaced. A try is placed at PATH, stored, in the trash, or
    gone. --take brings one back that is not gone, with its recipe, and stages nothing; what is at PATH is stored first.

    \b
    Examples:
      regenstore tries shots/sh010.png
      regenstore tries shots/sh010.png --sheet ../sh010-tries.png
      regenstore tries shots/sh010.png --take 3
    """
    if dry_run and take is None:
        raise click.UsageError("-n needs --take")
    if force and sheet is None:
        raise click.UsageError("--force needs --sheet")
    if take is not None and sheet is not None:
        raise click.UsageError("--take and --sheet cannot be used together")
    repository = open_repository()
    bench = repository.workbench
    inside = worktree_path(repository, path)
    found = tries.tries(bench, inside)
    if take is not None:
        take_one(bench, path, inside, tries.numbered(found, inside, take), None, dry_run, as_json)
        return
    if sheet is not None:
        labelled = [(each, _labels(each)) for each in found.listed]
        left_out = tries.write_sheet(bench, labelled, sheet, force=force)
        if left_out:
            say(f"The sheet leaves out the {counted(left_out, 'oldest try', 'oldest tries')}", err=as_json)
    if as_json:
        rows = [
            {"number": each.number, "values": plain(each.values), **content_fields(each.past)} for each in found.listed
        ]
        emit_json("tries", {"path": path_text(path), "differing": list(found.names), "tries": rows})
        return
    _show(found)
    if sheet is not None:
        say(f"Wrote {sheet}")
    elif len(found.listed) > 1:
        say(f"Bring one back: regenstore tries {shell_path(inside)} --take N", err=True)


def _show(found: Tries) -> None:
    names = found.names[:_COLUMNS]
    rows: list[tuple[str | Cell, ...]] = []
    for each in found.listed:
        past = each.past
        style = STYLES.get(past.state, "")
        made = "imported media" if past.recipe.imported else ""
        values = [short_value(each.values[name]) if name in each.values else "" for name in names]
        rest = (str(each.number), past.take.digest.short, *values, made, _when(each), size_text(past.take.size))
        rows.append((*rest, Cell(past.state, style)))
    heads = (Heading("try", right=True), Heading("content"), *map(Heading, names), Heading(""), Heading("when"))
    show_table((*heads, Heading("size", right=True), Heading("state")), rows)
    if more := found.names[_COLUMNS:]:
        say(f"They also differ in {', '.join(more)} (see --json)")


def _when(each: Try) -> str:
    when = each.past.when
    return "" if when is None else time.strftime("%Y-%m-%d %H:%M", time.localtime(when))


def _labels(each: Try) -> list[str]:
    """The lines below a thumbnail: number and seed, what changed, when and how large."""
    past = each.past
    seed = each.values.get("seed")
    changed = ", ".join(
        f"{change.name} {'removed' if change.after is None else short_value(change.after)}"
        for change in past.changes or ()
        if change.name != "seed"
    )
    first = f"#{each.number}" if seed is None else f"#{each.number}   seed {seed}"
    changed = "imported media" if past.recipe.imported else changed
    return [visible(line) for line in (first, changed, f"{_when(each)}   {size_text(past.take.size)}".strip())]
