"""Report what commands that write recipes did."""

from __future__ import annotations

from regenstore.cli.console import say
from regenstore.cli.context import show_path, size_text
from regenstore.cli.presentation import time_text
from regenstore.tracked.recipe_writing import Written


def tell(written: Written) -> None:
    """Print one line about a written recipe."""
    path = show_path(written.path)
    if written.content is None:
        say(f"{path}: recipe written; 'regenstore get {path}' makes the medium")
        return
    seconds = written.recipe.output.seconds
    cost = ", made before" if not written.made else "" if seconds is None else f", {time_text(seconds)} to make"
    say(f"{path}: {size_text(written.content.size)}{cost}, {written.content.digest.short}")
