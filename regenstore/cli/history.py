"""``regenstore history``"""

from __future__ import annotations

import json
import time

import click

from regenstore.cli.console import say
from regenstore.cli.context import (
    emit_json,
    json_option,
    open_repository,
    shell_path,
    show_path,
    size_text,
    worktree_path,
)
from regenstore.cli.presentation import Cell, Heading, show_table
from regenstore.cli.show import plain
from regenstore.fs.path_text import path_text
from regenstore.tracked import history
from regenstore.tracked.history import COMMIT, IMPORTED, FieldChange, PastContent
from regenstore.tracked.workbench import Workbench

STYLES = {"placed": "bold", "trash": "warn", "gone": "quiet"}
_LONGEST = 40
"""Characters of a value in a table: prompts are longer."""


@click.command()
@click.argument("path")
@click.option("--take", metavar="DIGEST", help="First hex digits of the content to bring back.")
@click.option("--output", "-o", "out", metavar="FILE", help="With --take: write the content to FILE, and nothing else.")
@click.option("--dry-run", "-n", is_flag=True, help="With --take: only show what would be brought back.")
@json_option
def command(path: str, take: str | None, out: str | None, dry_run: bool, as_json: bool) -> None:
    """List every content that PATH has had, with what changed in its recipe, or bring one back.

    Contents are found in all branches, tags, stashes and reflogs (shown by commit), in the index, in pending recipes,
    among other results of the same recipes (result), and in what commands replaced at PATH, --force included. PATH need
    not exist any more. A content is placed at PATH, stored, in the trash, or gone.

    --take brings back what is stored or in the trash, with the recipe that gave it, and stages nothing. What is at PATH
    is stored first. Contents that were never committed stay until 'gc --unreachable' takes them.

    \b
    Examples:
      regenstore history shots/sh010.mp4
      regenstore history shots/sh010.mp4 --take 3fa4c1
      regenstore history shots/sh010.mp4 --take 3fa4c1 -o ../old.mp4
    """
    if take is None and (out is not None or dry_run):
        raise click.UsageError("-o and -n need --take")
    repository = open_repository()
    bench = repository.workbench
    inside = worktree_path(repository, path)
    listed = history.history(bench, inside)
    if take is None:
        _show(inside, listed, as_json)
        return
    take_one(bench, path, inside, history.chosen(listed, inside, take), out, dry_run, as_json)


def take_one(
    bench: Workbench, path: str, inside: bytes, past: PastContent, out: str | None, dry_run: bool, as_json: bool
) -> None:
    """Bring back one content that a path has had, or write it to a file, and say so."""
    history.require_kept(inside, past)
    if dry_run:
        bench.require_tracked(inside)
    elif out is not None:
        history.write_to(bench, inside, past, out)
    elif past.state != "placed":
        history.bring_back(bench, inside, past)
    if as_json:
        to = path_text(inside if out is None else out)
        fields = {"path": path_text(inside), "to": to, "digest": str(past.take.digest), "size": past.take.size}
        emit_json("history-take", {**fields, "state": past.state})
        return
    to = show_path(inside) if out is None else out
    if out is None and past.state == "placed":
        say(f"{to}: {past.take.digest.short} is there already")
        return
    say(f"{'would write ' if dry_run else ''}{to}: {size_text(past.take.size)}, {past.take.digest.short}")
    if out is None and not dry_run:
        say(f"Nothing is staged; 'git add {shell_path(inside)}' stages it.")


def _show(path: bytes, listed: list[PastContent], as_json: bool) -> None:
    if as_json:
        emit_json("history", {"path": path_text(path), "contents": [content_fields(each) for each in listed]})
        return
    rows: list[tuple[str | Cell, ...]] = []
    for each in listed:
        when = "" if each.when is None else time.strftime("%Y-%m-%d %H:%M", time.localtime(each.when))
        style = STYLES.get(each.state, "")
        source = each.source if each.commit is None else each.commit[:8]
        about = f"{_words(each.changes)} ({_short(each.subject)})" if each.subject else _words(each.changes)
        digest, size = Cell(each.take.digest.short, style), size_text(each.take.size)
        rows.append((digest, size, Cell(each.state, style), when, source, about.strip()))
    heads = (Heading("content"), Heading("size", right=True), Heading("state"), Heading("when"), Heading("from"))
    show_table((*heads, Heading("what changed")), rows)


def _words(changes: tuple[FieldChange, ...] | None) -> str:
    if changes is None:
        return ""
    return ", ".join(map(_change, changes)) or "the same recipe"


def _change(change: FieldChange) -> str:
    if IMPORTED in change[1:]:
        return IMPORTED if change.after == IMPORTED else f"made by {change.after}"
    before, after = (None if value is None else short_value(value) for value in change[1:])
    if before is None:
        return f"{change.name} {after} added"
    return f"{change.name} {before} removed" if after is None else f"{change.name} {before} → {after}"


def short_value(value: object) -> str:
    """A value of a recipe, as it fits into a table."""
    return _short(value if isinstance(value, str) else json.dumps(plain(value), ensure_ascii=False))


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def content_fields(past: PastContent) -> dict[str, object]:
    """A content as JSON."""
    return {
        "digest": str(past.take.digest),
        "size": past.take.size,
        "media_type": past.recipe.output.media_type,
        "key": None if past.recipe.key is None else str(past.recipe.key),
        "when": past.when,
        "from": past.source,
        "commit": past.commit,
        "subject": past.subject if past.source == COMMIT else None,
        "state": past.state,
        "changes": None if past.changes is None else [_change_fields(each) for each in past.changes],
    }


def _change_fields(change: FieldChange) -> dict[str, object]:
    before, after = (None if value is None else plain(value) for value in change[1:])
    return {"name": change.name, "before": before, "after": after}
