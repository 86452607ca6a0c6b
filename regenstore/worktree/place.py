"""Placing: media (or recipe text) at worktree paths, with Git's index told, so that status stays clean.

The order, for a batch:

1. Without a lock: check that each path still holds what Git wrote there, and stage the new file in a
   folder of our own on the same file system, dated before the index (so that Git never has to read it to
   know it is unchanged).
2. Take ``index.lock``. Not to be had: drop the staged files, everything stays as it was.
3. Write the journal, rename each staged file to its path, patch the stat fields of those entries whose
   blob is still the expected one, and keep the index file's own time (a newer one would hide other
   people's edits of the same second).

A process killed in between leaves its stage folder with the journal; :func:`recover` finishes the work.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from regenstore.errors import Conflict, InvalidInput, RegenstoreError
from regenstore.objects import durable
from regenstore.worktree.index_lock import IndexLock, IndexPatch, Stats, refresh_with_git
from regenstore.worktree.link import Linker
from regenstore.worktree.location import Location
from regenstore.worktree.paths import Folders

STAGE_PREFIX = "regenstore-stage-"
LOCKED, CHANGED = "another Git process holds the index", "it was changed meanwhile"
GONE, NO_FILE = "it is gone", "it is not a regular file"
_PAUSES = (0.002, 0.01, 0.05, 0.2)
"""Seconds to wait for a stored file that gc takes and brings back when it sees that it is held."""
LOCK_WAIT = 2.0
_OWNER = "owner"
_BACKDATE_NS = 2_000_000_000
_OPEN_FILE = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)


Identity = tuple[int, int, int]


@dataclass(frozen=True)
class Placement:
    """One path to fill. ``source`` is a stored file's path, or the bytes themselves.

    ``expected`` is the text that the path must hold now (None: anything, also nothing); ``seen`` is the
    identity that its file must still have (see :func:`identity`; None: any), so that an edit made since it
    was looked at is not replaced; ``oid`` is the index blob whose entry is told (None: the index is left
    alone).
    """

    path: bytes
    source: str | bytes
    expected: bytes | None = None
    oid: bytes | None = None
    seen: Identity | None = None


@dataclass
class PlaceReport:
    """What happened: paths placed, and paths left as they were with the reason."""

    placed: list[bytes] = field(default_factory=list)
    skipped: list[tuple[bytes, str]] = field(default_factory=list)


@dataclass
class _Staged:
    wish: Placement
    temp: str
    before: os.stat_result | None


class Placer:
    """Places batches in one worktree. ``oid_size`` is 20 (SHA-1) or 32 (SHA-256).

    While somebody else works, :meth:`stage_ahead` can do part of the next :meth:`place`; without one,
    :meth:`discard` undoes it."""

    def __init__(self, location: Location, oid_size: int, linker: Linker | None = None, lock_wait: float = LOCK_WAIT):
        self.location = location
        self.oid_size = oid_size
        self.linker = linker or Linker()
        self.lock_wait = lock_wait
        self._ahead: _Ahead | None = None

    def stage_ahead(self, source: str, size: int) -> bool:
        """Stage a stored file for a placement that will be asked for. What fails here is left to
        :meth:`place`, and most of the free room to everybody else. True when it is staged."""
        try:
            if self._ahead is None:
                self._ahead = _Ahead(_Stage(self.location))
            ahead = self._ahead
            ahead.room -= size
            if ahead.room > 0:
                temp = self._fill(source, ahead.stage, ahead.stage.mode, date := time.time_ns() - _BACKDATE_NS)
                ahead.temps.setdefault(source, []).append((temp, date))
                return True
        except (RegenstoreError, OSError):
            if self._ahead is not None:
                self._ahead.room = 0
        return False

    def discard(self) -> None:
        """Remove what was staged ahead."""
        if self._ahead is not None:
            ahead, self._ahead = self._ahead, None
            ahead.stage.close()

    def place(self, wishes: Sequence[Placement]) -> PlaceReport:
        """Place what can be placed. Only a full or failing disk raises (StorageError), with nothing
        half-written: the paths placed so far stay placed, the others keep what they held."""
        report = PlaceReport()
        if not wishes:
            return report
        ahead, self._ahead = self._ahead, None
        opened = ahead.stage if ahead is not None else _Stage(self.location)
        with opened as stage, Folders(self.location.top) as folders:
            staged = []
            failure: OSError | None = None
            date = self._date()
            for wish in wishes:
                try:
                    ready = self._stage(wish, stage, folders, date, ahead)
                except OSError as error:
                    if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EISDIR, errno.EACCES):
                        failure = error
                        break
                    ready = os.strerror(error.errno or 0)
                if isinstance(ready, str):
                    report.skipped.append((wish.path, ready))
                else:
                    staged.append(ready)
            self._commit(staged, stage, folders, report)
        if failure is not None:
            raise durable.storage_error(failure, wish.path)
        return report

    def unplaced(self, wishes: Iterable[Placement]) -> list[Placement]:
        """Those whose path still holds the expected text, after :meth:`place` has raised."""
        top = self.location.top
        return [w for w in wishes if w.expected is not None and _size(os.path.join(top, w.path)) == len(w.expected)]

    def _date(self) -> int:
        try:
            return os.stat(self.location.index).st_mtime_ns - _BACKDATE_NS
        except FileNotFoundError:
            return time.time_ns() - _BACKDATE_NS

    def _stage(
        self, wish: Placement, stage: _Stage, folders: Folders, date: int, ahead: _Ahead | None
    ) -> _Staged | str:
        folder, name = folders.parent(wish.path, create=wish.expected is None)
        try:
            before = os.lstat(name, dir_fd=folder)
        except FileNotFoundError:
            if wish.expected is not None:
                return GONE
            before = None
        if before is not None:
            if not stat.S_ISREG(before.st_mode):
                return NO_FILE
            if wish.expected is not None and not _holds(folder, name, before, wish.expected):
                return CHANGED
        if wish.seen is not None and identity(before) != wish.seen:
            return CHANGED
        mode = stat.S_IMODE(before.st_mode) if before is not None else stage.mode
        ready = ahead.temps.get(wish.source) if ahead is not None and isinstance(wish.source, str) else None
        if not ready:
            return _Staged(wish, self._fill(wish.source, stage, mode, date), before)
        temp, dated = ready.pop()
        if mode != stage.mode:
            os.chmod(temp, mode)
        if dated > date:
            os.utime(temp, ns=(date, date))
        return _Staged(wish, temp, before)

    def _fill(self, source: str | bytes, stage: _Stage, mode: int, date: int) -> str:
        """A new staged file."""
        temp = stage.next_name()
        target = os.open(temp, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        try:
            if isinstance(source, bytes):
                view = memoryview(source)
                while view:
                    view = view[os.write(target, view) :]
            else:
                stored = _open_stored(source)
                try:
                    self.linker.fill(stored, target)
                finally:
                    os.close(stored)
            if mode != stage.mode:
                os.fchmod(target, mode)
            os.utime(target, ns=(date, date))
        except BaseException:
            durable.unlink(temp)
            raise
        finally:
            os.close(target)
        return temp

    def _commit(self, staged: list[_Staged], stage: _Stage, folders: Folders, report: PlaceReport) -> None:
        if not staged:
            return
        lock = IndexLock(self.location.index, stage.folder, self.lock_wait)
        if not lock.take():
            reason = LOCKED
            report.skipped += [(ready.wish.path, reason) for ready in staged]
            return
        stats: Stats = {}
        patch: IndexPatch | None = None
        try:
            if any(ready.wish.oid is not None for ready in staged):
                patch = IndexPatch(lock, self.oid_size)
            with durable.storage_errors(stage.folder):
                stage.write_journal(staged)
            stage.kept = True  # from here to the patch the journal is needed, should anything fail
            for ready in staged:
                found = self._rename(ready, folders, report)
                if found is not None and ready.wish.oid is not None:
                    stats[ready.wish.path] = (ready.wish.oid, found)
            patched = patch is None or patch.apply(stats)
            stage.kept = False
        finally:
            lock.release()
        if not patched:
            refresh_with_git(self.location, stats)

    def _rename(self, ready: _Staged, folders: Folders, report: PlaceReport) -> os.stat_result | None:
        path = ready.wish.path
        try:
            folder, name = folders.parent(path)
            try:
                now: os.stat_result | None = os.lstat(name, dir_fd=folder)
            except FileNotFoundError:
                now = None
            if identity(now) != identity(ready.before):
                report.skipped.append((path, CHANGED))
                return None
            try:
                if now is None or not self.linker.exchange(ready.temp, folder, name):
                    os.replace(ready.temp, name, dst_dir_fd=folder)
            except OSError as error:
                if error.errno != errno.EXDEV:
                    raise
                _copy_beside(ready.temp, folder, name)
            report.placed.append(path)
            return os.lstat(name, dir_fd=folder)
        except OSError as error:
            report.skipped.append((path, os.strerror(error.errno or 0)))
            return None


def refusal(reason: str, shown: str | None = None) -> RegenstoreError:
    """The error for a path that was skipped; ``shown`` is the path for who does not name it beside."""
    head = f"{shown}: " if shown else ""
    if reason == LOCKED:
        return Conflict("index-locked", head + reason)
    if reason in (CHANGED, GONE, NO_FILE):
        return Conflict("edited", head + reason)
    return InvalidInput("bad-path", f"{head}it could not be written: {reason}")


def _open_stored(path: str) -> int:
    for pause in _PAUSES:
        try:
            return os.open(path, os.O_RDONLY)
        except FileNotFoundError:
            time.sleep(pause)
    return os.open(path, os.O_RDONLY)


def _holds(folder: int, name: bytes, found: os.stat_result, text: bytes) -> bool:
    if found.st_size != len(text):
        return False
    fd = os.open(name, _OPEN_FILE, dir_fd=folder)
    try:
        return os.read(fd, len(text) + 1) == text
    finally:
        os.close(fd)


def _size(path: bytes) -> int:
    try:
        return os.lstat(path).st_size
    except OSError:
        return -1


def identity(found: os.stat_result | None) -> Identity | None:
    """What tells a file from one that was written since: inode, time and size."""
    return None if found is None else (found.st_ino, found.st_mtime_ns, found.st_size)


def _copy_beside(temp: str, folder: int, name: bytes) -> None:
    """Another file system is mounted inside the worktree: copy to a hidden name beside, then rename."""
    beside = b".regenstore-" + os.urandom(6).hex().encode()
    state = os.stat(temp)
    try:
        with open(temp, "rb") as source:
            fd = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, stat.S_IMODE(state.st_mode), dir_fd=folder)
            with open(fd, "wb") as target:
                shutil.copyfileobj(source, target, 1 << 20)
                target.flush()
                os.utime(fd, ns=(state.st_mtime_ns, state.st_mtime_ns))
        os.replace(beside, name, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:
        try:
            os.unlink(beside, dir_fd=folder)
        except FileNotFoundError:
            pass
        raise
    durable.unlink(temp)


# ------------------------------------------------------------------------------------------- the stage


class _Stage:
    """A folder for staged files, on the worktree's file system, held by flock while its process lives."""

    def __init__(self, location: Location) -> None:
        home, top = location.git_dir, os.fsdecode(location.top)
        if os.stat(home).st_dev != os.stat(top).st_dev:
            home = top
        self._prefix = f"{home}/{'.' if home == top else ''}{STAGE_PREFIX}{os.getpid()}-"
        umask = os.umask(0)
        os.umask(umask)
        self.mode = 0o666 & ~umask
        self.kept = False
        """Whether the folder stays when the work ends, for :func:`recover`."""
        self._count = 0
        with durable.storage_errors(self._prefix):
            while not self._make():
                pass

    def _make(self) -> bool:
        """Make a folder and own it; False when :func:`recover` took it in between."""
        self.folder = self._prefix + os.urandom(4).hex()
        os.mkdir(self.folder, 0o700)
        try:
            self._owner = _lock_owner(f"{self.folder}/{_OWNER}")
        except (FileNotFoundError, BlockingIOError):
            return False
        if os.path.exists(f"{self.folder}/{_OWNER}"):
            return True
        os.close(self._owner)
        return False

    def __enter__(self) -> _Stage:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        if not self.kept:
            shutil.rmtree(self.folder, ignore_errors=True)
        os.close(self._owner)

    def next_name(self) -> str:
        self._count += 1
        return f"{self.folder}/{self._count}"

    def write_journal(self, staged: Iterable[_Staged]) -> None:
        """What is about to be renamed: inode, time and size stay with a file across the rename."""
        fields: list[bytes] = []
        for ready in staged:
            found = os.stat(ready.temp)
            numbers = b"%d %d %d" % (found.st_ino, found.st_mtime_ns, found.st_size)
            fields += [(ready.wish.oid or b"").hex().encode(), numbers, ready.wish.path]
        with open(f"{self.folder}/journal.new", "wb") as file:
            file.write(b"\0".join(fields))
        os.replace(f"{self.folder}/journal.new", f"{self.folder}/journal")


