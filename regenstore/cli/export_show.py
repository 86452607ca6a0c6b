"""``regenstore export show``"""

from __future__ import annotations

import os
import stat
import sys
from dataclasses import asdict
from typing import Any

import click

from regenstore.cli.console import say, visible
from regenstore.cli.context import emit_json, json_option, open_repository, size_text
from regenstore.cli.presentation import Heading, show_table, time_text
from regenstore.errors import InvalidInput, NotFound
from regenstore.export.dataset import read_back
from regenstore.export.dataset.contact_sheet import page
from regenstore.export.dataset.layouts import finish_interrupted
from regenstore.export.dataset.places import datasets_at
from regenstore.export.dataset.read_back import Drift, Shown
from regenstore.export.dataset.splits import SPLITS
from regenstore.export.media_set import LeftOut, Tree
from regenstore.fs import presence
from regenstore.fs.durable import storage_errors
from regenstore.worktree.place import not_a_file


@click.command()
@click.argument("out", type=click.Path())
@click.option("--html", "sheet", type=click.Path(dir_okay=False), help="Write a contact sheet as HTML.")
@click.option("--limit", type=click.IntRange(1), default=200, show_default=True, help="Samples per split on the sheet.")
@click.option("--check", is_flag=True, help="Verify every file against the digest in the manifest.")
@json_option
def command(out: str, sheet: str | None, limit: int, check: bool, as_json: bool) -> None:
    """Show the dataset OUT: samples per split, scores and labels; inside a repository also what is new, changed or gone
    there since. An interrupted update is completed or undone first.

    \b
    Examples:
      regenstore export show ../clips
      regenstore export show ../clips.zip --html sheet.html
      regenstore export show ../clips --check --json
    """
    places = datasets_at(os.path.abspath(out))
    if sheet and len(places) > 1:
        raise InvalidInput("bad-export", f"there are several datasets: name one of {', '.join(places)}")
    problems = False
    for place in places:
        problems |= _show(place, sheet, limit, check=check, as_json=as_json)
    sys.exit(1 if problems else 0)


def _show(place: str, sheet: str | None, limit: int, *, check: bool, as_json: bool) -> bool:
    """Show one dataset; returns whether it has problems."""
    finish_interrupted(place)
    shown = read_back.read(place)
    drift = _drift(shown, place)
    bad = list(read_back.damaged(place, shown.manifest)) if check else []
    shown.problems += bad
    if sheet:
        there = presence.lstat(sheet)
        if there is not None and not stat.S_ISREG(there.st_mode):
            raise not_a_file(there.st_mode).at(sheet)
        with storage_errors(sheet), open(sheet, "w", encoding="utf-8") as file:
            for part in page(place, shown, limit):
                file.write(part)
    if as_json:
        emit_json("export-show", _record(shown, drift), version=2)
    else:
        _tell(shown, drift)
    return bool(shown.problems)


def _drift(shown: Shown, place: str) -> Drift | None:
    try:
        repository = open_repository()
    except NotFound:
        return None
    tree = Tree(repository.git, repository.index, repository.blobs, repository.pending, repository.workbench.current)
    left = LeftOut()
    drift = read_back.drift(shown, place, tree.read(tree.entries(()), (), left), left)
    for error in left.errors.values():
        say(f"not compared: {visible(error.message)}", err=True)
    return drift


def _record(shown: Shown, drift: Drift | None) -> dict[str, Any]:
    manifest = shown.manifest
    return {
        "format": manifest.layout,
        "kind": manifest.kind,
        "dataset_version": manifest.version,
        "revision": manifest.revision,
        "splits": manifest.counts,
        "seconds": shown.seconds,
        "bytes": shown.bytes,
        "scores": {
            name: {split: asdict(score) for split, score in found.items()} for name, found in shown.scores.items()
        },
        "labels": shown.labels,
        "filters": manifest.filters,
        "removed": len(manifest.removed),
        "problems": shown.problems,
        "drift": None if drift is None else asdict(drift),
    }


_SCORES = (Heading("score"), Heading("split"))


def _tell(shown: Shown, drift: Drift | None) -> None:
    manifest = shown.manifest
    name = visible(str(manifest.settings.get("name", "")))
    say(f"{name} {manifest.version}: {manifest.layout}, {manifest.kind}", style="bold")
    show_table(
        (Heading("split"), *(Heading(head, right=True) for head in ("samples", "length", "size"))),
        [
            (split, f"{count:,}", time_text(shown.seconds.get(split, 0.0)), size_text(shown.bytes.get(split, 0)))
            for split in SPLITS
            if (count := manifest.counts.get(split))
        ],
    )
    show_table(
        (*_SCORES, *(Heading(head, right=True) for head in ("least", "mean", "most", "measured"))),
        [
            (column, split, f"{score.least:.3g}", f"{score.mean:.3g}", f"{score.most:.3g}", f"{score.count:,}")
            for column, by_split in shown.scores.items()
            for split, score in by_split.items()
        ],
    )
    show_table(
        (Heading("label"), *(Heading(split, right=True) for split in SPLITS), Heading("value")),
        [
            (column, *(str(splits.get(split, "")) for split in SPLITS), value)
            for column, values in shown.labels.items()
            for value, splits in sorted(values.items(), key=lambda item: (-sum(item[1].values()), item[0]))[:20]
        ],
    )
    for problem in shown.problems:
        say(f"problem: {problem}", err=True)
    if drift is not None:
        say(f"changes since: {len(drift.new)} new, {len(drift.changed)} changed, {len(drift.gone)} gone")
        for what in ("changed", "gone"):
            for path in getattr(drift, what)[:10]:
                say(f"  {what}: {path}")
