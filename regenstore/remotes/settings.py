"""Settings of remotes. Standard library only: Git's configuration is read for every git command."""

from __future__ import annotations

import re
from typing import NamedTuple

NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""Valid names of remotes."""
MOST_JOBS = 64
MOST_PATIENCE = 3600.0


class Pace(NamedTuple):
    """How slow a remote may be."""

    lowest: int = 1 << 10
    """Least bytes per second of each transfer, averaged over ``patience``."""
    patience: float = 30.0
    """Seconds; also the limit for an answer."""

    def seconds(self, size: int, times: float = 1.0) -> float:
        """Time limit for transferring ``size`` bytes at the lowest rate, or at a multiple of it."""
        return max(self.patience, size / (self.lowest * times))


class RemoteSetting(NamedTuple):
    """The settings of one remote."""

    url: str | None = None
    """Address. None if the remote is declared by the repository and only other settings are made here."""
    jobs: int | None = None
    """Number of parallel transfers; None: the default."""
    limit: int | None = None
    """Bytes per second for all transfers together; None: no limit."""
    lowest: int | None = None
    """Least average bytes per second of each transfer; None: the default."""
    patience: float | None = None
    """Seconds over which that average is taken, and the limit for an answer; None: the default."""

    @property
    def pace(self) -> Pace:
        """How slow the remote may be."""
        usual = Pace()
        return Pace(self.lowest or usual.lowest, self.patience or usual.patience)


class SshSetting(NamedTuple):
    """Where the user's SSH settings are."""

    folder: str = ""
    """``~/.ssh``."""
    agent: str = ""
    """The agent's socket; empty if there is none."""


KEYS = RemoteSetting._fields
"""The settings that may follow the name in Git's configuration."""


class Proxies(NamedTuple):
    """Proxy settings of the environment, evaluated by :mod:`regenstore.remotes.backends.proxy`. Never displayed, as
    they may contain passwords."""

    http: str = ""
    https: str = ""
    none: str = ""
    """Servers to be contacted directly."""

    def __repr__(self) -> str:
        return f"Proxies(none={self.none!r})"
