"""``regenstore adopt``"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from types import TracebackType
from typing import Any

import click

from regenstore.capture.captured import Level
from regenstore.cli.console import bars, say, shows_progress, visible
from regenstore.cli.context import (
    dry_run_option,
    emit_json,
    json_option,
    open_repository,
    report_failures,
    shell_path,
    show_path,
    worktree_path,
)
from regenstore.cli.presentation import Cell, Heading, counted, show_table, size_text
from regenstore.cli.progress_lines import ProgressLines
from regenstore.cli.tracking_too import not_tracked, track_too
from regenstore.fs.path_text import path_text
from regenstore.tracked.adopt import AdoptedFile, Adoption, AdoptProgress, AdoptReport, AdoptWish, Bytes

_SHOWN = 40
_LEVELS = {
    Level.GRAPH: "exact graph",
    Level.PARAMETERS: "parameters",
    Level.PROMPT: "prompt only",
    Level.PROVENANCE: "provenance only",
    None: "no metadata",
}
_PROVABLE = (Level.GRAPH, Level.PARAMETERS)


@click.command()
@click.argument("folder", metavar="DIR", required=False)
@click.option("--to", "pattern", metavar="PATTERN", help="Sort by a pattern, as described above.")
@click.option("--into", metavar="FOLDER", help="Folder in the worktree.  [default: DIR's name; with --to, the top]")
@click.option("--copy", is_flag=True, help="Copy the bytes, also where the file system could share them.")
@click.option("--reflink", is_flag=True, help="Share the bytes by reflink, or fail.")
@click.option("--move", is_flag=True, help="Remove each file from DIR once the store has its bytes, verified.")
@click.option("--place", is_flag=True, help="Place the media in the worktree, not only their recipes.")
@click.option("--track", is_flag=True, help="Track the patterns that are missing, such as '*.png'.")
@click.option("--git-history", is_flag=True, help="Instead of DIR: media in Git's history; see 'migrate-from git'.")
@dry_run_option
@json_option
@click.pass_context
def command(
    ctx: click.Context,
    folder: str | None,
    pattern: str | None,
    into: str | None,
    copy: bool,
    reflink: bool,
    move: bool,
    place: bool,
    track: bool,
    git_history: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Take a folder of media, such as a program's output folder, into this repository.

    Media are found by their content. Their bytes go into the store (by reflink where the file system can, else copied),
    their recipes, with what the programs embedded, into the worktree and into Git's index, as 'git add' would enter
    them. Equal contents are taken once, also if the repository has them already. DIR stays as it is, except with
    --move. Links are not followed.

    The worktree has the recipes as text then, as after 'regenstore drop': 'regenstore get' places media, or --place.

    PATTERN is a path with fields in braces: date, time, name, ext, folder, kind (image, video, audio), digest, program,
    workflow, model, level, seed, width, height, steps, cfg, sampler. Without {ext}, the extension is added; what a file
    does not tell is 'unknown'; equal names get a number. Without --to, DIR's own structure is kept.

    A run that was stopped is continued by the same command. Exits with the code of one of the errors if files could not
    be taken.

    \b
    Examples:
      regenstore adopt ~/ComfyUI/output -n
      regenstore adopt ~/ComfyUI/output --track
      regenstore adopt ~/ComfyUI/output --to '{date}/{workflow}/{seed}' --move
    """
    if git_history:
        from regenstore.cli.migrate_from_git import command as of_history

        if folder is not None or pattern or into or copy or reflink or move or place or track:
            raise click.UsageError("--git-history takes neither DIR nor other options than -n and --json")
        ctx.invoke(of_history, map_file=None, dry_run=dry_run, as_json=as_json)
        return
    if folder is None:
        raise click.UsageError("Give the folder to adopt, or --git-history.")
    if copy + reflink + move > 1:
        raise click.UsageError("--copy, --reflink and --move cannot be used together")
    repository = open_repository()
    source = os.fsencode(folder)
    if into is not None:
        below = worktree_path(repository, into)
    else:
        below = b"" if pattern is not None else os.path.basename(os.path.realpath(source))
    how = Bytes.COPY if copy else Bytes.REFLINK if reflink else Bytes.AUTO
    wish = AdoptWish(source, below, pattern, how, move, place, reflinks=repository.settings.reflink)
    with _AdoptBar(as_json) as shown:
        adoption = Adoption(repository.workbench, wish, AdoptProgress(shown.begin, shown.done))
        lacking = adoption.lacking()
        if lacking and not track and not dry_run:
            raise not_tracked(lacking)
        staged = lacking and not dry_run and track_too(repository, lacking)
        report = adoption.run(dry_run=dry_run)
    if as_json:
        emit_json("adopt", {"folder": path_text(source), "tracked": lacking, **_fields(report)})
        sys.exit(report.failed[-1][1].exit_code if report.failed else 0)
    for each in lacking:
        say(f"{'Tracking' if not dry_run else 'Would track' if track else 'Not tracked; --track adds'} {each}")
    if dry_run:
        _show_plan(report.files)
    _summarise(report, below, wish, dry_run)
    if lacking and not dry_run and not staged:
        say("Commit the patterns with them: git add .gitattributes")
    sys.exit(report_failures(report.failed))


