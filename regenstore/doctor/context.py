"""What doctor looks at, and what a check finds."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import NamedTuple

from regenstore.doctor import file_system
from regenstore.errors import RegenstoreError
from regenstore.generators.registry import Registry
from regenstore.objects.content_store import ContentStore
from regenstore.refs.git import Git
from regenstore.remotes.remote import Remote
from regenstore.worktree.location import Location

OK, NOTE, WARNING, PROBLEM = "ok", "note", "warning", "problem"


@dataclass(frozen=True)
class Diagnosis:
    """What one check found. ``remedy`` is empty where nothing need be done."""

    check: str
    level: str
    message: str
    remedy: str = ""


class NamedRemote(NamedTuple):
    """A remote that has a name here."""

    name: str
    url: str
    remote: Remote | None
    """None where it cannot be used, or was not approved."""
    error: RegenstoreError | None
    """Why it cannot be used; None where it only lacks the approval."""


@dataclass(frozen=True)
class Patient:
    """What is looked at. ``expected`` is what Git's configuration should hold; ``shared`` is the store's
    folder when the user has set one."""

    git: Git
    location: Location
    store: ContentStore
    registry: Registry
    expected: Mapping[str, str]
    reflink: bool
    shared: str | None
    settings: Set[str] = frozenset()
    """The names of all settings below ``regenstore.`` in Git's configuration."""
    bubblewrap: str | None = None
    """Where the program is, if it is installed."""
    remotes: Callable[[], Sequence[NamedRemote]] = tuple
    """Raises FormatError (``bad-declaration``)."""
    ask_remotes: bool = False
    """Whether remotes may be asked; else only what is kept of them here is looked at."""
    environ: Mapping[str, str] = field(default_factory=dict)
    """The variables that this command was started with."""
    on_path: str | None = None
    """Which ``regenstore`` the shell finds."""
    python: str = ""
    """The running interpreter."""
    low_space: int = 2 << 30
    kind_of: Callable[[str], str] = file_system.kind
    clock: Callable[[], float] = time.time


Found = Iterator[tuple[str, str, str]]
"""What one check finds: level, message, remedy."""
