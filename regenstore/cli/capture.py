"""``regenstore capture``"""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial

import click

from regenstore.capture.captured import LEVELS, Captured
from regenstore.cli.console import say, write
from regenstore.cli.context import (
    ConsoleProgress,
    dry_run_option,
    emit_json,
    json_option,
    open_repository,
    report_failures,
    show_path,
)
from regenstore.cli.presentation import Heading, counted, show_table
from regenstore.errors import InvalidInput, NotFound, RegenstoreError
from regenstore.fs import presence
from regenstore.fs.path_text import path_text
from regenstore.objects import toml
from regenstore.tracked.capturing import Capturing, capture, read_file
from regenstore.worktree.paths import from_user

_COLUMNS = (Heading("level"), Heading("program"), Heading("prompt"), Heading("path"))
_PROMPT = 32
_PIECES = 6
_MANY = 20


@click.command()
@click.argument("paths", nargs=-1, required=True)
@dry_run_option
@json_option
def command(paths: tuple[str, ...], dry_run: bool, as_json: bool) -> None:
    """Show what the programs that made media left in their metadata, and give imported media the recipes that follow.

    'git add' does this by itself for media that are new to the repository. Use this command to see what was understood
    and what was not, and for media that were added before: it prepares their recipes, and 'git add' takes them. Files
    outside the worktree are only read. Nothing that metadata contain is ever run by it.

    \b
    Levels:
      exact graph       everything that the program ran: it can be run again
      parameters        prompt, seed and settings; what is not recorded is listed
      prompt only       not enough to run it again: the medium stays imported, and is kept
      provenance only   which program or service made it: likewise

    \b
    Examples:
      regenstore capture -n renders/                       # what would be understood of these
      regenstore capture renders/ && git add renders/
      regenstore capture ~/ComfyUI/output/flux_00012_.png
      regenstore capture --json renders/ | jq '.files[] | select(.level == null) | .path'
    """
    done: list[tuple[bytes, Capturing]] = []
    failed: list[tuple[bytes, RegenstoreError]] = []
    chosen = _chosen(paths, dry_run=dry_run)
    with ConsoleProgress() as progress:
        tell = progress.counts("read", len(chosen)) if len(chosen) > _MANY and not as_json else lambda path: None
        for path, read in chosen:
            try:
                done.append((path, read()))
            except RegenstoreError as error:
                failed.append((path, error))
            tell(path)
    if as_json:
        errors = [{"path": path_text(path), "kind": e.kind, "message": e.message} for path, e in failed]
        emit_json("capture", {"files": [_fields(*each) for each in done], "failed": errors})
        sys.exit(failed[-1][1].exit_code if failed else 0)
    _tell(done, dry_run=dry_run)
    sys.exit(report_failures(failed))


def _chosen(arguments: Sequence[str], *, dry_run: bool) -> list[tuple[bytes, Callable[[], Capturing]]]:
    """The files to read, and how: media of the worktree, and files elsewhere, with those in folders."""
    inside, found = [], dict[bytes, Callable[[], Capturing]]()
    try:
        repository = open_repository()
    except NotFound:
        repository = None
    for argument in arguments:
        try:
            if repository is None:
                raise InvalidInput("bad-path", "no repository is here")
            inside.append(from_user(argument, os.fsencode(os.getcwd()), repository.location.top))
        except InvalidInput:
            for name in map(os.path.abspath, _files(argument)):
                found[os.fsencode(name)] = partial(read_file, name)
    if repository is not None and inside:
        bench = repository.workbench
        for path in bench.named(inside):
            found[path] = partial(capture, bench, path, dry_run=dry_run)
    return list(found.items())


def _files(argument: str) -> list[str]:
    if not presence.is_folder(argument):
        return [argument]

    def refuse(error: OSError) -> None:
        raise presence.unreadable(error, error.filename)

    walk = os.walk(argument, onerror=refuse)
    return sorted(os.path.join(folder, name) for folder, _, names in walk for name in names)


def _tell(done: Sequence[tuple[bytes, Capturing]], *, dry_run: bool) -> None:
    show_table(_COLUMNS, [_row(path, found) for path, found in done])
    if len(done) == 1:
        _tell_one(done[0][1])
    levels = Counter(found.captured.level.value for _, found in done if found.captured is not None)
    if len(done) > 1:
        parts = [f"{words} {levels[level]:,}" for level, words in LEVELS.items() if levels[level]]
        parts += [f"none {without:,}"] if (without := len(done) - levels.total()) else []
        say(f"{counted(len(done), 'file')}: {', '.join(parts)}")
    changed = [path for path, found in done if found.changes]
    if changed:
        would = "would get" if dry_run else "got"
        say(f"{counted(len(changed), 'imported medium', 'imported media')} {would} a recipe; 'git add' takes it")


def _tell_one(found: Capturing) -> None:
    captured = found.captured
    if captured is None:
        more = f" and {len(found.pieces) - _PIECES} more" if len(found.pieces) > _PIECES else ""
        names = ", ".join(found.pieces[:_PIECES]) + more
        say(f"not understood: {names}" if names else "no metadata are embedded")
        return
    if captured.missing:
        say("not recorded: " + "; ".join(captured.missing))
    if found.recipe is not None and found.recipe.captured is not None:
        say()
        write(toml.encode(found.recipe))


def _row(path: bytes, found: Capturing) -> tuple[str, str, str, str]:
    captured = found.captured
    outside = path.startswith(b"/")  # of the worktree
    shown = os.path.relpath(os.fsdecode(path)) if outside else show_path(path)
    if captured is None:
        return "none", "", "", shown
    prompt = " ".join(_prompt(captured).split())
    short = prompt if len(prompt) <= _PROMPT else prompt[: _PROMPT - 1] + "…"
    return LEVELS[captured.level], _program(captured), short, shown


def _prompt(captured: Captured) -> str:
    for place in (captured.params, captured.about):
        found = place.get("prompt")
        if isinstance(found, str):
            return found
    return ""


def _program(captured: Captured) -> str:
    return " ".join(filter(None, (captured.program, captured.program_version)))


def _fields(path: bytes, found: Capturing) -> dict[str, object]:
    captured, recipe = found.captured, found.recipe
    return {
        "path": path_text(path),
        "level": None if captured is None else captured.level.value,
        "program": None if captured is None else captured.program,
        "program_version": None if captured is None else captured.program_version,
        "missing": [] if captured is None else list(captured.missing),
        "embedded": list(found.pieces),
        "recipe": None if recipe is None else toml.encode(recipe).decode(),
        "changes": found.changes,
    }
