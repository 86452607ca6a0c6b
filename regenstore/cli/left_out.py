"""Media that an export leaves out: the option, and the report at the end."""

from __future__ import annotations

import sys

import click

from regenstore.cli.console import say
from regenstore.cli.presentation import counted
from regenstore.export.media_set import LeftOut
from regenstore.fs.path_text import path_text

strict_option = click.option(
    "--strict", is_flag=True, help="Write nothing if a medium cannot be read or made; otherwise those are left out."
)


def record(left: LeftOut) -> list[dict[str, str]]:
    """The media left out, for JSON."""
    return [
        {"path": path_text(path), "kind": error.kind, "message": error.message} for path, error in left.errors.items()
    ]


def end(left: LeftOut) -> None:
    """List the media left out, each with its reason, and end with exit code 1; does nothing if there are none."""
    if not left.errors:
        return
    count = counted(len(left.errors), "medium", "media")
    say(f"left out: {count} that cannot be read or made; everything else was exported", err=True)
    for error in left.errors.values():
        say(f"  {error.message}", err=True)
    for hint in dict.fromkeys(error.hint for error in left.errors.values() if error.kind != "bad-export"):
        say(f"  hint: {hint}", err=True)
    sys.exit(1)
