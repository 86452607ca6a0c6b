"""``regenstore models``"""

from __future__ import annotations

import click

from regenstore.cli.lazy import LazyGroup

COMMANDS = {
    "scan": "Hash the model files in folders and add them to the index.",
    "list": "List the models of the index.",
    "find": "Find models by a hash or a name.",
    "forget": "Remove models from the index; deletes no files.",
}


class _Models(LazyGroup):
    commands_listed = COMMANDS
    prefix = "models_"


@click.group(cls=_Models)
def command() -> None:
    """Know model files by their hashes, so that recipes name them by digest: an index for all your repositories,
    outside of them.

    \b
    Examples:
      regenstore models scan ~/ComfyUI/models /data/loras
      regenstore models list 'sdxl*'
      regenstore models find 31e35c80fc
      regenstore models forget --missing
    """
