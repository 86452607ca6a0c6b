"""``regenstore export sidecar``"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import click

from regenstore.cli import left_out
from regenstore.cli.announce import announcing_sidecars
from regenstore.cli.console import say
from regenstore.cli.context import (
    ConsoleProgress,
    emit_json,
    json_option,
    open_repository,
    size_text,
    worktree_paths,
)
from regenstore.cli.measuring import known_of
from regenstore.cli.presentation import Cell, Heading, say_cut, show_table
from regenstore.cli.progress_lines import progress_for
from regenstore.errors import RegenstoreError, utf8_text
from regenstore.export.media_facts import Measurements
from regenstore.export.media_set import LeftOut, MediaSet, Medium, Tree
from regenstore.export.sidecar import preview as previewing
from regenstore.export.sidecar.batch import Batch, SidecarOrder, refuse_collisions, render
from regenstore.export.sidecar.deliver import deliver, existing
from regenstore.export.sidecar.exported import Exported
from regenstore.export.sidecar.library import Library
from regenstore.fs.path_text import path_text
from regenstore.fs.reflink import Linker
from regenstore.objects.recipe import Recipe
from regenstore.refs.recipes import ATTRIBUTE
from regenstore.repository import Repository


@click.command()
@click.argument("paths", nargs=-1)
@click.option("--template", "-t", "templates", multiple=True, help="Sidecars to write; see 'regenstore template list'.")
@click.option("--frames", is_flag=True, help="Also write a CSV with measurements of every frame.")
@click.option("--no-measure", is_flag=True, help="Measure nothing, even if a template needs it.")
@click.option("--every", type=click.Choice(["1", "4"]), help="Measure, and look for faces in every N-th frame.")
@click.option("--to", type=click.Path(file_okay=False), help="Write to this folder instead of beside the media.")
@click.option("--keep-folders", is_flag=True, help="With --to: keep the folders of the worktree.")
@click.option(
    "--map",
    "maps",
    multiple=True,
    metavar="HERE=THERE",
    help="State media in HERE as being in THERE: /mnt/a=/Volumes/a.",
)
@click.option("--relative", is_flag=True, help="State media by paths relative to the sidecar (Nuke).")
@click.option("--rev", help="Export the media of this revision.")
@click.option("--copy", is_flag=True, help="Copy the media into the folder, too.")
@click.option("--embed", is_flag=True, help="Copy the media into the folder, with embedded XMP.")
@click.option("--redact", multiple=True, metavar="FIELD", help="Omit a field, such as prompt or gen.params.")
@click.option("--assume-color", metavar="NAME", help="Colour space of files that state none, such as rec709.")
@click.option("--start-frame", type=click.IntRange(0, 10_000_000), help="Number of the first frame, such as 1001.")
@click.option("--full-names", is_flag=True, help="Name them clip.mp4.xmp instead of clip.xmp.")
@click.option("--csv-safe", is_flag=True, help="Put an apostrophe before cells that look like formulas.")
@click.option("--overwrite-foreign", is_flag=True, help="Also replace files that no export wrote, or edited ones.")
@click.option(
    *("--preview", "--dry-run", "-n", "dry_run"), is_flag=True, help="Show what would be written, and write nothing."
)
@click.option("--diff", is_flag=True, help="With --preview: show differences from existing files.")
@left_out.strict_option
@json_option
def command(
    paths: tuple[str, ...],
    templates: tuple[str, ...],
    rev: str | None,
    strict: bool,
    overwrite_foreign: bool,
    every: str | None,
    dry_run: bool,
    diff: bool,
    as_json: bool,
    **given: Any,
) -> None:
    """Write sidecars for the media at and below PATHS (or matching globs): XMP, or those of the given templates.

    Sidecars are named after their media. Either all files of an export are written, or none. Those of earlier exports
    are refreshed; files that no export wrote, or that were edited since, are replaced only with --overwrite-foreign.
    Media that cannot be read or made are left out and listed at the end; the exit code is then 1.

    \b
    Examples:
      regenstore export sidecar shots/sh010.mp4
      regenstore export sidecar 'shots/**/*.mp4' --template resolve --template nuke --to delivery
      regenstore export sidecar shots/ --template aftereffects --to delivery --embed --redact prompt
      regenstore export sidecar shots/ -t nuke --frames --to delivery --keep-folders --copy --relative
      regenstore export sidecar shots/ -t premiere --map /mnt/film=/Volumes/film
      regenstore export sidecar shots/ --rev v1.2 --preview
    """
    repository = open_repository()
    given["frames"] = given["frames"] or every is not None
    order = _order(repository, templates, given)
    where = worktree_paths(repository, paths)
    tree = Tree(repository.git, repository.index, repository.blobs, repository.pending, repository.workbench.current)
    left = LeftOut(strict)
    chosen = tree.chosen(where, rev, left)
    refuse_collisions(order, [os.fsdecode(each.path) for each in chosen])
    media_set = MediaSet(repository.store, repository.cache, repository.realiser)
    plan = media_set.plan(chosen, repository.settings.budget)
    known = known_of(repository, measure=order.measures, all_faces=every == "1")
    with progress_for(as_json, len(plan.steps) + len(chosen)) as progress:
        media = media_set.realise(chosen, plan, progress, left)
        media = with_defaults(repository, media)
        batch = _render(order, media, known, progress, left)
    if dry_run:
        _show(batch, diff, left, as_json)
        return
    base = order.to if order.to is not None else order.top
    linker = Linker(reflink=repository.settings.reflink)
    with announcing_sidecars(repository, batch):
        done = deliver(
            batch,
            base=base,
            protected=_protected(repository),
            exported=Exported(known.facts),
            foreign=overwrite_foreign,
            linker=linker,
        )
    _report(batch, done.written, done.unchanged, left, as_json)
    left_out.end(left)


def _order(repository: Repository, templates: Sequence[str], given: dict[str, Any]) -> SidecarOrder:
    top = os.fsdecode(repository.location.top)
    library = Library(top)
    names = list(dict.fromkeys(templates or ("xmp",)))
    measure = given.pop("frames")
    if measure and "frames" not in names:
        names.append("frames")
    redact = frozenset(word.strip() for words in given.pop("redact") for word in words.split(",") if word.strip())
    to = given.pop("to")
    folder = None if to is None else os.path.abspath(to)
    maps = tuple(map(_map, given.pop("maps")))
    loaded = tuple(library.load(name) for name in names)
    return SidecarOrder(loaded, top, folder, maps=maps, measure=measure, redact=redact, **given)


def _map(text: str) -> tuple[str, str]:
    here, _, there = text.partition("=")
    if not os.path.isabs(here) or not (os.path.isabs(there) or re.match("[A-Za-z]:/", there)):
        raise click.UsageError(f"--map {text}: give two absolute folders, such as /mnt/a=/Volumes/a")
    return os.path.normpath(here), there


def with_defaults(repository: Repository, media: Sequence[Medium]) -> list[Medium]:
    """Media with the generators' defaults of parameters that the recipes leave out, if known."""
    return [replace(each, defaults=_defaults(repository, each.recipe)) for each in media]


