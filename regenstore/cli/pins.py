"""``regenstore pins``"""

from __future__ import annotations

import click

from regenstore.cli.console import say
from regenstore.cli.context import emit_json, json_option, open_repository, show_path
from regenstore.cli.presentation import Heading, show_table
from regenstore.fs.path_text import path_text
from regenstore.tracked import pinning


@click.command()
@json_option
def command(as_json: bool) -> None:
    """List pins with their reasons and their paths in Git's index.

    \b
    Example:
      regenstore pins
    """
    found = pinning.pins(open_repository().workbench)
    if as_json:
        rows = [
            {
                "subject": pin.subject,
                "blob": pin.blob.hex(),
                "reason": pin.reason or None,
                "created": pin.created,
                "paths": [path_text(path) for path in paths],
            }
            for pin, paths in found
        ]
        emit_json("pins", {"pins": rows})
        return
    show_table(
        (Heading("reason"), Heading("pinned"), Heading("paths")),
        [
            (pin.reason, pin.subject, ", ".join(show_path(path) for path in paths) or "not in Git's index")
            for pin, paths in found
        ],
    )
    if not found:
        say("Nothing is pinned.")
