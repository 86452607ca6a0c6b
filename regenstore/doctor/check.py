"""The framework of doctor: each :class:`Check` examines one thing, all share a :class:`CheckContext`, and
:func:`examine` runs them. The list of checks, in order, is ``checks.CHECKS``.

Checks leave no changes behind.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

from regenstore.doctor import file_system, git_recipes
from regenstore.errors import KINDS, RegenstoreError
from regenstore.fs import durable
from regenstore.generators.registry import Registry
from regenstore.objects import toml
from regenstore.objects.content_store import ContentStore
from regenstore.objects.recipe import Recipe
from regenstore.refs.blobs import read_texts
from regenstore.refs.git import Git
from regenstore.remotes.remote import Remote
from regenstore.worktree.location import Location

OK, NOTE, WARNING, PROBLEM = "ok", "note", "warning", "problem"


@dataclass(frozen=True)
class Diagnosis:
    """A finding of a check. ``remedy`` is empty if nothing needs to be done."""

    check: str
    level: str
    message: str
    remedy: str = ""

    def fields(self) -> dict[str, object]:
        return {"check": self.check, "level": self.level, "message": self.message, "remedy": self.remedy}

    @property
    def title(self) -> str:
        """For display."""
        return f"{self.check.replace('_', ' ')}: {self.message}"


class NamedRemote(NamedTuple):
    """A configured remote."""

    name: str
    url: str
    remote: Remote | None
    """None if it cannot be used, or is not approved."""
    error: RegenstoreError | None
    """Why it cannot be used; None if it only lacks approval."""


@dataclass(frozen=True)
class CheckContext:
    """The data that checks examine. What is expensive and needed by several of them is computed on first use."""

    git: Git
    location: Location
    store: ContentStore
    shared: str | None
    """The store's folder, if the user has set one."""
    registry: Registry
    git_values: Mapping[str, str]
    """The expected values of the filter and the merge driver in Git's configuration."""
    setting_names: Set[str]
    """The names of all settings below ``regenstore.`` in Git's configuration."""
    reflink: bool
    find_remotes: Callable[[], Sequence[NamedRemote]]
    """Raises FormatError (``bad-declaration``)."""
    ask_remotes: bool
    """Whether remotes may be contacted; otherwise only local records about them are used."""
    environ: Mapping[str, str]
    """The environment variables of this command."""
    python: str
    """The running interpreter."""
    on_path: str | None
    """The ``regenstore`` that the shell finds."""
    bubblewrap: str | None
    """The path of the program, if it is installed."""
    now: float = field(default_factory=time.time)
    low_space: int = 2 << 30
    kind_of: Callable[[str], str] = file_system.kind

    @cached_property
    def recipe_blobs(self) -> list[git_recipes.Seen]:
        """The blobs at filtered paths in Git's index and in HEAD."""
        return git_recipes.current(self.git)

    @cached_property
    def recipes(self) -> dict[bytes, Recipe]:
        """The readable recipes among them, by object id. Uses only Git, as the database may be damaged."""
        texts = read_texts(self.git, list({seen.oid for seen in self.recipe_blobs}))
        read = ((oid, toml.decode_or_none(text)) for oid, text in texts if text is not None)
        return {oid: recipe for oid, recipe in read if recipe is not None}

    @cached_property
    def remotes(self) -> Sequence[NamedRemote]:
        """Raises FormatError (``bad-declaration``)."""
        return self.find_remotes()


Findings = Iterator[tuple[str, str, str]]
"""The findings of a check: level, message, remedy."""


@dataclass(frozen=True)
class Check:
    """A check of doctor. ``name`` identifies it in ``--json`` output; ``about`` describes what it examines;
    ``in_worktree``: it examines what only a repository with a worktree has."""

    name: str
    about: str
    run: Callable[[CheckContext], Findings]
    in_worktree: bool = False


def examine(checks: Iterable[Check], context: CheckContext) -> Iterator[Diagnosis]:
    """All findings, in the order of the checks. A check that fails becomes a finding itself, and does not stop the
    others. In a bare repository, checks of a worktree are left out."""
    for check in checks:
        if check.in_worktree and context.location.is_bare:
            continue
        try:
            for level, message, remedy in check.run(context):
                yield Diagnosis(check.name, level, message, remedy)
        except RegenstoreError as error:
            yield Diagnosis(check.name, PROBLEM, error.message, error.hint)
        except OSError as error:
            failed = durable.storage_error(error, error.filename or check.name)
            yield Diagnosis(check.name, PROBLEM, failed.message, failed.hint)
        except Exception as error:
            failure = f"the check of {check.about} failed, which is a bug: {type(error).__name__}: {error}"
            yield Diagnosis(check.name, PROBLEM, failure, KINDS["bug"])
