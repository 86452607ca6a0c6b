"""Leftovers of killed processes: temp files, leases, stage folders. Finding them changes nothing."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass

from regenstore.errors import Conflict, RegenstoreError
from regenstore.fs import file_lock
from regenstore.fs.stage import OWNER
from regenstore.objects.content_store import ContentStore
from regenstore.objects.holds import PREFIX as USE
from regenstore.refs.leases import lease
from regenstore.worktree.location import Location
from regenstore.worktree.recovery import abandoned_lock, recover
from regenstore.worktree.stage import stages

_YOUNG = 60.0


@dataclass(frozen=True)
class Leftovers:
    """Paths that no running process uses."""

    temps: tuple[str, ...]
    leases: tuple[str, ...]
    stages: tuple[str, ...]
    """Includes the lock of a stage on Git's index."""

    @property
    def count(self) -> int:
        return len(self.temps) + len(self.leases) + len(self.stages)


def find(store: ContentStore, location: Location, now: float) -> Leftovers:
    """Temp files of ended processes, untouched for a day; leases without a holder; stages whose process has ended."""
    # The holds of ended processes are left to gc, which counts uses from them.
    leases = [path for path in _paths(f"{store.root}/leases") if not os.path.basename(path).startswith(USE)]
    return Leftovers(
        tuple(store.stale_temp(now)),
        tuple(path for path in leases if _age(path, now) > _YOUNG and not held(path)),
        (
            *(path for path in stages(location) if _age(path, now) > _YOUNG and not held(f"{path}/{OWNER}")),
            *filter(None, [abandoned_lock(location)]),
        ),
    )


def clear(found: Leftovers, store: ContentStore, location: Location, oid_size: int) -> None:
    """Remove leftovers, and complete what a stage's process began. Whatever came into use meanwhile stays."""
    if found.temps:
        store.clean_temp()
    for path in found.leases:
        try:
            with lease(os.path.dirname(path), os.path.basename(path), _give_up):
                pass  # leaving the block removes it
        except RegenstoreError:
            continue
    if found.stages:
        recover(location, oid_size, store.use)


def held(path: str) -> bool:
    """Whether a running process holds a file's flock, or may hold it; False if the file does not exist."""
    return file_lock.in_use(path) is not False


def _give_up() -> None:
    raise Conflict("store-busy", "another process holds it")


def _paths(folder: str) -> list[str]:
    try:
        return [f"{folder}/{name}" for name in sorted(os.listdir(folder))]
    except OSError:
        return []


def _age(path: str, now: float | None = None) -> float:
    """Seconds since a file, or anything in a folder, was last written; negative if it does not exist."""
    try:
        newest = os.lstat(path).st_mtime
        for folder, _, files in os.walk(path):
            for name in (".", *files):
                newest = max(newest, os.lstat(f"{folder}/{name}").st_mtime)
    except OSError:
        return -1.0
    return (time.time() if now is None else now) - newest
