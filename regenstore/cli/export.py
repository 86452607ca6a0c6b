"""``regenstore export``"""

from __future__ import annotations

import click

from regenstore.cli.lazy import LazyGroup

COMMANDS = {
    "sidecar": "Write files that describe media to other programs.",
    "dataset": "Write or update a training dataset for data loaders and trainers.",
    "show": "Show an exported dataset: splits, scores, labels, and changes since.",
}


class _Exports(LazyGroup):
    commands_listed = COMMANDS
    prefix = "export_"


@click.group(cls=_Exports)
def command() -> None:
    """Export sidecars for other programs, and training datasets.

    \b
    Examples:
      regenstore export sidecar shots/sh010.mp4
      regenstore export sidecar shots/ --template resolve --to /mnt/delivery
      regenstore export dataset ../clips shots/ --min-quality 0.8 --without-failure melted
      regenstore export show ../clips
    """
