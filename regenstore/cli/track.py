"""``regenstore track``"""

from __future__ import annotations

import os
from collections.abc import Iterable

import click

from regenstore.cli.console import say
from regenstore.cli.context import emit_json, json_option, open_repository, show_path, size_text
from regenstore.cli.presentation import counted
from regenstore.gitfilter import attributes
from regenstore.repository import Repository
from regenstore.tracked.unmatched import raw, unmatched


@click.command()
@click.argument("patterns", nargs=-1)
@click.option("--dry-run", "-n", is_flag=True, help="Only show what would be written.")
@json_option
def command(patterns: tuple[str, ...], dry_run: bool, as_json: bool) -> None:
    """Let Git store recipes for files that match PATTERNS (in .gitattributes); without any, list the patterns.

    A folder stands for everything in it. Warns about files whose names differ from a pattern only in upper and lower
    case, and about large binary files that no pattern matches.

    Media that Git already tracks stay as they are until you convert them, all at once or by path, with
    'git add --renormalize', and commit. Earlier commits stay in Git's history.

    \b
    Examples:
      regenstore track '*.png' '*.mp4' 'audio/**/*.wav'
      git add --renormalize .
    """
    repository = open_repository()
    top = os.fsdecode(repository.location.top)
    text, was = attributes.read(top)
    if not patterns and as_json:
        emit_json("track", {"patterns": list(attributes.tracked_patterns(text))})
        return
    if not patterns:
        for pattern in attributes.tracked_patterns(text):
            say(pattern)
        return
    meant = {attributes.as_pattern(given, top): given for given in patterns}
    after, added = attributes.track(text, meant)
    if added and not dry_run:
        attributes.write(top, after, was)
    if as_json:
        emit_json("track", {"patterns": list(added)})
    for pattern in () if as_json else added:
        say(f"{'Would track' if dry_run else 'Tracking'} {pattern}")
    if any(given.startswith("!") for given in meant.values()):
        say(
            "Note: '!' is treated as part of a name; to exclude files, write 'PATTERN -filter' in .gitattributes",
            err=as_json,
        )
    if not added and not as_json:
        say("Already tracked")
    if not dry_run:
        _warn(repository, meant, as_json)


def _warn(repository: Repository, patterns: Iterable[str], as_json: bool) -> None:
    """Report patterns without effect, and files that no pattern matches although the user may have meant them."""
    bench = repository.workbench
    examples = {example: each for each in patterns if (example := attributes.example(each)) is not None}
    for example in examples.keys() - set(repository.git.filtered(examples)):
        shown = show_path(example)
        say(f"Warning: {examples[example]} has no effect: see 'git check-attr -a {shown}'", err=True)
    for found in unmatched(bench, patterns):
        count, first = len(found.paths), show_path(found.paths[0])
        what = f"{first} is" if count == 1 else f"{first} and {count - 1} more are"
        say(f"Warning: {what} not tracked ({size_text(found.bytes)}): regenstore track '{found.pattern}'", err=True)
    if count := len(raw(bench)):
        where = counted(count, "path")
        say(f"Git itself has the media of {where}; convert them: git add --renormalize .", err=as_json)