def _show_plan(files: Sequence[AdoptedFile]) -> None:
    rows = [
        (
            visible(os.fsdecode(each.source)),
            Cell(show_path(each.path), "quiet" if each.duplicate else ""),
            "duplicate" if each.duplicate else _LEVELS[each.level],
        )
        for each in files[:_SHOWN]
    ]
    show_table((Heading("file"), Heading("path"), Heading("what it tells")), rows)
    if len(files) > _SHOWN:
        say(f"and {len(files) - _SHOWN:,} more (--json lists all)")


def _summarise(report: AdoptReport, below: bytes, wish: AdoptWish, dry_run: bool) -> None:
    new = [each for each in report.files if not each.duplicate]
    copies = len(report.files) - len(new)
    total = sum(each.size for each in new)
    where = f" below {show_path(below)}" if below else ""
    say(f"{'Would adopt' if dry_run else 'Adopted'} {counted(len(new), 'medium', 'media')} ({size_text(total)}){where}")
    rows = []
    for level, name in _LEVELS.items():
        these = [each.size for each in new if each.level == level]
        if these:
            rows.append((name, f"{len(these):,}", size_text(sum(these))))
    if copies:
        rows.append(("duplicates", f"{copies:,}", size_text(sum(e.size for e in report.files if e.duplicate))))
    show_table((Heading(""), Heading("media", right=True), Heading("size", right=True)), rows)
    if provable := _provable(new):
        say(f"{size_text(provable)} of it could be freed once runs have proven that they come back")
    scan = report.scan
    apart = [
        (scan.others, counted(scan.others, "file is", "files are") + " no media"),
        (scan.links, counted(scan.links, "link was", "links were") + " not followed"),
        (report.removed, f"{counted(report.removed, 'file')} removed from {visible(os.fsdecode(wish.folder))}"),
        (report.placed, f"{counted(report.placed, 'medium', 'media')} placed"),
    ]
    if told := "; ".join(text for number, text in apart if number):
        say(told)
    if new and not dry_run:
        get = "" if wish.place else f"; 'regenstore get{' ' + shell_path(below) if below else ''}' places the media"
        say(f"'git commit' keeps the recipes{get}")


def _provable(new: Sequence[AdoptedFile]) -> int:
    return sum(each.size for each in new if each.level in _PROVABLE)


def _fields(report: AdoptReport) -> dict[str, object]:
    new = [each for each in report.files if not each.duplicate]
    levels = {}
    for level in _LEVELS:
        these = [each.size for each in new if each.level == level]
        levels[level or "none"] = {"contents": len(these), "bytes": sum(these)}
    files = [
        {
            "source": path_text(each.source),
            "path": path_text(each.path),
            "digest": str(each.digest),
            "size": each.size,
            "media_type": each.media_type,
            "duplicate": each.duplicate,
            "level": each.level,
            "program": each.program,
        }
        for each in report.files
    ]
    failed = [{"path": path_text(p), "kind": e.kind, "message": e.message} for p, e in report.failed]
    counts = {"others": report.scan.others, "links": report.scan.links}
    done = {"removed": report.removed, "placed": report.placed, "failed": failed}
    return {"files": files, "levels": levels, "provable_bytes": _provable(new), **counts, **done}


class _AdoptBar:
    """Progress in bytes with the time left: a bar on a terminal, JSON lines for scripts, else nothing."""

    def __init__(self, as_json: bool) -> None:
        self._as_json = as_json
        self._lines: ProgressLines | None = None
        self._bars: Any = None

    def __enter__(self) -> _AdoptBar:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bars is not None:
            self._bars.stop()

    def begin(self, files: int, size: int) -> None:
        if self._as_json:
            self._lines = ProgressLines(files)
        elif files and shows_progress():
            self._bars = bars(bytes_moved=True)
            self._bars.add_task("adopting", total=size)
            self._bars.start()

    def done(self, path: bytes, size: int) -> None:
        if self._lines is not None:
            self._lines.finished(os.fsdecode(path), None)
        elif self._bars is not None:
            self._bars.advance(self._bars.task_ids[0], size)
