"""A short-lived cache of the built-in generators' environment fingerprints, for commands that only report.

Asking for them starts a process that loads every library the generators use: most of what 'status' would cost. Cached
answers are valid for an hour, and only while the same Python has the same versions of those libraries and of the
generators' code. Anything that evicts or proves asks the generators directly.
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
"""The cache's file name, in the folder of the user's approvals."""
BUILT_IN = frozenset(f"{kind}.{medium}" for kind in ("procedural", "derive") for medium in ("image", "video", "audio"))
_LASTS = 3600.0
_LIBRARIES = ("numpy-", "pillow-", "av-", "zstandard-", "regenstore-")
_OWN, _PLUGIN = ("generators", "generators/derive", "media"), "regenstore_procedural"


class RecentEnvironments(Environments):
    """Answers for built-in generators from the file at ``path`` if possible, and otherwise through the Environments
    that ``ask`` creates. ``environment`` is the process environment that generators see."""

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
        """Return the fingerprint. Raises the error that makes the generator unusable here."""
        name = f"{generator}/{version}"
        row = self._kept.get(name)
        if generator in BUILT_IN and isinstance(row, list) and len(row) == 3:
            state, when, fingerprint = row
            if state == self._state and 0 <= time.time() - when < _LASTS:
                return {str(key): str(value) for key, value in fingerprint.items()}
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
            pass  # the home folder is not writable: nothing is cached


def _read(path: str) -> dict[str, object]:
    try:
        found = json.loads(presence.read(path, 1 << 20) or b"{}")
    except Exception:
        return {}  # expendable
    return found if isinstance(found, dict) else {}


def _here() -> Iterator[str]:
    """Yield what identifies the interpreter, its libraries and our own code, judged by their files."""
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
