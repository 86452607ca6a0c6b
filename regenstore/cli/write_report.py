"""What commands that write recipes share: options, and the report of what they did."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

from regenstore.cli.console import say
from regenstore.cli.context import (
    dry_run_option,
    emit_json,
    json_option,
    report_failures,
    shell_path,
    show_path,
    size_text,
)
from regenstore.cli.presentation import time_text
from regenstore.errors import RegenstoreError
from regenstore.fs.path_text import path_text
from regenstore.objects import toml
from regenstore.objects.recipe import Recipe
from regenstore.tracked.recipe_writing import Written

_Command = TypeVar("_Command", bound=Callable[..., Any])

_no_generate = click.option(
    "--no-generate", is_flag=True, help="Only write the recipe text; do not make the medium now."
)
input_option = click.option(
    "--input", "-i", "inputs", multiple=True, metavar="NAME=PATH", help="An input file; may be repeated."
)


def writing_options(command: _Command) -> _Command:
    """The options of every command that writes recipes and makes their media."""
    return _no_generate(dry_run_option(json_option(command)))


def _tell(written: Written) -> None:
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
                _tell(written)
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
