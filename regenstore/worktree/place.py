"""Placing: puts media (or recipe text) at worktree paths and updates Git's index, so that status stays clean.

The steps for a batch:

1. Without a lock: check that each path still holds what Git wrote there, and stage the new file in a folder of our own
   on the same file system, dated before the index (so that Git never has to read it to know it is unchanged).
2. Take ``index.lock``. If that fails, drop the staged files; everything stays as it was.
3. Write the journal, rename each staged file to its path, patch the stat fields of the entries whose blob is still the
   expected one, and keep the index file's own time (a newer one would hide other edits of the same second).

A process killed in between leaves its stage folder with the journal; ``recovery`` finishes the work.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from regenstore.errors import Conflict, InvalidInput, RegenstoreError
from regenstore.fs import durable, presence, swap
from regenstore.fs.reflink import Linker
from regenstore.fs.stage import Stage
from regenstore.fs.swap import NOTHING, Identity, Nothing, Seen
from regenstore.fs.writing import write_all
from regenstore.objects.hashing import hash_fd, hash_file
from regenstore.worktree.index_lock import IndexLock, IndexPatch, Stats, refresh_with_git
from regenstore.worktree.location import Location
from regenstore.worktree.paths import Folders
from regenstore.worktree.stage import JOURNAL, Move, encode_moves, numbers, open_stage

LOCKED, CHANGED = "another Git process holds the index", "it was changed meanwhile"
GONE, APPEARED = "it is gone", "a file appeared there meanwhile"
_PAUSES = (0.002, 0.01, 0.05, 0.2)
"""Seconds to wait for a stored file that gc has taken and will bring back when it sees the hold."""
LOCK_WAIT = 2.0
_BACKDATE_NS = 2_000_000_000
_ROOM_NS = 900_000_000
"""A file dated later by this is still a second older than the index; Git compares whole seconds."""
_TICK_NS = 1_000_000


class Placement(NamedTuple):
    """One path to fill. ``source`` is a stored file's path, or the bytes themselves.

    ``replaces`` is what must be at the path until the last instant, or it is left alone: the file that was examined,
    NOTHING if nothing was there, or, as bytes, the whole text of any file. ``oid`` is the index blob whose entry is
    updated (None: the index is left alone). ``take``: the digest and size of the source, if the scan of the replaced
    text already gave them.
    """

    path: bytes
    source: str | bytes
    replaces: Identity | Nothing | bytes
    oid: bytes | None = None
    take: tuple[bytes, int] | None = None


@dataclass
class PlaceReport:
    """The outcome: paths placed, and paths left alone with the reason."""

    placed: list[bytes] = field(default_factory=list)
    skipped: list[tuple[bytes, RegenstoreError]] = field(default_factory=list)


@dataclass
class _Staged:
    wish: Placement
    temp: str
    before: Identity | Nothing


class Placer:
    """Places batches in one worktree. ``oid_size`` is 20 (SHA-1) or 32 (SHA-256)."""

    def __init__(self, location: Location, oid_size: int, linker: Linker | None = None, lock_wait: float = LOCK_WAIT):
        self.location = location
        self.oid_size = oid_size
        self.linker = linker or Linker()
        self.lock_wait = lock_wait

    def place(self, wishes: Sequence[Placement], tell: Callable[[bytes], None] = lambda path: None) -> PlaceReport:
        """Place what can be placed. Raises only for a full or failing disk (StorageError), leaving nothing half
        written: the paths placed so far stay placed, the others keep what they held. ``tell`` is called with each path
        whose new content is ready."""
        report = PlaceReport()
        if not wishes:
            return report
        with open_stage(self.location) as stage, _folders(self.location) as folders:
            staged = []
            failure: RegenstoreError | None = None
            date = placing_base(self.location)
            for wish in wishes:
                try:
                    staged.append(self._stage(wish, _look(wish, folders), stage, date))
                    tell(wish.path)
                except RegenstoreError as error:
                    report.skipped.append((wish.path, error))
                except OSError as error:
                    failure = durable.storage_error(error, wish.path)
                    break
            self._commit(staged, stage, folders, report)
        if failure is not None:
            raise failure
        return report

    def unplaced(self, wishes: Iterable[Placement]) -> list[Placement]:
        """Return the wishes whose path still holds the expected text, after :meth:`place` has raised."""
        with _folders(self.location) as folders:
            return [wish for wish in wishes if isinstance(wish.replaces, bytes) and _still(wish, folders)]

    def there_already(self, wish: Placement) -> bool:
        """Whether a path holds the bytes that were to be placed there: a hook of the user's was faster."""
        if isinstance(wish.source, bytes):
            return False
        try:
            with _folders(self.location) as folders:
                folder, name = folders.parent(wish.path)
                fd = presence.open_file(name, dir_fd=folder, follow=False)
                try:
                    return hash_fd(fd) == hash_file(wish.source)
                finally:
                    os.close(fd)
        except (OSError, RegenstoreError, presence.NotRegular):
            return False

    def _stage(self, wish: Placement, before: os.stat_result | None, stage: Stage, date: int) -> _Staged:
        mode = None
        if before is not None:
            mode, date = stat.S_IMODE(before.st_mode), placing_date(date, before.st_mtime_ns)
        return _Staged(wish, self._fill(wish.source, stage, mode, date), swap.seen(before))

    def _fill(self, source: str | bytes, stage: Stage, mode: int | None, date: int) -> str:
        """Create a staged file. Raises a RegenstoreError if the source cannot be opened, OSError if its bytes cannot be
        written."""
        stored = None if isinstance(source, bytes) else open_stored(source)
        temp = stage.next_name()
        target = -1
        try:
            target = os.open(temp, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
            if isinstance(source, bytes):
                write_all(target, source)
            elif stored is not None:
                self.linker.fill(stored, target)
            if mode is not None and mode != stat.S_IMODE(os.fstat(target).st_mode):
                os.fchmod(target, mode)
            os.utime(target, ns=(date, date))
        except BaseException:
            durable.unlink(temp)
            raise
        finally:
            for fd in (stored, target):
                if fd is not None and fd >= 0:
                    os.close(fd)
        return temp

    def _commit(self, staged: list[_Staged], stage: Stage, folders: Folders, report: PlaceReport) -> None:
        if not staged:
            return
        lock = IndexLock(self.location.index, stage.folder, self.lock_wait)
        stats: Stats = {}
        patch: IndexPatch | None = None
        try:
            if not lock.take():
                report.skipped += [(ready.wish.path, Conflict("index-locked", LOCKED)) for ready in staged]
                return
            if any(ready.wish.oid is not None for ready in staged):
                patch = IndexPatch(lock, self.oid_size)
            with durable.storage_errors(stage.folder):
                moves = [Move.of(ready.temp, ready.wish.path, ready.wish.oid, ready.before) for ready in staged]
            stage.write_journal(JOURNAL, encode_moves(moves), wait=False)
            stage.kept = True  # from here until the patch, recovery needs the journal if anything fails
            for ready, move in zip(staged, moves, strict=True):
                found = self._rename(ready, move, folders, report)
                if found is not None and ready.wish.oid is not None:
                    stats[ready.wish.path] = (ready.wish.oid, found)
            patched = patch is None or patch.apply(stats)
            stage.kept = False
        finally:
            lock.release()
        if not patched:
            refresh_with_git(self.location, stats)

    def _rename(self, ready: _Staged, move: Move, folders: Folders, report: PlaceReport) -> os.stat_result | None:
        """Put a staged file in place; returns its status there, if it is still that file."""
        path = ready.wish.path
        try:
            folder, name = folders.parent(path)
            try:
                swap.put(ready.temp, name, ready.before, folder=folder)
                placed = move.placed
            except OSError as error:
                if error.errno != errno.EXDEV:
                    raise
                placed = _copy_beside(ready.temp, folder, name, ready.before)
            report.placed.append(path)
            found = os.lstat(name, dir_fd=folder)
            return found if numbers(found) == placed else None  # otherwise another process has written there already
        except swap.Changed:
            report.skipped.append((path, Conflict("edited", APPEARED if ready.before is NOTHING else CHANGED)))
        except RegenstoreError as error:
            report.skipped.append((path, error))
        except presence.ABSENT:
            report.skipped.append((path, Conflict("edited", GONE)))
        except OSError as error:
            report.skipped.append((path, _unwritable(error)))
        return None


def placing_base(location: Location) -> int:
    """Return the date for placed files, in nanoseconds: before the index, so that Git need not read them."""
    found = presence.found(location.index)
    return (time.time_ns() if found is None else found.st_mtime_ns) - _BACKDATE_NS


def placing_date(date: int, before: int) -> int:
    """Return the modification time for a file that replaces another, in nanoseconds: different from that one's, and
    later if possible before the index's second. So tools that compare dates see every change, even two in a row."""
    if not date <= before:
        return date
    later = before + _TICK_NS
    return later if later < date + _ROOM_NS else date - (before == date)


def _folders(location: Location) -> Folders:
    try:
        return Folders(location.top)
    except OSError as error:
        raise presence.unreadable(error, location.top) from error


def _look(wish: Placement, folders: Folders) -> os.stat_result | None:
    """Examine a path and return what is there, if it may be replaced. Raises Conflict if not, StorageError
    (``unreadable``), and InvalidInput if a folder for it cannot be created."""
    new = wish.replaces is NOTHING
    try:
        folder, name = folders.parent(wish.path, create=new)
    except FileNotFoundError:
        raise Conflict("edited", GONE) from None
    except OSError as error:
        if new:
            raise _unwritable(error) from error
        if isinstance(error, presence.ABSENT):
            raise Conflict("edited", GONE) from None
        raise presence.unreadable(error, wish.path) from error
    before = presence.lstat(name, dir_fd=folder, shown=wish.path)
    if before is None:
        if not new:
            raise Conflict("edited", GONE)
        return None
    if not stat.S_ISREG(before.st_mode):
        raise not_a_file(before.st_mode)
    if isinstance(wish.replaces, bytes):
        if not _holds(folder, name, before, wish.replaces, wish.path):
            raise Conflict("edited", CHANGED)
    elif swap.seen(before) != wish.replaces:
        raise Conflict("edited", APPEARED if new else CHANGED)
    return before


def _still(wish: Placement, folders: Folders) -> bool:
    try:
        return _look(wish, folders) is not None
    except RegenstoreError:
        return False


def not_a_file(mode: int) -> Conflict:
    """Return the error for a path with something other than a regular file."""
    return Conflict("not-a-file", f"it is {presence.kind_of(mode)}, and is left alone")


def _unwritable(error: OSError) -> RegenstoreError:
    return InvalidInput("bad-path", f"it could not be written: {os.strerror(error.errno or 0)}")


def open_stored(path: str) -> int:
    """Open a stored file. Raises StorageError (``unreadable``)."""
    try:
        for pause in _PAUSES:
            try:
                return presence.open_file(path)
            except FileNotFoundError:
                time.sleep(pause)
        return presence.open_file(path)
    except OSError as error:
        raise presence.unreadable(error, path) from error
    except presence.NotRegular as error:
        raise Conflict("not-a-file", str(error)) from error


def _holds(folder: int, name: bytes, found: os.stat_result, text: bytes, shown: bytes) -> bool:
    if found.st_size != len(text):
        return False
    try:
        fd = presence.open_file(name, dir_fd=folder, follow=False)
    except (*presence.ABSENT, presence.NotRegular):
        return False
    except OSError as error:
        raise presence.unreadable(error, shown) from error
    try:
        return os.read(fd, len(text) + 1) == text
    except OSError as error:
        raise presence.unreadable(error, shown) from error
    finally:
        os.close(fd)


def _copy_beside(temp: str, folder: int, name: bytes, was: Identity | Nothing) -> tuple[int, ...]:
    """Place a file on another file system mounted inside the worktree: copy to a hidden name, then rename."""
    beside = b".regenstore-" + os.urandom(6).hex().encode()
    state = os.stat(temp)
    try:
        with open(temp, "rb") as source:
            fd = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, stat.S_IMODE(state.st_mode), dir_fd=folder)
            with open(fd, "wb") as target:
                import shutil  # slow to import: it brings what packs archives

                shutil.copyfileobj(source, target, 1 << 20)
                target.flush()
                os.utime(fd, ns=(state.st_mtime_ns, state.st_mtime_ns))
                placed = numbers(os.fstat(fd))
        swap.put(beside, name, was, folder=folder, temp_folder=folder)
    finally:
        try:
            os.unlink(beside, dir_fd=folder)  # the replaced file, or the copy that could not be placed
        except FileNotFoundError:
            pass
    durable.unlink(temp)
    return placed


def replace_file(path: str, data: bytes, was: Seen) -> None:
    """Write a small user-visible file atomically and durably. Raises Conflict (``edited``) if the path no longer holds
    what was seen there, StorageError."""
    try:
        durable.write_file(path, data, was=was)
    except swap.Changed:
        raise Conflict("edited", f"{path}: {APPEARED if was is NOTHING else CHANGED}") from None
