"""What is set for a remote. Standard library only: Git's configuration is read for every git command."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, fields

NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""What a remote may be called."""
MOST_JOBS = 64


@dataclass(frozen=True)
class RemoteSetting:
    """One remote, as far as something is set for it."""

    url: str | None = None
    """Its address. None: only the rest is set here, for a remote that the repository declares."""
    jobs: int | None = None
    """Transfers at a time; None: as many as is usual."""
    limit: int | None = None
    """Bytes per second, all transfers together; None: no limit."""


@dataclass(frozen=True)
class SshSetting:
    """Where the user keeps what SSH needs."""

    folder: str = ""
    """``~/.ssh``."""
    agent: str = ""
    """The socket of the agent; empty where there is none."""


KEYS = tuple(each.name for each in fields(RemoteSetting))
"""What stands after the name in Git's configuration."""


@dataclass(frozen=True)
class Proxies:
    """What the environment says of proxies; :mod:`regenstore.remotes.proxy` reads it. Not shown: there may be passwords
    in it."""

    http: str = field(default="", repr=False)
    https: str = field(default="", repr=False)
    none: str = ""
    """The servers that are asked directly."""