def _defaults(repository: Repository, recipe: Recipe) -> Mapping[str, object]:
    """The defaults of the installed generator, of the recipe's version, for parameters that the recipe leaves out."""
    try:
        declaration = repository.registry.runnable(recipe.generator or "", recipe.version)
    except RegenstoreError:
        return {}
    return {name: each.default for name, each in declaration.params.params.items() if each.default is not None}


def _render(
    order: SidecarOrder, media: Sequence[Medium], known: Measurements, progress: ConsoleProgress, left: LeftOut
) -> Batch:
    running: set[str] = set()
    ended: set[str] = set()

    def told(path: str, done: float) -> None:
        if path in ended:
            return
        if path not in running:
            running.add(path)
            progress.started(path, None)
        progress.advanced(path, done, "")
        if done >= 1.0:
            ended.add(path)
            progress.finished(path, None)

    return render(order, media, known, told, left)


_SETTINGS = (".gitattributes", ".gitignore", ".gitmodules", "regenstore.toml")


def _protected(repository: Repository) -> Callable[[str], bool]:
    """Returns a check whether a path is a medium, or belongs to Git or to regenstore's own settings."""
    top = os.path.realpath(os.fsdecode(repository.location.top))
    own = [
        os.path.realpath(folder) + os.sep for folder in (repository.location.git_dir, repository.location.common_dir)
    ]
    media = {*repository.git.ls_files(ATTRIBUTE), *repository.pending.paths()}

    def check(path: str) -> bool:
        real = os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path))
        if any(real.startswith(folder) for folder in own):
            return True
        if not real.startswith(top + os.sep):
            return False
        name = os.path.relpath(real, top)
        return os.fsencode(name) in media or os.path.basename(name) in _SETTINGS or name.startswith(".regenstore/")

    return check


