"""Fills recipe files with their media in place at the end of a checkout: Git has just created them, and no other
program has them open. That avoids a second file, a rename that the file system may wait for, and an unlink for each.

1. Write the journal (the paths, each with the text and the blob that Git has there) and sync it.
2. Take ``index.lock``.
3. For each path, on a few threads: open the file itself; check through the descriptor that it is a regular file with
   one link that holds exactly the text; give it the medium's bytes, its size and a date before the index's.
4. Patch the stat fields of the index entries.

A file left half filled by a killed process or a power cut is *torn*: it begins like the medium and continues like the
text, so it contains no user's work. ``recovery`` completes such files, and the clean filter answers for them with the
text of the journal. Anything else at such a path is the user's.

The bytes are not synced. So the journal stays, as a *record*, until the system has certainly written them back.
"""

from __future__ import annotations

import errno
import math
import os
import stat
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from regenstore.errors import Conflict, RegenstoreError, StorageError
from regenstore.fs import boot, durable, presence
from regenstore.fs.reflink import Linker
from regenstore.fs.stage import damaged
from regenstore.objects.ids import Digest
from regenstore.objects.scan import scan_take
from regenstore.worktree.index_lock import IndexLock, IndexPatch, Stats, refresh_with_git
from regenstore.worktree.location import Location
from regenstore.worktree.paths import Folders
from regenstore.worktree.place import (
    CHANGED,
    GONE,
    LOCKED,
    Placement,
    Placer,
    PlaceReport,
    open_stored,
    placing_base,
    placing_date,
)
from regenstore.worktree.stage import open_stage

FROM = 32
"""The number of files from which this is used: for fewer, syncing the journal takes longer than it saves."""
THREADS = 3
WRITTEN_DOWN = 90.0
"""Seconds after which Linux has written a dirty page back: 30 by default, plus a margin for a busy disk."""
JOURNAL = "texts"
RECORD_PREFIX = "regenstore-filled-"
Find = Callable[[Digest, int], "str | None"]
"""Finds the path of a content in the store."""
_OPEN = os.O_RDWR | os.O_NONBLOCK | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
_NO_FILE = (errno.ELOOP, errno.EISDIR, errno.ENXIO)
_LONGEST_TEXT = 64 << 10
_END = b"end"
_SLICE = 32
_PIECE = 1 << 20


class Filling(NamedTuple):
    """A path in the journal: the text that Git wrote there, to be replaced by its take."""

    path: bytes
    oid: bytes
    text: bytes


class Filler:
    """Places the media of a checkout: many in place, a few as :class:`Placer` does."""

    def __init__(self, placer: Placer) -> None:
        self._placer = placer
        self.location = placer.location

    def place(self, wishes: Sequence[Placement]) -> PlaceReport:
        """Like :meth:`Placer.place`, for paths that Git has just written."""
        fit: list[Placement] = []
        others: list[Placement] = []
        for wish in wishes:
            (fit if _fits(wish) else others).append(wish)
        if len(fit) < FROM:
            return self._placer.place(wishes)
        report = PlaceReport()
        others += self._fill(fit, report)
        if others:
            more = self._placer.place(others)
            report.placed += more.placed
            report.skipped += more.skipped
        return report

    def there_already(self, wish: Placement) -> bool:
        """As :meth:`Placer.there_already`."""
        return self._placer.there_already(wish)

    def unplaced(self, wishes: Iterable[Placement]) -> list[Placement]:
        """Return the wishes whose path still holds the expected text, after :meth:`place` has raised."""
        return self._placer.unplaced(wishes)

    def _fill(self, wishes: list[Placement], report: PlaceReport) -> list[Placement]:
        """Fill what can be filled in place; returns the rest, which only a new file can replace."""
        placer = self._placer
        with open_stage(self.location, self.location.git_dir) as stage:
            journal = stage.write_journal(JOURNAL, _encoded(wishes))
            lock = IndexLock(self.location.index, stage.folder, placer.lock_wait)
            work = _Work(placer, report)
            try:
                if not lock.take():
                    report.skipped += [(wish.path, Conflict("index-locked", LOCKED)) for wish in wishes]
                    return []
                patch = IndexPatch(lock, placer.oid_size)
                stage.kept = True
                try:
                    work.run(wishes)
                finally:
                    patched = patch.apply(work.stats)
                    if not work.torn:
                        _record(self.location, journal)
                        stage.kept = False
            finally:
                lock.release()
            if not patched:
                refresh_with_git(self.location, work.stats)
        if work.failure is not None:
            raise work.failure
        return work.others


