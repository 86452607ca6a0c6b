"""The installed packages behind a plug-in: its distribution and everything that it requires, as found on disk."""

from __future__ import annotations

import sys
from functools import cache

from regenstore.generators.python_packages import Packages, closure
from regenstore.objects.hash_cache import KnownHashes

GROUP = "regenstore.generators"


def installed_with(generator: str) -> str:
    """The state of the distributions that provide a generator, with their dependencies; of all installed ones if
    none claims it."""
    return _packages(generator).of(sys.path)


@cache
def _packages(generator: str) -> Packages:
    from importlib import metadata

    found = metadata.entry_points(group=GROUP, name=generator)
    roots = [entry.dist.metadata["Name"] for entry in found if entry.dist is not None]
    return Packages(KnownHashes(), closure(roots).__contains__ if roots else None)
