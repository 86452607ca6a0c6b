"""``regenstore untrack``"""

from __future__ import annotations

import os

import click

from regenstore.cli.console import say
from regenstore.cli.context import emit_json, json_option, open_repository
from regenstore.gitfilter import attributes


@click.command()
@click.argument("patterns", nargs=-1, required=True)
@click.option("--dry-run", "-n", is_flag=True, help="Only show what would be removed.")
@json_option
def command(patterns: tuple[str, ...], dry_run: bool, as_json: bool) -> None:
    """Remove PATTERNS from .gitattributes. Media and recipes stay as they are.

    \b
    Example:
      regenstore untrack '*.wav'
    """
    top = os.fsdecode(open_repository().location.top)
    text, was = attributes.read(top)
    meant = {*patterns, *(attributes.as_pattern(each, top) for each in patterns)}
    after, removed = attributes.untrack(text, meant)
    if removed and not dry_run:
        attributes.write(top, after, was)
    if as_json:
        emit_json("untrack", {"patterns": list(removed)})
        return
    for pattern in removed:
        say(f"{'Would untrack' if dry_run else 'No longer tracking'} {pattern}")
    if not removed:
        say("No such pattern is tracked here; 'regenstore track' lists them")
