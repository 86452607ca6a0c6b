"""What killed processes left behind: temp files, leases, stage folders. Looking changes nothing."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass

from regenstore.errors import Conflict, RegenstoreError
from regenstore.objects.content_store import STALE_TEMP, ContentStore
from regenstore.objects.holds import PREFIX as USE
from regenstore.refs.leases import lease
from regenstore.worktree.location import Location
from regenstore.worktree.place import STAGE_PREFIX, recover

_YOUNG = 60.0
_LOCK_AGE = 600.0


@dataclass(frozen=True)
class Leftovers:
    """Paths that no living process works with."""

    temps: tuple[str, ...]
    leases: tuple[str, ...]
    stages: tuple[str, ...]

    @property
    def count(self) -> int:
        return len(self.temps) + len(self.leases) + len(self.stages)


def find(store: ContentStore, location: Location, now: float) -> Leftovers:
    """Temp files untouched for a day, leases that nobody holds, stages whose process has ended."""
    temps = _paths(f"{store.root}/tmp")
    # What ended processes relied on is gc's: it counts how often contents are used.
    leases = [path for path in _paths(f"{store.root}/leases") if not os.path.basename(path).startswith(USE)]
    return Leftovers(
        tuple(path for path in temps if _age(path, now) > STALE_TEMP),
        tuple(path for path in leases if _age(path, now) > _YOUNG and not held(path)),
        tuple(path for path in _stages(location) if _age(path, now) > _YOUNG and not held(f"{path}/owner")),
    )


def clear(found: Leftovers, store: ContentStore, location: Location, oid_size: int) -> None:
    """Remove them, and finish what a stage's process began. What came into use meanwhile stays."""
    if found.temps:
        store.clean_temp()
    for path in found.leases:
        try:
            with lease(os.path.dirname(path), os.path.basename(path), _give_up):
                pass  # leaving it removes it
        except RegenstoreError:
            continue
    if found.stages:
        recover(location, oid_size)


def stale_index_lock(location: Location, now: float) -> str | None:
    """A lock on Git's index that is older than git commands usually take."""
    path = f"{location.index}.lock"
    return path if _age(path, now) > _LOCK_AGE else None


def held(path: str) -> bool:
    """Whether a living process holds a file by flock; False where the file is not there."""
    try:
        fd = os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
    except FileNotFoundError:
        return False
    except OSError:
        return True
    try:
        import fcntl

        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except (ImportError, OSError):
        return True
    finally:
        os.close(fd)
    return False


def _give_up() -> None:
    raise Conflict("store-busy", "another process holds it")


def _stages(location: Location) -> list[str]:
    homes = dict.fromkeys((location.git_dir, os.fsdecode(location.top)))
    paths = [path for home in homes for path in _paths(home)]
    return [path for path in paths if os.path.basename(path).removeprefix(".").startswith(STAGE_PREFIX)]


def _paths(folder: str) -> list[str]:
    try:
        return [f"{folder}/{name}" for name in sorted(os.listdir(folder))]
    except OSError:
        return []


def _age(path: str, now: float | None = None) -> float:
    """Seconds since a file, or anything in a folder, was last written; negative when it is not there."""
    try:
        newest = os.lstat(path).st_mtime
        for folder, _, files in os.walk(path):
            for name in (".", *files):
                newest = max(newest, os.lstat(f"{folder}/{name}").st_mtime)
    except OSError:
        return -1.0
    return (time.time() if now is None else now) - newest