class _Ahead:
    """An open stage with what is staged in it before it is asked for: source -> (staged file, its date)."""

    def __init__(self, stage: _Stage) -> None:
        self.stage = stage
        self.temps: dict[str, list[tuple[str, int]]] = {}
        self.room = shutil.disk_usage(stage.folder).free // 4


def _lock_owner(path: str, flags: int = os.O_RDWR | os.O_CREAT) -> int:
    """Own a stage: its file, made if need be, locked. Raises BlockingIOError when somebody else has it."""
    fd = os.open(path, flags, 0o600)
    try:
        import fcntl

        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except ImportError:
        pass
    except OSError:
        os.close(fd)
        raise
    return fd


# ------------------------------------------------------------------------------------------- recovery


def recover(location: Location, oid_size: int) -> int:
    """Finish what killed processes began in this worktree: tell the index of media that were already
    renamed, remove stage folders and our own stale ``index.lock``. Gives how many stages were found."""
    found = 0
    for home in {location.git_dir, os.fsdecode(location.top)}:
        try:
            names = os.listdir(home)
        except OSError:
            continue
        for name in names:
            if name.removeprefix(".").startswith(STAGE_PREFIX):
                found += _recover_stage(location, oid_size, f"{home}/{name}")
    _unlock_for_nobody(location)
    return found