def _report(batch: Batch, written: Sequence[str], unchanged: Sequence[str], left: LeftOut, as_json: bool) -> None:
    batch.warn((os.path.basename(file.target), each) for file in batch.files for each in file.warnings)
    warnings = [utf8_text(each) for each in batch.warnings]
    if as_json:
        fresh = set(written)
        rows = [
            {
                "path": path_text(file.target),
                "media": [path_text(each) for each in file.media],
                "template": file.template or None,
                "writer": file.writer or None,
                "written": file.target in fresh,
            }
            for file in batch.files
        ]
        emit_json("export-sidecar", {"files": rows, "warnings": warnings, "failed": left_out.record(left)})
        return
    for warning in warnings:
        say(f"warning: {warning}", err=True)
    for path in written:
        say(os.path.relpath(path), whole=True)
    also = f", {len(unchanged)} unchanged" if unchanged else ""
    say(f"{len(written)} written{also}", err=True)


def _show(batch: Batch, diff: bool, left: LeftOut, as_json: bool) -> None:
    same, other = ({file.target for file in files} for files in existing(batch))
    failed = any(file.problems for file in batch.files)
    if as_json:
        shown = previewing.as_json(batch, same, other)
        emit_json("export-sidecar-preview", shown | {"failed": left_out.record(left)})
        left_out.end(left)
        sys.exit(1 if failed else 0)
    planned: list[tuple[str | Cell, ...]] = []
    for file in batch.files:
        size = previewing.size_of(file)
        told = "a copy of the medium" if size is None else size_text(size)
        told += ", with embedded XMP" if file.packet is not None else ""
        planned.append((previewing.state(file, same, other), file.target, f"({told})"))
    show_table((Heading(""), Heading(""), Heading("")), planned)
    for file in batch.files:
        if file.data is None:
            continue
        say()
        say(f"== {os.path.basename(file.target)}  {file.template} ({file.writer})", style="bold")
        rows = previewing.as_json(Batch([file]), same, other)["files"][0]["fields"]
        show_table(_FIELDS, map(_field, rows))
        say()
        for line in previewing.difference(file) if diff and file.target in other else previewing.first_lines(file):
            say_cut(f"  | {line}")
        say(f"  verdict: {'; '.join(file.problems) or 'valid'}")
        for warning in file.warnings:
            say(f"  warning: {warning}")
    for warning in batch.warnings:
        say(f"warning: {warning}")
    left_out.end(left)
    sys.exit(1 if failed else 0)


_FIELDS = (Heading("field"), Heading("state"), Heading("from"), Heading("value"))


def _field(row: Mapping[str, Any]) -> tuple[str | Cell, ...]:
    value = row["value"] or ""
    value = value if len(value) <= 60 else f"{value[:57]}… ({len(value)} characters)"
    note = f"  {row['note']}" if row["note"] and row["status"] != "missing" else ""
    style = {"ok": "good", "missing": "quiet"}.get(row["status"], "warn")
    return row["target"], Cell(row["status"], style), row["source"] or "(constant)", value + note