def _fits(wish: Placement) -> bool:
    """Return whether recovery could work from the text alone."""
    text, source = wish.replaces, wish.source
    if wish.oid is None or not isinstance(text, bytes) or not isinstance(source, str):
        return False
    if not 0 < len(text) <= _LONGEST_TEXT or b"\0" in text:
        return False
    take = wish.take or scan_take(text)
    return take is not None and source.endswith(take[0].hex()[2:])


class _Work:
    """Fills many files on a few threads; most of the work is in system calls, without the interpreter lock."""

    def __init__(self, placer: Placer, report: PlaceReport) -> None:
        self.stats: Stats = {}
        self.others: list[Placement] = []
        self.failure: StorageError | None = None
        self.torn = False
        """Whether some file could neither be filled nor be given its text back."""
        self.failed: list[Exception] = []
        self._report = report
        self._linker = placer.linker
        self._top = placer.location.top
        self._date = placing_base(placer.location)
        self._stopped = False

    def run(self, wishes: Sequence[Placement]) -> None:
        """Fill all files, or as many as fit on the disk. If interrupted, files already begun are finished."""
        slices = iter([wishes[at : at + _SLICE] for at in range(0, len(wishes), _SLICE)])
        threads = [threading.Thread(target=self._slices, args=(slices,)) for _ in range(THREADS)]
        try:
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        finally:
            self._stopped = True
            for thread in threads:
                if thread.ident is not None:
                    thread.join()
        for error in self.failed:
            raise durable.storage_error(error, self._top) if isinstance(error, OSError) else error

    def _slices(self, slices: Iterator[Sequence[Placement]]) -> None:
        with Folders(self._top) as folders:
            for each in slices:
                for wish in each:
                    if self._stopped:
                        return
                    try:
                        self._fill(wish, folders)
                    except RegenstoreError as error:
                        self._report.skipped.append((wish.path, error))
                    except Exception as error:  # the thread ends; recovery handles what it began
                        self._stopped = self.torn = True
                        self.failed.append(error)

    def _fill(self, wish: Placement, folders: Folders) -> None:
        text, source = wish.replaces, wish.source
        assert isinstance(text, bytes) and isinstance(source, str) and wish.oid is not None
        target = stored = -1
        try:
            try:
                folder, name = folders.parent(wish.path)
                target = os.open(name, _OPEN, dir_fd=folder)
                found = os.fstat(target)
                if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1:
                    self.others.append(wish)
                    return
                if found.st_size != len(text) or os.pread(target, len(text) + 1, 0) != text:
                    raise Conflict("edited", CHANGED)
            except presence.ABSENT:
                raise Conflict("edited", GONE) from None
            except OSError:
                self.others.append(wish)  # the other method reports what is wrong
                return
            stored = open_stored(source)
            date = placing_date(self._date, found.st_mtime_ns)
            try:
                size = os.fstat(stored).st_size if wish.take is None else wish.take[1]
                self._linker.fill_over(stored, target, found.st_size, size)
                self._report.placed.append(wish.path)
            except OSError as error:
                self.failure = self.failure or durable.storage_error(error, wish.path)
                self._stopped = True
                self._give_back(target, text)
            os.utime(target, ns=(date, date))
            self.stats[wish.path] = (wish.oid, os.fstat(target))
        finally:
            for fd in (stored, target):
                if fd >= 0:
                    os.close(fd)

    def _give_back(self, target: int, text: bytes) -> None:
        try:
            os.ftruncate(target, 0)
            os.pwrite(target, text, 0)
        except OSError:
            self.torn = True  # recovery restores it


# ------------------------------------------------------------------------------------------- journals


