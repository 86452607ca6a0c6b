"""Report what commands that write recipes did."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

from regenstore.cli.console import say
from regenstore.cli.context import emit_json, report_failures, shell_path, show_path, size_text
from regenstore.cli.presentation import time_text
from regenstore.errors import RegenstoreError
from regenstore.fs.path_text import path_text
from regenstore.objects import toml
from regenstore.objects.recipe import Recipe
from regenstore.tracked.recipe_writing import Written


def tell(written: Written) -> None:
    """Print one line about a written recipe."""
    path = show_path(written.path)
    if written.content is None:
        say(f"{path}: recipe written; 'regenstore get {shell_path(written.path)}' makes the medium")
        return
    seconds = written.recipe.output.seconds
    cost = ", made before" if not written.made else "" if seconds is None else f", {time_text(seconds)} to make"
    say(f"{path}: {size_text(written.content.size)}{cost}, {written.content.digest.short}")


def preview(before: Recipe | None, after: Recipe) -> str:
    """Say what a dry run would write, as the difference of the recipe's text."""
    import difflib

    old = "" if before is None else toml.encode(before).decode()
    lines = difflib.unified_diff(old.splitlines(), toml.encode(after).decode().splitlines(), lineterm="", n=0)
    shown = [line for line in lines if not line.startswith(("---", "+++", "@@"))]
    return "\n".join(["would write", *(f"  {line}" for line in shown)]) if shown else "would write the same recipe"


def write_each(paths: Sequence[bytes], write: Callable[[bytes], Written | str], *, as_json: bool) -> None:
    """Write a recipe at each path, report the results as lines or as one JSON record, and exit with the code of the
    last error. ``write`` returns what it wrote, or what it did instead."""
    done: list[dict[str, object]] = []
    failed: list[tuple[bytes, RegenstoreError]] = []
    for path in paths:
        try:
            written = write(path)
        except RegenstoreError as error:
            failed.append((path, error))
            continue
        done.append(_fields(path, written))
        if not as_json:
            if isinstance(written, Written):
                tell(written)
            else:
                for line in f"{show_path(path)}: {written}".split("\n"):
                    say(line)
    if as_json:
        errors = [{"path": path_text(path), "kind": e.kind, "message": e.message} for path, e in failed]
        emit_json("written", {"paths": done, "failed": errors})
        sys.exit(failed[-1][1].exit_code if failed else 0)
    sys.exit(report_failures(failed))


def _fields(path: bytes, written: Written | str) -> dict[str, object]:
    if isinstance(written, str):
        return {"path": path_text(path), "digest": None, "size": None, "seconds": None, "note": written}
    content = written.content
    return {
        "path": path_text(path),
        "digest": None if content is None else str(content.digest),
        "size": None if content is None else content.size,
        "seconds": written.recipe.output.seconds,
        "note": None,
    }
