"""``regenstore find``"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

import click

from regenstore.cli.console import say, write
from regenstore.cli.context import ConsoleProgress, emit_json, json_option, open_repository, show_path, worktree_paths
from regenstore.cli.presentation import Cell, Heading, counted, show_table
from regenstore.fs.path_text import path_text
from regenstore.repository import Repository
from regenstore.tracked import find
from regenstore.tracked.find import Search
from regenstore.tracked.query import Expression, expression, is_expression

_LONGEST = 60
"""Characters of a value in a table: prompts are longer."""


@click.command()
@click.argument("arguments", nargs=-1, metavar="EXPR... [PATH]...")
@click.option("--all", "-a", "everywhere", is_flag=True, help="Search all branches, tags, stashes and reflogs.")
@click.option("--rev", metavar="REV", help="Search a revision, instead of Git's index.")
@click.option("-z", "nul", is_flag=True, help="Print only paths, each ended by a NUL byte.")
@json_option
def command(arguments: tuple[str, ...], everywhere: bool, rev: str | None, nul: bool, as_json: bool) -> None:
    """Find media by what their recipes say: those that match every EXPR, at and below PATHs if any are given.

    \b
      seed=42  model=sdxl*    equal; text may have * ? [...], and its case is ignored
      seed!=42                no value equals it, or there is none
      prompt~lighthouse       contains a text, whatever its case
      prompt~/light.?house/   contains a match of a regular expression (Python's)
      'cfg>7'  'size>=1024'   < > <= >=: a number; bytes may have units: 'bytes>10MB'
      lora?                   there is a value

    Quote what has <, >, *, ? or blanks, or the shell takes it. A path with such a sign begins with ./ here.

    A name is that of a parameter (prompt, negative_prompt, seed, steps, cfg, sampler, width ...), at any depth, or a
    path: class_type=KSampler, nodes.3.class_type=KSampler, about.scene=harbour. Besides there are generator ('imported'
    if there is none), version, model, lora, input, tag, type (the media type), key, digest, bytes (of the take),
    seconds (that it took), and size (the larger of width and height). captured is how much a captured recipe tells:
    graph, parameters, prompt or provenance. What a recipe does not write down, such as a default, is not found.

    Searches what 'git add' has added. With --all, a recipe is listed once for each path, with the newest commit that
    put it there. The first search reads all recipes and keeps what they say in the store's database; the next ones are
    fast. Exits with 1 if nothing is found.

    \b
    Examples:
      regenstore find prompt~lighthouse 'model=sdxl*' 'size>=1024'
      regenstore find seed=42 shots/ --all
      regenstore find tag=keep -z | xargs -0 regenstore get
    """
    if everywhere and rev is not None:
        raise click.UsageError("--all and --rev cannot be used together")
    meant = [expression(each) for each in arguments if is_expression(each)]
    if not meant:
        raise click.UsageError("give an expression, such as seed=42 ('regenstore ls-files' lists all paths)")
    repository = open_repository()
    inside = worktree_paths(repository, [each for each in arguments if not is_expression(each)])
    with ConsoleProgress() as progress:

        def told(total: int) -> Callable[[], None]:
            one = progress.counts("reading recipes for the first time", total)
            return lambda: one(b"")

        search = _search(repository, meant, inside, everywhere, rev, told)
    if as_json:
        emit_json("find", {"expressions": [each.shown for each in meant], **_fields(search, meant)})
    elif nul:
        here = os.getcwdb()
        for path in dict.fromkeys(each.path for each in search.found):
            write(os.path.relpath(os.path.join(repository.location.top, path), here) + b"\0")
    else:
        _show(search, meant)
    if search.unreadable:
        count = counted(search.unreadable, "recipe")
        say(f"Warning: {count} could not be read: see 'regenstore check'", err=True)
    if not search.found:
        raise SystemExit(1)


def _search(
    repository: Repository,
    meant: Sequence[Expression],
    inside: Sequence[bytes],
    everywhere: bool,
    rev: str | None,
    told: find.Told,
) -> Search:
    bench = repository.workbench
    if everywhere:
        return find.in_history(bench, repository.roots.reached().blobs, meant, inside, told)
    if rev is not None:
        return find.in_revision(bench, rev, meant, inside, told)
    return find.in_index(bench, meant, inside, told)


def _show(search: Search, meant: Sequence[Expression]) -> None:
    names = list(dict.fromkeys(each.name for each in meant))
    at = [[each.name for each in meant].index(name) for name in names]
    rows: list[tuple[str | Cell, ...]] = []
    for found in search.found:
        cells = (_short(", ".join(map(_text, found.values[place]))) for place in at)
        commit = Cell((found.commit or "")[:8], "quiet")
        rows.append((show_path(found.path), *cells, commit))
    show_table((Heading("path"), *map(Heading, names), Heading("commit")), rows)


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _fields(search: Search, meant: Sequence[Expression]) -> dict[str, object]:
    found = [
        {
            "path": path_text(each.path),
            "blob": each.oid.hex(),
            "commit": each.commit,
            "values": {one.name: list(values) for one, values in zip(meant, each.values)},
        }
        for each in search.found
    ]
    return {"found": found, "unreadable": search.unreadable}
