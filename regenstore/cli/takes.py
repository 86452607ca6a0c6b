"""``regenstore takes``"""

from __future__ import annotations

import time

import click

from regenstore.cli.context import emit_json, json_option, open_repository, size_text, worktree_path
from regenstore.cli.presentation import Cell, Heading, show_table
from regenstore.fs.path_text import path_text
from regenstore.tracked import proof


@click.command()
@click.argument("path")
@json_option
def command(path: str, as_json: bool) -> None:
    """List all contents that the recipe at PATH is known to have made, starting with the recorded take.

    \b
    Example:
      regenstore takes shots/sh010.mp4
    """
    repository = open_repository()
    bench = repository.workbench
    inside = worktree_path(repository, path)
    found = proof.takes(bench, inside)
    proofs = {p.second: p.tier for p in proof.proofs_of(bench, bench.current(inside))}
    if as_json:
        records = [
            {
                "digest": str(t.digest),
                "size": t.size,
                "made": t.made,
                "seconds": t.seconds,
                "recorded": t.recorded,
                "stored": t.stored,
                "tier": proofs.get(t.digest),
            }
            for t in found
        ]
        emit_json("takes", {"path": path_text(path), "takes": records})
        return
    rows: list[tuple[str | Cell, ...]] = []
    for t in found:
        made = "-" if t.made is None else time.strftime("%Y-%m-%d %H:%M", time.localtime(t.made))
        words = [w for w, true in (("the take", t.recorded), ("not in the store", not t.stored)) if true]
        if t.digest in proofs:
            words.append(f"second run: {proofs[t.digest]}")
        rows.append((Cell(t.digest.short, "bold" if t.recorded else ""), size_text(t.size), made, ", ".join(words)))
    show_table((Heading("content"), Heading("size", right=True), Heading("made"), Heading("what it is")), rows)
