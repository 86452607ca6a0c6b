"""``regenstore track``"""

from __future__ import annotations

import os

import click

from regenstore.cli.console import say
from regenstore.cli.context import open_repository
from regenstore.gitfilter import attributes


@click.command()
@click.argument("patterns", nargs=-1)
@click.option("--dry-run", "-n", is_flag=True, help="Only show what would be written.")
def command(patterns: tuple[str, ...], dry_run: bool) -> None:
    """Let Git store recipes for files that match PATTERNS (in .gitattributes); without any, list the patterns.

    Media that Git already tracks stay as they are until you convert them, all at once or by path, with
    'git add --renormalize', and commit. Earlier commits stay in Git's history.

    \b
    Examples:
      regenstore track '*.png' '*.mp4' 'audio/**/*.wav'
      git add --renormalize .
    """
    top = os.fsdecode(open_repository().location.top)
    text, was = attributes.read(top)
    if not patterns:
        for pattern in attributes.tracked_patterns(text):
            say(pattern)
        return
    after, added = attributes.track(text, patterns)
    if added and not dry_run:
        attributes.write(top, after, was)
    for pattern in added:
        say(f"{'Would track' if dry_run else 'Tracking'} {pattern}")
    if not added:
        say("Already tracked")
