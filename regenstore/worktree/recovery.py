"""Finishing what killed processes of ours began in a worktree."""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from regenstore.errors import RegenstoreError, StorageError
from regenstore.fs import presence, swap
from regenstore.objects import durable
from regenstore.worktree.fill import JOURNAL, Filling, Find, mend, records
from regenstore.worktree.fill import read_journal as read_fillings
from regenstore.worktree.index_lock import IndexLock, IndexPatch, Stats, mark_of, refresh_with_git
from regenstore.worktree.link import Linker
from regenstore.worktree.location import Location
from regenstore.worktree.paths import Folders
from regenstore.worktree.place import placing_base
from regenstore.worktree.stage import OWNER, Move, Stage, numbers, own, read_journal, stages

if TYPE_CHECKING:
    from regenstore.objects.ids import Digest

LOCK_WAIT = 2.0


def nowhere(digest: Digest, size: int) -> str | None:
    """For who has no store at hand: torn files stay as they are then."""
    return None


@dataclass
class Recovered:
    """How many stages were finished, and what could not be: nothing else depends on that."""

    stages: int = 0
    problems: list[RegenstoreError] = field(default_factory=list)


def recover(location: Location, oid_size: int, find: Find = nowhere, lock_wait: float = LOCK_WAIT) -> Recovered:
    """Tell the index of media that were already renamed, give back what somebody wrote in the last instant before,
    fill up torn files with what ``find`` gives, remove stage folders and our own stale ``index.lock``. Raises
    StorageError (``unreadable``) where it cannot be told what is left."""
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
    """Paths that may be half filled, now or since a process was killed, with the text that Git has there. Raises
    StorageError (``unreadable``, ``store-damaged``)."""
    journals = [f"{folder}/{JOURNAL}" for folder in stages(location)]
    journals += [record for record, intact in records(location) if not intact]
    return {each.path: each.text for journal in journals for each in read_fillings(journal)}


def abandoned_lock(location: Location) -> str | None:
    """A lock of ours on the index whose process has ended: the next command removes it. Raises StorageError
    (``unreadable``)."""
    path = f"{location.index}.lock"
    mark = mark_of(path)
    if mark is None:
        return None
    for home in (location.git_dir, os.fsdecode(location.top)):
        try:
            os.close(own(f"{home}/{mark}/{OWNER}", os.O_RDWR))
        except presence.ABSENT:
            continue
        except BlockingIOError:
            return None
        except OSError as error:
            raise presence.unreadable(error, f"{home}/{mark}") from error
    return path


def _unlock_for_nobody(location: Location) -> None:
    """Remove a lock of ours whose stage folder is gone: its process could not remove it."""
    path = f"{location.index}.lock"
    if mark_of(path) is None:
        return  # there is none, or it is Git's
    try:
        fd = own(path, os.O_RDWR)
    except (*presence.ABSENT, BlockingIOError):
        return  # it was released, or another process is about to remove it
    try:
        mark = mark_of(path)
        homes = (location.git_dir, os.fsdecode(location.top))
        if mark is None or any(presence.lstat(f"{home}/{mark}") is not None for home in homes):
            return  # its process or its recovery removes it: a stage outlives the locks that are taken for it
        # Still the same file: then nobody but us may remove it, and nobody can take it before.
        now = presence.lstat(path)
        if now is not None and os.path.samestat(os.fstat(fd), now):
            durable.unlink(path)
    finally:
        os.close(fd)


def _recover_stage(location: Location, oid_size: int, folder: str, find: Find, lock_wait: float) -> int:
    try:
        # One without its owner's file was killed before it had it, or while it was removed; should it live
        # after all, it sees that it lost its folder, and makes another.
        owner = own(f"{folder}/{OWNER}")
    except (*presence.ABSENT, BlockingIOError):
        return 0  # it is gone by now, or its process lives
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EPERM) and _of_another_user(folder):
            return 0  # that user's next command recovers it
        raise presence.unreadable(error, folder) from error
    try:
        lock = IndexLock(location.index, folder, lock_wait)
        lock.clear()
        if not _replay(location, oid_size, folder, find, lock):
            return 0  # Git is at work; the next one finishes this
        import shutil  # slow to import: it brings what packs archives

        shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(owner)
    return 1


def _recover_record(location: Location, oid_size: int, record: str, find: Find, lock_wait: float) -> int:
    """After a power cut: what was filled may not have reached the disk."""
    with Stage(location, location.git_dir) as stage:
        try:
            os.rename(record, f"{stage.folder}/{JOURNAL}")
        except FileNotFoundError:
            return 0  # another process does it
        stage.kept = True
        lock = IndexLock(location.index, stage.folder, lock_wait)
        stage.kept = not _replay(location, oid_size, stage.folder, find, lock)
    return 1


def _of_another_user(folder: str) -> bool:
    found = presence.lstat(folder)
    return found is not None and hasattr(os, "geteuid") and found.st_uid != os.geteuid()


def _replay(location: Location, oid_size: int, folder: str, find: Find, lock: IndexLock) -> bool:
    """Tell the index of what a journal says was renamed, and of what is filled up; False when somebody else holds
    the index."""
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
                continue  # then it is not what was placed there
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
    """Patch the entries, and give the lock back."""
    try:
        patched = IndexPatch(lock, oid_size).apply(stats)
    finally:
        lock.release()
    if not patched:
        refresh_with_git(location, stats)


def _give_back(folder: str, move: Move, folders: Folders) -> None:
    """A process killed in the middle of an exchange has in its stage what was at the path: the file that it meant
    to replace, or one that somebody wrote in the last instant, which belongs there. Raises StorageError where that
    cannot go back; it is never removed."""
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
        f"{staged} is what somebody wrote at {shown} while a process was killed there, and there is a newer one by now",
        hint="Keep it or remove it: it is in nobody's use.",
    )
