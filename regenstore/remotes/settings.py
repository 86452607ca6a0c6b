"""What is set for a remote. Standard library only: Git's configuration is read for every git command."""

from __future__ import annotations

import re
from typing import NamedTuple

NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""What a remote may be called."""
MOST_JOBS = 64
MOST_PATIENCE = 3600.0


class Pace(NamedTuple):
    """How slow a remote may be."""

    lowest: int = 1 << 10
    """Bytes per second that each transfer has to give, averaged over ``patience``."""
    patience: float = 30.0
    """Seconds; also what an answer may take."""

    def seconds(self, size: int, times: float = 1.0) -> float:
        """What a wait for so many bytes may take, at the lowest rate or a multiple of it."""
        return max(self.patience, size / (self.lowest * times))


class RemoteSetting(NamedTuple):
    """One remote, as far as something is set for it."""

    url: str | None = None
    """Its address. None: only the rest is set here, for a remote that the repository declares."""
    jobs: int | None = None
    """Transfers at a time; None: as many as is usual."""
    limit: int | None = None
    """Bytes per second, all transfers together; None: no limit."""
    lowest: int | None = None
    """Bytes per second that each transfer has to give on average; None: as many as is usual."""
    patience: float | None = None
    """Seconds that this average is taken over, and that an answer may take; None: as many as is usual."""

    @property
    def pace(self) -> Pace:
        """How slow it may be."""
        usual = Pace()
        return Pace(self.lowest or usual.lowest, self.patience or usual.patience)


class SshSetting(NamedTuple):
    """Where the user keeps what SSH needs."""

    folder: str = ""
    """``~/.ssh``."""
    agent: str = ""
    """The socket of the agent; empty where there is none."""


KEYS = RemoteSetting._fields
"""What stands after the name in Git's configuration."""


class Proxies(NamedTuple):
    """What the environment says of proxies; :mod:`regenstore.remotes.backends.proxy` reads it. Not shown: there may be
    passwords in it."""

    http: str = ""
    https: str = ""
    none: str = ""
    """The servers that are asked directly."""

    def __repr__(self) -> str:
        return f"Proxies(none={self.none!r})"