def _unlock_for_nobody(location: Location) -> None:
    """Remove a lock of ours whose stage folder is gone: its process could not remove it."""
    try:
        fd = _lock_owner(f"{location.index}.lock", os.O_RDWR)
    except OSError:
        return  # there is none, or another process is about to remove it
    try:
        mark = os.fsdecode(os.read(fd, 256))
        if not mark.removeprefix(".").startswith(STAGE_PREFIX) or "/" in mark:
            return
        homes = (location.git_dir, os.fsdecode(location.top))
        if any(os.path.lexists(f"{home}/{mark}") for home in homes):
            return  # its process or its recovery removes it: a stage outlives the locks that are taken for it
        # Still the same file: then nobody but us may remove it, and nobody can take it before.
        if os.path.samestat(os.fstat(fd), os.lstat(f"{location.index}.lock")):
            durable.unlink(f"{location.index}.lock")
    except OSError:
        pass  # the next command tries again
    finally:
        os.close(fd)


def _recover_stage(location: Location, oid_size: int, folder: str) -> int:
    try:
        # One without its owner's file was killed before it had it, or while it was removed; should it live
        # after all, it sees that it lost its folder, and makes another.
        owner = _lock_owner(f"{folder}/{_OWNER}")
    except OSError:
        return 0  # its process lives
    try:
        lock = IndexLock(location.index, folder, LOCK_WAIT)
        lock.clear()
        if not _replay(location, oid_size, folder, lock):
            return 0  # Git is at work; the next one finishes this
        shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(owner)
    return 1


def _replay(location: Location, oid_size: int, folder: str, lock: IndexLock) -> bool:
    """Tell the index of what a journal says was renamed; False when somebody else holds the index."""
    try:
        with open(f"{folder}/journal", "rb") as file:
            fields = file.read().split(b"\0")
    except FileNotFoundError:
        return True
    stats: Stats = {}
    with Folders(location.top) as folders:
        for oid, numbers, path in zip(fields[::3], fields[1::3], fields[2::3]):
            try:
                parent, name = folders.parent(path)
                now = os.lstat(name, dir_fd=parent)
            except OSError:
                continue
            if oid and b"%d %d %d" % (now.st_ino, now.st_mtime_ns, now.st_size) == numbers:
                stats[path] = (bytes.fromhex(oid.decode("ascii")), now)
    if not stats:
        return True
    if not lock.take():
        return False
    try:
        patched = IndexPatch(lock, oid_size).apply(stats)
    finally:
        lock.release()
    if not patched:
        refresh_with_git(location, stats)
    return True
