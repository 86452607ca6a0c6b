"""What the built-in generators said of their environment a short while ago, for commands that only tell.

Asking them starts a process that loads every library which they use: most of what 'status' would cost. What they said
is believed for an hour, and only while the same Python has the same of those libraries and of their own code. Whatever
evicts or proves asks them anew.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator, Mapping

from regenstore.errors import StorageError
from regenstore.fs import durable, presence
from regenstore.objects.hashing import hash_bytes
from regenstore.proof.environments import Environments

FILE = "environments.json"
"""Beside the user's approvals."""
BUILT_IN = frozenset(f"{kind}.{medium}" for kind in ("procedural", "derive") for medium in ("image", "video", "audio"))
_LASTS = 3600.0
_LIBRARIES = ("numpy-", "pillow-", "av-", "zstandard-", "regenstore-")
_OWN, _PLUGIN = ("generators", "generators/derive", "media"), "regenstore_procedural"


class RecentEnvironments(Environments):
    """Answers for built-in generators from the file at ``path`` where that is possible, and else asks those that
    ``ask`` makes. ``environment`` is what generators' processes see of the environment."""

    def __init__(self, path: str, environment: Mapping[str, str], ask: Callable[[], Environments]) -> None:
        self._path = path
        self._make = ask
        self._asked: Environments | None = None
        self._state = str(hash_bytes("\n".join([*_here(), *map(str, sorted(environment.items()))]).encode()))
        self._kept = _read(path)

    def __exit__(self, *exc: object) -> None:
        if self._asked is not None:
            self._asked.__exit__(*exc)

    def of(self, generator: str, version: str) -> Mapping[str, str]:
        """The fingerprint; raises what makes the generator unusable here."""
        name = f"{generator}/{version}"
        row = self._kept.get(name)
        if generator in BUILT_IN and isinstance(row, list) and len(row) == 3:
            state, when, told = row
            if state == self._state and 0 <= time.time() - when < _LASTS:
                return {str(key): str(value) for key, value in told.items()}
        self._asked = self._asked or self._make()
        found = self._asked.of(generator, version)
        if generator in BUILT_IN:
            self._keep(name, found)
        return found

    def _keep(self, name: str, found: Mapping[str, str]) -> None:
        self._kept[name] = [self._state, time.time(), dict(found)]
        try:
            os.makedirs(os.path.dirname(self._path), mode=0o700, exist_ok=True)
            durable.write_file(self._path, json.dumps(self._kept).encode(), wait=False)
        except (OSError, StorageError, ValueError):
            pass  # a home that cannot be written; then they are asked each time


def _read(path: str) -> dict[str, object]:
    try:
        found = json.loads(presence.read(path, 1 << 20) or b"{}")
    except Exception:
        return {}  # nothing needs it
    return found if isinstance(found, dict) else {}


def _here() -> Iterator[str]:
    """The interpreter, the libraries that it has, and our own code, as far as their files tell."""
    yield f"{sys.executable} {sys.version} {platform.machine()}"
    package = os.path.dirname(os.path.dirname(__file__))
    folders = [*(f"{package}/{name}" for name in _OWN), *(f"{folder}/{_PLUGIN}" for folder in sys.path)]
    for folder in sys.path:
        for entry in _entries(folder):
            if entry.name.lower().startswith(_LIBRARIES) and entry.name.endswith(".dist-info"):
                yield f"{entry.path} {entry.stat().st_mtime_ns}"
    for folder in folders:
        for entry in _entries(folder):
            if entry.name.endswith(".py"):
                yield f"{entry.path} {entry.stat().st_mtime_ns}"


def _entries(folder: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as found:
            return sorted(found, key=lambda entry: entry.name)
    except OSError:
        return []