def _encoded(wishes: Iterable[Placement]) -> bytes:
    fields = [boot.boot_id()]
    for wish in wishes:
        assert wish.oid is not None and isinstance(wish.replaces, bytes)
        fields += [wish.path, wish.oid.hex().encode(), wish.replaces]
    fields.append(_END)
    return b"\0".join(fields)


def read_journal(path: str) -> list[Filling]:
    """Return what was about to be filled; empty if the process did not get that far. Raises StorageError
    (``unreadable``, ``store-damaged``)."""
    fields = (presence.read(path) or b"").split(b"\0")
    if fields[-1] != _END:
        return []  # killed while writing the journal: nothing had begun
    try:
        return [
            Filling(path, bytes.fromhex(oid.decode("ascii")), text)
            for path, oid, text in zip(*(fields[at:-1:3] for at in (1, 2, 3)), strict=True)
        ]
    except ValueError:
        raise damaged(path) from None


def _record(location: Location, journal: str) -> None:
    record = f"{RECORD_PREFIX}{time.monotonic():.0f}-{os.getpid()}-{os.urandom(4).hex()}"
    durable.rename(journal, f"{location.git_dir}/{record}")


def records(location: Location) -> Iterator[tuple[str, bool]]:
    """Return the records of a worktree, each with whether the system has been running since, so that all data is as
    written. Removes records that are no longer needed."""
    for name in presence.names(location.git_dir):
        if not name.startswith(RECORD_PREFIX):
            continue
        path = f"{location.git_dir}/{name}"
        told = (presence.read(path, 64) or b"").partition(b"\0")[0]
        intact = boot.since_this_boot(told)
        if intact and time.monotonic() - _made(name) > WRITTEN_DOWN:
            durable.unlink(path)
        else:
            yield path, intact


def _made(record: str) -> float:
    """When a record was made, by the clock that runs from this boot on and that nothing sets."""
    made = record.removeprefix(RECORD_PREFIX).partition("-")[0]
    return float(made) if made.isdecimal() else math.inf


# ------------------------------------------------------------------------------------------- torn files


def mend(filling: Filling, find: Find, folders: Folders, linker: Linker, date: int) -> os.stat_result | None:
    """Complete a torn file; returns its new status. None if there is nothing to do: it is not torn, the text is as Git
    wrote it, or the store no longer has the medium, so the question is open. Raises StorageError (``unreadable``),
    OSError."""
    stored = target = -1
    try:
        try:
            folder, name = folders.parent(filling.path)
            target = os.open(name, _OPEN, dir_fd=folder)
        except presence.ABSENT:
            return None
        except OSError as error:
            if error.errno in _NO_FILE:
                return None  # replaced meanwhile
            raise presence.unreadable(error, filling.path) from error
        found = os.fstat(target)
        if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1:
            return None
        if found.st_size == len(filling.text) and os.pread(target, found.st_size, 0) == filling.text:
            return None
        stored = open_take(filling.text, find)
        if stored < 0 or not is_torn(target, stored, filling.text):
            return None
        linker.fill_over(stored, target, found.st_size, os.fstat(stored).st_size)
        date = placing_date(date, found.st_mtime_ns)
        os.utime(target, ns=(date, date))
        return os.fstat(target)
    finally:
        for fd in (stored, target):
            if fd >= 0:
                os.close(fd)


def open_take(text: bytes, find: Find) -> int:
    """Open the stored take of a recipe text; -1 if there is none."""
    take = scan_take(text)
    source = None if take is None else find(Digest(take[0]), take[1])
    return -1 if source is None else open_stored(source)


def is_torn(file: int, stored: int, text: bytes) -> bool:
    """Return whether a file begins like the medium and continues like the text; complete, it equals the medium."""
    size = os.fstat(file).st_size
    if size > max(os.fstat(stored).st_size, len(text)):
        return False
    done = 0
    while done < size:
        ours, theirs = os.pread(file, _PIECE, done), os.pread(stored, _PIECE, done)
        if ours != theirs[: len(ours)]:
            done += next((at for at, (a, b) in enumerate(zip(ours, theirs, strict=False)) if a != b), len(theirs))
            break
        done += len(ours)
    return size - done <= max(len(text) - done, 0) and os.pread(file, size - done, done) == text[done:size]
