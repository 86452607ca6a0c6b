"""``regenstore track``"""

from __future__ import annotations

import os

import click

from regenstore.cli.context import open_repository
from regenstore.gitfilter import attributes


@click.command()
@click.argument("patterns", nargs=-1)
@click.option("--dry-run", is_flag=True, help="Only show what would be written.")
def command(patterns: tuple[str, ...], dry_run: bool) -> None:
    """Let Git store recipes for file name PATTERNS (in .gitattributes); without any, list them.

    Files that Git holds already are converted the next time they are added: 'git add --renormalize .'

    \b
    Example:
      regenstore track '*.png' '*.mp4' 'audio/**/*.wav'
    """
    top = os.fsdecode(open_repository().location.top)
    text, was = attributes.read(top)
    if not patterns:
        for pattern in attributes.tracked_patterns(text):
            click.echo(pattern)
        return
    after, added = attributes.track(text, patterns)
    if added and not dry_run:
        attributes.write(top, after, was)
    for pattern in added:
        click.echo(f"{'Would track' if dry_run else 'Tracking'} {pattern}")
    if not added:
        click.echo("Already tracked")
