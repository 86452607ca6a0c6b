"""``regenstore takes``"""

from __future__ import annotations

import time

import click

from regenstore.cli.context import (
    emit_json,
    for_each,
    json_lines_option,
    open_repository,
    show_path,
    size_text,
    worktree_paths,
)
from regenstore.cli.presentation import Cell, Heading, headline, show_table
from regenstore.fs.path_text import path_text
from regenstore.tracked import proof
from regenstore.tracked.proof import KnownTake

_COLUMNS = (Heading("content"), Heading("size", right=True), Heading("made"), Heading("what it is"))


@click.command()
@click.argument("paths", nargs=-1, required=True)
@json_lines_option
def command(paths: tuple[str, ...], as_json: bool) -> None:
    """List all contents that the recipes at PATHS are known to have made, starting with the recorded take.

    \b
    Examples:
      regenstore takes shots/sh010.mp4
      regenstore takes shots/
    """
    repository = open_repository()
    bench = repository.workbench
    named = bench.named(worktree_paths(repository, paths))

    def show(path: bytes) -> None:
        found = proof.takes(bench, path)
        proofs = {p.second: p.tier for p in proof.proofs_of(bench, bench.current(path))}
        if as_json:
            emit_json("takes", {"path": path_text(path), "takes": [_fields(t, proofs.get(t.digest)) for t in found]})
            return
        if len(named) > 1:
            headline(show_path(path), first=path == named[0])
        show_table(_COLUMNS, [_row(t, proofs.get(t.digest)) for t in found])

    for_each(named, show)


def _fields(take: KnownTake, tier: str | None) -> dict[str, object]:
    return {
        "digest": str(take.digest),
        "size": take.size,
        "made": take.made,
        "seconds": take.seconds,
        "recorded": take.recorded,
        "stored": take.stored,
        "tier": tier,
    }


def _row(take: KnownTake, tier: str | None) -> tuple[str | Cell, ...]:
    made = "-" if take.made is None else time.strftime("%Y-%m-%d %H:%M", time.localtime(take.made))
    words = [w for w, true in (("the take", take.recorded), ("not in the store", not take.stored)) if true]
    if tier is not None:
        words.append(f"second run: {tier}")
    return Cell(take.digest.short, "bold" if take.recorded else ""), size_text(take.size), made, ", ".join(words)
