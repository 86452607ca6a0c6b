"""What the commands that take media over from other tools have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from regenstore.cli.console import say
from regenstore.cli.context import show_path, size_text
from regenstore.cli.presentation import counted
from regenstore.errors import InvalidInput, RegenstoreError
from regenstore.fs.path_text import path_text
from regenstore.repository import Repository

_SHOWN = 20


def require_filter(repository: Repository) -> None:
    """Raise InvalidInput (``bad-config``) if Git does not know our filter."""
    if repository.git.config_value("filter.regenstore.process") is None:
        raise InvalidInput(
            "bad-config", "regenstore's filter is not set up for this repository", hint="Run: regenstore init"
        )


def tell_missing(paths: Sequence[bytes], tool: str) -> None:
    """Name the first files that another tool does not have on this machine, and the number of the others."""
    for path in paths[:_SHOWN]:
        say(f"{show_path(path)}: {tool} does not have its file here", err=True)
    if len(paths) > _SHOWN:
        say(f"and {len(paths) - _SHOWN:,} more that {tool} does not have here", err=True)


def tell_taken(count: int, what: str, size: int, *, dry_run: bool, of: str = "") -> None:
    """Say how many files became recipes, or would."""
    would, recipes = "would become" if dry_run else "became", "a recipe" if count == 1 else "recipes"
    say(f"{counted(count, what)}{of} {would} {recipes}; their media have {size_text(size)}")


def refused_fields(refused: Mapping[bytes, RegenstoreError]) -> list[dict[str, object]]:
    """The paths that could not be taken over, for programs."""
    return [{"path": path_text(path), "kind": e.kind, "message": e.message} for path, e in refused.items()]
