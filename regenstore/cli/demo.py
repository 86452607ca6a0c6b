"""``regenstore demo``"""

from __future__ import annotations

import os
import shutil
import sys

import click

from regenstore.errors import Conflict


@click.command()
@click.argument("folder", default="regenstore-demo", type=click.Path(file_okay=False))
@click.option("--force", is_flag=True, help="Remove an earlier demo from the folder first.")
@click.option("--quick", is_flag=True, help="Use smaller pictures, for slow machines.")
def command(folder: str, force: bool, quick: bool) -> None:
    """Demonstrate the whole workflow on a small film project in FOLDER (default: regenstore-demo).

    Makes some thirty assets, commits, branches, merges, loses the disk, and gets everything back. Touches
    nothing outside FOLDER, needs neither a network nor a Git identity, and takes less than a minute.

    \b
    Examples:
      regenstore demo
      regenstore demo ~/tmp/film-demo --force
    """
    from regenstore.cli.demo_story import MARK, Story

    top = os.path.abspath(folder)
    if os.path.isdir(top) and os.listdir(top):
        if not force or not os.path.exists(os.path.join(top, MARK)):
            raise Conflict(
                "exists",
                f"{folder} is not empty",
                hint="Choose another folder, or use --force to remove an earlier demo.",
            )
        shutil.rmtree(top)
    sys.exit(Story(top, 0.5 if quick else 1.0).play())
