"""``regenstore export``"""

from __future__ import annotations

import click

from regenstore.cli.lazy import LazyGroup

COMMANDS = {
    "sidecar": "Write files beside media that tell other programs what they are.",
    "dataset": "Write or update a training dataset that loaders and trainers read as it is.",
    "show": "Look at an exported dataset: splits, scores, labels, and what changed since.",
}


class _Exports(LazyGroup):
    commands_listed = COMMANDS
    prefix = "export_"


@click.group(cls=_Exports)
def command() -> None:
    """Write sidecars for other programs, and datasets.

    \b
    Examples:
      regenstore export sidecar shots/sh010.mp4
      regenstore export sidecar shots/ --template resolve --to /mnt/delivery
      regenstore export dataset ../clips shots/ --min-quality 0.8 --without-failure melted
      regenstore export show ../clips
    """
