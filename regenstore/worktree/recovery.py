"""Finishes what killed processes of ours began in a worktree."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from regenstore.errors import RegenstoreError, StorageError
from regenstore.fs import durable, presence, stage, swap
from regenstore.fs.reflink import Linker
from regenstore.worktree.fill import JOURNAL, Filling, Find, mend, records
from regenstore.worktree.fill import read_journal as read_fillings
from regenstore.worktree.index_lock import IndexLock, IndexPatch, Stats, mark_of, refresh_with_git
from regenstore.worktree.location import Location
from regenstore.worktree.paths import Folders
from regenstore.worktree.place import placing_base
from regenstore.worktree.stage import Move, numbers, open_stage, read_journal, stages

if TYPE_CHECKING:
    from regenstore.objects.ids import Digest

LOCK_WAIT = 2.0


def nowhere(digest: Digest, size: int) -> str | None:
    """For callers without a store: torn files are left as they are."""
    return None


@dataclass
class Recovered:
    """How many stages were finished, and which could not be; nothing else depends on those."""

    stages: int = 0
    problems: list[RegenstoreError] = field(default_factory=list)


def recover(location: Location, oid_size: int, find: Find = nowhere, lock_wait: float = LOCK_WAIT) -> Recovered:
    """Finish abandoned work: update the index for media already renamed, put back files that someone wrote in the last
    instant before, complete torn files with what ``find`` returns, remove stage folders and our own stale
    ``index.lock``. Raises StorageError (``unreadable``) if the state cannot be determined."""
    done = Recovered()
    for folder in stages(location):
        try:
            done.stages += _recover_stage(location, oid_size, folder, find, lock_wait)
        except RegenstoreError as error:
            done.problems.append(error)
        except OSError as error:
            done.problems.append(durable.storage_error(error, folder))
    for record, intact in records(location):
        try:
            if not intact:
                done.stages += _recover_record(location, oid_size, record, find, lock_wait)
        except RegenstoreError as error:
            done.problems.append(error)
        except OSError as error:
            done.problems.append(durable.storage_error(error, record))
    try:
        _unlock_for_nobody(location)
    except RegenstoreError as error:
        done.problems.append(error)
    except OSError as error:
        done.problems.append(durable.storage_error(error, f"{location.index}.lock"))
    return done


def torn_files(location: Location) -> dict[bytes, bytes]:
    """Return paths that may be half filled, by living or killed processes, with the text that Git has there. Raises
    StorageError (``unreadable``, ``store-damaged``)."""
    journals = [f"{folder}/{JOURNAL}" for folder in stages(location)]
    journals += [record for record, intact in records(location) if not intact]
    return {each.path: each.text for journal in journals for each in read_fillings(journal)}


def abandoned_lock(location: Location) -> str | None:
    """Return a lock of ours on the index whose process has ended: the next command removes it. Raises StorageError
    (``unreadable``)."""
    path = f"{location.index}.lock"
    mark = mark_of(path)
    if mark is None:
        return None
    for home in (location.git_dir, os.fsdecode(location.top)):
        try:
            owner = stage.claim(f"{home}/{mark}/{stage.OWNER}", make=False)
        except presence.ABSENT:
            continue
        except OSError as error:
            raise presence.unreadable(error, f"{home}/{mark}") from error
        if owner is None:
            return None
        os.close(owner)
    return path


def _unlock_for_nobody(location: Location) -> None:
    """Remove a lock of ours whose stage folder is gone: its process could not remove it."""
    path = f"{location.index}.lock"
    if mark_of(path) is None:
        return  # there is none, or it is Git's
    try:
        fd = stage.claim(path, make=False)
    except presence.ABSENT:
        return  # it was released
    if fd is None:
        return  # another process is about to remove it
    try:
        mark = mark_of(path)
        homes = (location.git_dir, os.fsdecode(location.top))
        if mark is None or any(presence.lstat(f"{home}/{mark}") is not None for home in homes):
            return  # its process or its recovery removes it: a stage outlives its locks
        # Still the same file: only this process may remove it, and no other can take the lock before.
        now = presence.lstat(path)
        if now is not None and os.path.samestat(os.fstat(fd), now):
            durable.unlink(path)
    finally:
        os.close(fd)


def _recover_stage(location: Location, oid_size: int, folder: str, find: Find, lock_wait: float) -> bool:
    def finish(folder: str) -> bool:
        lock = IndexLock(location.index, folder, lock_wait)
        lock.clear()
        return _replay(location, oid_size, folder, find, lock)  # while Git holds the index, it is left for later

    return stage.recover(folder, finish)


def _recover_record(location: Location, oid_size: int, record: str, find: Find, lock_wait: float) -> int:
    """Check filled files after a power cut: their data may not have reached the disk."""
    with open_stage(location, location.git_dir) as mine:
        try:
            durable.rename(record, f"{mine.folder}/{JOURNAL}")
        except FileNotFoundError:
            return 0  # another process does it
        mine.kept = True
        lock = IndexLock(location.index, mine.folder, lock_wait)
        mine.kept = not _replay(location, oid_size, mine.folder, find, lock)
    return 1


def _replay(location: Location, oid_size: int, folder: str, find: Find, lock: IndexLock) -> bool:
    """Update the index for what a journal says was renamed or filled; False while another process holds the index."""
    fillings = read_fillings(f"{folder}/{JOURNAL}")
    if fillings:
        return _refill(location, oid_size, fillings, find, lock)
    moves = read_journal(folder)
    stats: Stats = {}
    with Folders(location.top) as folders:
        for move in moves:
            _give_back(folder, move, folders)
            try:
                parent, name = folders.parent(move.path)
                now = os.lstat(name, dir_fd=parent)
            except OSError:
                continue  # it is no longer what was placed there
            if move.oid and numbers(now) == move.placed:
                stats[move.path] = (move.oid, now)
    if not stats:
        return True
    if not lock.take():
        return False
    _tell_index(location, oid_size, stats, lock)
    return True


def _refill(location: Location, oid_size: int, fillings: list[Filling], find: Find, lock: IndexLock) -> bool:
    if not lock.take():
        return False
    stats: Stats = {}
    linker, date = Linker(), placing_base(location)
    try:
        with Folders(location.top) as folders:
            for each in fillings:
                mended = mend(each, find, folders, linker, date)
                if mended is not None:
                    stats[each.path] = (each.oid, mended)
    except BaseException:
        lock.release()
        raise
    _tell_index(location, oid_size, stats, lock)
    return True


def _tell_index(location: Location, oid_size: int, stats: Stats, lock: IndexLock) -> None:
    """Patch the entries and release the lock."""
    try:
        patched = IndexPatch(lock, oid_size).apply(stats)
    finally:
        lock.release()
    if not patched:
        refresh_with_git(location, stats)


def _give_back(folder: str, move: Move, folders: Folders) -> None:
    """Put back what an interrupted exchange left in a stage: the file that was to be replaced, or one that someone
    wrote in the last instant and that belongs there. It is never removed; raises StorageError if it cannot go back."""
    staged = f"{folder}/{move.temp}"
    found = presence.lstat(staged)
    if found is None or numbers(found) in (move.placed, move.replaced):
        return
    shown = os.fsdecode(move.path)
    try:
        parent, name = folders.parent(move.path)
        now = os.lstat(name, dir_fd=parent)
        if stat.S_ISREG(now.st_mode) and numbers(now) == move.placed:
            failed = swap.exchange(staged, name, folder=parent)
            if not failed:
                return
            raise OSError(failed, os.strerror(failed))
    except OSError as error:
        raise durable.storage_error(error, shown) from error
    raise StorageError(
        "io-error",
        f"{staged} was written at {shown} while a process was being killed there; {shown} now has a newer file",
        hint="Keep it or remove it: nothing uses it.",
    )
