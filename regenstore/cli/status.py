"""``regenstore status``"""

from __future__ import annotations

from collections.abc import Mapping

import click

from regenstore.capture.captured import LEVELS
from regenstore.cli.console import say
from regenstore.cli.context import (
    emit_json,
    json_option,
    open_repository,
    show_path,
    size_text,
    worktree_paths,
)
from regenstore.cli.presentation import Cell, Heading, show_table, time_text
from regenstore.errors import RegenstoreError
from regenstore.fs.path_text import path_text
from regenstore.gc import auto
from regenstore.repository import Repository
from regenstore.tracked.status import STATES, PathStatus, Status, status

_QUIET = ("placed", "imported", "excluded")
_SHOWN = 40
_COLUMNS = (Heading("state"), Heading("size", right=True), Heading("store"), Heading("path"))
_STYLES = {
    **dict.fromkeys(("placed", "imported"), "good"),
    **dict.fromkeys(("recipe", "excluded"), "quiet"),
    **dict.fromkeys(("conflict", "missing", "unreadable", "not-a-file"), "error"),
}


@click.command()
@click.argument("paths", nargs=-1)
@click.option("--all", "-a", "show_all", is_flag=True, help="List all paths, including those without problems.")
@json_option
def command(paths: tuple[str, ...], show_all: bool, as_json: bool) -> None:
    """Show the state of tracked media, all or those at and below PATHS, and whether their contents in the store are
    kept or evictable ('regenstore why PATH' explains it).

    If the store's disk is nearly full (less than 10 % or 10 GB free, whichever is less), or the store exceeds
    regenstore.maxSize, also shows how much could be freed without touching anything used within a week.

    \b
    Examples:
      regenstore status
      regenstore status -a shots/
      regenstore status --json | jq '.paths[] | select(.state == "drifted") | .path'
    """
    repository = open_repository()
    found = status(repository.workbench, worktree_paths(repository, paths))
    missing = sum(1 for p in found.paths if p.digest is not None and not p.stored)
    evictable = [entry for entry in found.entries if entry.evictable]
    suggestion = _suggestion(repository, found)
    if as_json:
        rows = [
            {
                "path": path_text(p.path),
                "state": p.state,
                "size": p.size,
                "digest": None if p.digest is None else str(p.digest),
                "stored": p.stored,
                "eviction": None if p.entry is None else p.entry.finding.state,
                "rule": None if p.entry is None else p.entry.finding.rule,
                "captured": p.captured or None,
                "problem": None if p.problem is None else p.problem.message,
            }
            for p in found.paths
        ]
        counts = {"paths": len(found.paths), "media_bytes": found.media_bytes, "not_stored": missing}
        totals = {**counts, "evictable_bytes": sum(e.stored.size for e in evictable), **found.counts}
        advice = None if suggestion is None else suggestion.fields()
        emit_json("status", {"paths": rows, "totals": totals, "suggestion": advice})
        return
    if not found.paths:
        say("Nothing is tracked yet. Next: regenstore track '*.png' '*.mp4', then git add")
        return
    listed = [p for p in found.paths if show_all or p.state not in _QUIET]
    shown = listed if show_all else listed[:_SHOWN]
    show_table(_COLUMNS, map(_row, shown))
    for message in dict.fromkeys(p.problem.message for p in shown if p.problem is not None):
        say(message, style="warn")
    if len(listed) > len(shown):
        say(f"and {len(listed) - len(shown):,} more; --all lists them")
    if listed:
        say()
    show_table(
        (Heading("", right=True), Heading(""), Heading("")),
        [(f"{count:>6}", _state(state), STATES[state]) for state, count in found.counts.items()],
    )
    say(f"{len(found.paths):>6} in total, {size_text(found.media_bytes)} of media; {missing} not in the store")
    if found.captured:
        say(f"{found.captured.total():>6} captured from embedded metadata: {_levels(found.captured)}")
    if found.problem is not None:
        say(f"cannot tell whether they are kept: {found.problem.message}", err=True)
    elif evictable:
        freed = sum(entry.stored.size for entry in evictable)
        seconds = sum(entry.own or 0.0 for entry in evictable)
        kept = len(found.entries) - len(evictable)
        say(
            f"{kept:>6} {'take' if kept == 1 else 'takes'} kept, {len(evictable)} evictable:"
            f" {size_text(freed)}, {time_text(seconds)} to make again"
        )
    if suggestion is not None:
        _advise(suggestion)


def _row(p: PathStatus) -> tuple[str | Cell, ...]:
    size = "" if p.size is None else size_text(p.size)
    whether = "" if p.entry is None else p.entry.finding.state
    return _state(p.state), size, whether, show_path(p.path)


def _levels(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{words} {counts[level]:,}" for level, words in LEVELS.items() if counts.get(level))


def _state(state: str) -> Cell:
    return Cell(state, _STYLES.get(state, "warn"))


def _suggestion(repository: Repository, found: Status) -> auto.Suggestion | None:
    if found.problem is not None:
        return None  # because of the same problem, it is unknown what is evictable
    try:
        return auto.suggest(repository.store, repository.settings.max_size, lambda: repository.collector)
    except RegenstoreError as error:
        say(f"cannot tell what could be freed: {error.message}", err=True)
        return None


def _advise(suggestion: auto.Suggestion) -> None:
    say(
        f"space is low: the store should free {size_text(suggestion.lacking)};"
        f" its disk has {size_text(suggestion.disk_free)} left"
    )
    if suggestion.command is None:
        say(f"nothing evictable was unused for {auto.RECENT_DAYS} days ('regenstore gc --dry-run')")
        return
    say(
        f"'{suggestion.command}' frees {size_text(suggestion.bytes)}, {time_text(suggestion.seconds)} to make again,"
        " and keeps recent work"
    )
