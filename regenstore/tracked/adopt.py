"""Adopting a folder: its media become contents of the store and recipes in Git's index, each content once.

The folder is only read, until with ``move`` a file is removed whose bytes the store has durably. Files are taken in
batches: bytes into the store, a wait for the disk, recipe texts into the worktree and the index. Whenever a process is
killed, a second run finishes what it left: what Git's index names is not taken again, and a recipe text that was not
added yet keeps its name.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import count
from typing import Any, NamedTuple

from regenstore.capture.captured import Captured, Level
from regenstore.errors import Conflict, InvalidInput, RegenstoreError
from regenstore.fs import durable, presence
from regenstore.fs.reflink import Linker
from regenstore.fs.swap import NOTHING, identity
from regenstore.fs.writing import write_all
from regenstore.objects.attribution import attribute
from regenstore.objects.hashing import hash_bytes, hash_fd, hash_file
from regenstore.objects.ids import Digest
from regenstore.objects.recipe import Take
from regenstore.refs.blobs import read_blobs
from regenstore.tracked.adopted_names import SourceFile, checked_pattern, filled, kept_name, numbered
from regenstore.tracked.folder_scan import FolderScan, ScannedFile, opened, scan
from regenstore.tracked.workbench import Workbench
from regenstore.worktree.paths import Folders
from regenstore.worktree.place import Placement

_BATCH_FILES, _BATCH_BYTES = 1000, 1 << 30
_IN_MEMORY = 16 << 20
"""A file up to this size is read once, and what was hashed is what is stored."""
_WORKERS = 4
_NO_DIGEST = Digest(bytes(32))


class Bytes(StrEnum):
    """How the bytes of a file get into the store."""

    AUTO = "auto"
    """By reflink where the file system can, else by copying."""
    COPY = "copy"
    REFLINK = "reflink"


@dataclass(frozen=True)
class AdoptWish:
    """What to adopt, and how."""

    folder: bytes
    into: bytes
    """The folder in the worktree below which the files go; empty for its top."""
    pattern: str | None = None
    """None keeps the names below the folder."""
    how: Bytes = Bytes.AUTO
    move: bool = False
    place: bool = False
    """Whether the media are placed in the worktree, in the place of their recipes."""
    reflinks: bool = True
    """Whether reflinks are tried, by the settings."""


class AdoptedFile(NamedTuple):
    """What became of one medium of the folder."""

    source: bytes
    size: int
    digest: Digest
    media_type: str
    path: bytes
    """Where the repository has it."""
    duplicate: bool
    """Whether the repository had the content already, or got it from another file of the folder."""
    level: Level | None
    program: str | None


@dataclass
class AdoptReport:
    """What was done, or what a dry run would do."""

    scan: FolderScan
    files: list[AdoptedFile] = field(default_factory=list)
    failed: list[tuple[bytes, RegenstoreError]] = field(default_factory=list)
    """Files and folders that could not be taken, by their paths below the folder."""
    removed: int = 0
    placed: int = 0


class AdoptProgress(NamedTuple):
    """Functions that are told how far it is."""

    begin: Callable[[int, int], None]
    """The number of files and their bytes, once they are known."""
    done: Callable[[bytes, int], None]
    """A file, and its bytes, when it has been read."""


class FileRead(NamedTuple):
    """A file of the folder, read. ``temp`` is a file of the store with its bytes, if the store lacks them."""

    file: ScannedFile
    digest: Digest
    size: int
    captured: Captured | None
    temp: str | None


def recipe_text(bench: Workbench, path: bytes, read: FileRead) -> bytes:
    """The recipe text that clean would give for a content that the index does not have."""
    media_type, about = read.file.media_type, read.captured

    def captured(take: Take, labels: Mapping[str, Any]) -> bytes | None:
        return None if about is None else bench.capturer.text_of(path, about, take, media_type, labels)

    return attribute(bench.cache, None, read.digest, read.size, media_type, captured=captured)


class Adoption:
    """One run over one folder."""

    def __init__(self, bench: Workbench, wish: AdoptWish, progress: AdoptProgress) -> None:
        """Look through the folder. Raises NotFound (``no-such-path``) and InvalidInput (``bad-path``) for a folder that
        cannot be adopted, or a pattern with unknown fields."""
        if wish.pattern is not None:
            checked_pattern(wish.pattern)
        self._bench = bench
        self._wish = wish
        self._progress = progress
        self._linker = Linker(reflink=wish.reflinks and wish.how is not Bytes.COPY)
        self._taken: dict[Digest, bytes] = {}
        """Contents that the repository has, with a path of each."""
        self._names: set[str] = set()
        """The paths in use, without their case: some file systems ignore it."""
        self._next: dict[bytes, Iterator[int]] = {}
        where = bench.location
        apart = [where.top, os.fsencode(where.git_dir), os.fsencode(where.common_dir), os.fsencode(bench.store.root)]
        self.scan = scan(wish.folder, apart)

    def run(self, *, dry_run: bool = False) -> AdoptReport:
        """Adopt the folder. Files that cannot be taken are reported, and the others taken. Raises InvalidInput
        (``not-tracked``) before anything is written if Git ignores a path; StorageError for the store or the worktree,
        and FormatError (``git-failed``), which keep what was taken so far."""
        bench = self._bench
        report = AdoptReport(self.scan, failed=list(self.scan.failed))
        self._refuse_ignored()
        index = bench.index.oids()
        records = read_blobs(bench.git, bench.cache, index.values(), remember=not dry_run).records
        named = {oid: record.named for oid, record in records.items()}
        self._taken = {digest: path for path, oid in index.items() if (digest := named.get(oid)) is not None}
        self._names = {os.fsdecode(path).casefold() for path in index}
        self._progress.begin(len(report.scan.files), sum(file.size for file in report.scan.files))
        if report.scan.files and not dry_run:
            bench.store.prepare()
        with Folders(report.scan.folder) as folders:
            for batch in _batches(report.scan.files):
                self._batch(folders, batch, report, dry_run)
        return report

    def lacking(self) -> list[str]:
        """Return the patterns for 'regenstore track' that the files need and that are not tracked yet. Raises
        InvalidInput (``bad-path``) for names that cannot be kept."""
        paths = self._probable_paths()
        lacking = set(paths) - set(self._bench.git.filtered(paths))
        suffixes = {os.path.splitext(os.fsdecode(path))[1] or os.fsdecode(path) for path in lacking}
        return sorted(f"*{suffix}" if suffix.startswith(".") else suffix for suffix in suffixes)

    def _refuse_ignored(self) -> None:
        ignored = self._bench.git.ignored(self._probable_paths())
        if ignored:
            more = f", and {len(ignored) - 1:,} more paths" if len(ignored) > 1 else ""
            raise InvalidInput(
                "not-tracked",
                f"{os.fsdecode(ignored[0])}: .gitignore makes Git ignore it{more}",
                hint="Use another folder with --into, or change .gitignore.",
            )

    def _probable_paths(self) -> list[bytes]:
        """The paths of all files as far as their names alone decide: numbers and values of metadata may differ."""
        files = (SourceFile(each.path, 0.0, each.media_type, _NO_DIGEST, None) for each in self.scan.files)
        return list(dict.fromkeys(map(self._wanted, files)))

    # -------------------------------------------------------------------------------- one batch

    def _batch(self, folders: Folders, batch: Sequence[ScannedFile], report: AdoptReport, dry_run: bool) -> None:
        store = self._bench.store
        texts: dict[bytes, bytes] = {}
        taken: list[AdoptedFile] = []
        there: set[bytes] = set()
        for read in self._read_all(folders, batch, report, dry_run):
            duplicate = read.digest in self._taken
            try:
                path = self._taken[read.digest] if duplicate else self._named(read, texts, there)
            except RegenstoreError as error:
                report.failed.append((read.file.path, error))
                if read.temp is not None:
                    durable.unlink(read.temp)
                continue
            if read.temp is not None:
                store.put_file(read.temp, read.digest, wait=False)
            elif not dry_run and store.claim(read.digest, read.size) is None:  # gone meanwhile, or another user's
                store.put_copy(os.fsdecode(os.path.join(self.scan.folder, read.file.path)), read.digest, wait=False)
            self._taken[read.digest] = path
            level, program = (None, None) if read.captured is None else (read.captured.level, read.captured.program)
            about = (read.file.media_type, path, duplicate, level, program)
            taken.append(AdoptedFile(read.file.path, read.size, read.digest, *about))
        if not dry_run:
            store.settle()
            lost = self._write(texts, there, report)
            self._taken = {digest: path for digest, path in self._taken.items() if path not in lost}
            taken = [each for each in taken if each.path not in lost]
            if self._wish.move:
                self._remove(folders, {file.path: file for file in batch}, taken, report)
        report.files += taken

    def _named(self, read: FileRead, texts: dict[bytes, bytes], there: set[bytes]) -> bytes:
        """Choose a path for a new content, and note its recipe text, and whether it is there already."""
        modified = read.file.identity.modified / 1e9
        wanted = self._wanted(SourceFile(read.file.path, modified, read.file.media_type, read.digest, read.captured))
        text = recipe_text(self._bench, wanted, read)
        for number in self._next.setdefault(wanted, count(1)):
            path = wanted if number == 1 else numbered(wanted, number)
            name = os.fsdecode(path).casefold()
            if name in self._names:
                continue
            if presence.lstat(os.path.join(self._bench.location.top, path), shown=path) is not None:
                if not self._holds(path, text):
                    continue
                there.add(path)
            self._names.add(name)
            texts[path] = text
            return path
        raise AssertionError

    def _holds(self, path: bytes, text: bytes) -> bool:
        """Whether a path has this recipe already: an earlier run was stopped before it was added."""
        try:
            held = self._bench.held(path, digest=False)
        except Conflict:
            return False
        return held is not None and held.text == text

    def _wanted(self, file: SourceFile) -> bytes:
        name = kept_name(file) if self._wish.pattern is None else filled(self._wish.pattern, file)
        return b"/".join(part for part in (self._wish.into, name) if part)

    def _write(self, texts: Mapping[bytes, bytes], there: set[bytes], report: AdoptReport) -> set[bytes]:
        """Write recipe texts and add them; returns the paths where that was not possible."""
        bench = self._bench
        lost: dict[bytes, RegenstoreError] = {}
        for path in set(texts).difference(bench.git.filtered(texts)):
            lost[path] = InvalidInput("not-tracked", f"{os.fsdecode(path)}: no pattern of 'regenstore track' covers it")
        wishes = [Placement(path, text, NOTHING) for path, text in texts.items() if path not in lost.keys() | there]
        lost |= bench.placer.place(wishes).skipped
        report.failed += lost.items()
        added = {path: text for path, text in texts.items() if path not in lost}
        if not added:
            return set(lost)
        # The filter would pass each text as it is, having parsed it.
        oids = bench.git.add_blobs(added, bench.placer.oid_size)
        sources: dict[bytes, str | None] = {}
        if self._wish.place:
            sources = {path: bench.store.stored(digest) for digest, path in self._taken.items() if path in added}
        # So the index knows the files, and Git need not read them to see that they are unchanged.
        done = bench.placer.place(
            [Placement(path, sources.get(path) or text, text, oids[path]) for path, text in added.items()]
        )
        report.failed += done.skipped
        report.placed += sum(1 for path in done.placed if sources.get(path) is not None)
        return set(lost)

    def _remove(
        self, folders: Folders, batch: Mapping[bytes, ScannedFile], taken: Sequence[AdoptedFile], report: AdoptReport
    ) -> None:
        """Remove the sources whose bytes the store really has, read once more, if they have not changed since."""
        sound: dict[Digest, bool] = {}
        for each in taken:
            if each.digest not in sound:
                stored = self._bench.store.stored(each.digest, each.size)
                sound[each.digest] = stored is not None and hash_file(stored)[0] == each.digest
            try:
                folder, name = folders.parent(each.source)
                if not sound[each.digest] or identity(os.lstat(name, dir_fd=folder)) != batch[each.source].identity:
                    raise Conflict("edited", "it has changed since it was read, and stays")
                os.unlink(name, dir_fd=folder)
                report.removed += 1
            except OSError as error:
                report.failed.append((each.source, durable.storage_error(error, each.source)))
            except Conflict as error:
                report.failed.append((each.source, error.at(os.fsdecode(each.source))))

    # -------------------------------------------------------------------------------- reading

    def _read_all(
        self, folders: Folders, batch: Sequence[ScannedFile], report: AdoptReport, dry_run: bool
    ) -> Iterator[FileRead]:
        """Read the files, several at a time, and yield them in order."""
        workers = ThreadPoolExecutor(_WORKERS)
        waiting: deque[Future[FileRead]] = deque()
        rest = iter(batch)
        try:
            while True:
                while len(waiting) < 2 * _WORKERS and (file := next(rest, None)) is not None:
                    try:
                        waiting.append(workers.submit(self._read, opened(folders, file.path), file, dry_run))
                    except RegenstoreError as error:
                        report.failed.append((file.path, error))
                        self._progress.done(file.path, file.size)
                if not waiting:
                    return
                try:
                    read = waiting.popleft().result()
                except _Unread as unread:
                    report.failed.append((unread.path, unread.error))
                    continue
                yield read
                self._progress.done(read.file.path, read.size)
        finally:
            workers.shutdown(cancel_futures=True)
            for future in waiting:
                if not future.cancelled() and future.exception() is None and (temp := future.result().temp):
                    with suppress(OSError):
                        durable.unlink(temp)

    def _read(self, fd: int, file: ScannedFile, dry_run: bool) -> FileRead:
        """Read one open file, and put its bytes beside the store's contents if it lacks them. Raises _Unread if the
        file cannot be read, StorageError if the bytes cannot be written."""
        store = self._bench.store
        temp = None if dry_run else store.temp_path("adopt")
        kept = False
        try:
            # What is hashed is what is stored: a clone, or bytes in memory, which no program changes meanwhile.
            cloned = temp is not None and self._clone(fd, temp)
            data: bytes | None = None
            with _unread(file):
                if not cloned and file.size <= _IN_MEMORY:
                    with open(fd, "rb", closefd=False) as source:
                        data = source.read()
                    digest, size = hash_bytes(data), len(data)
                elif cloned and temp is not None:
                    digest, size = hash_file(temp)
                else:
                    digest, size = hash_fd(fd)
                read = FileRead(file, digest, size, self._bench.capturer.read(fd), None)
            if temp is None or store.stored(read.digest, read.size) is not None:
                return read
            if not cloned:
                with _new_file(temp) as target:
                    if data is None:
                        self._linker.fill(fd, target)
                    else:
                        write_all(target, data)
            if not cloned and data is None and hash_file(temp)[0] != read.digest:
                changed = Conflict("edited", f"{os.fsdecode(file.path)}: it changed while it was read")
                raise _Unread(file.path, changed)
            kept = True
            return read._replace(temp=temp)
        finally:
            os.close(fd)
            if temp is not None and not kept:
                durable.unlink(temp)

    def _clone(self, source: int, temp: str) -> bool:
        """Make a file that shares the source's blocks; False if it has to be copied."""
        if not self._linker.reflinks:
            cloned = False
        else:
            with _new_file(temp) as target:
                cloned = self._linker.clone(source, target)
            if not cloned:
                durable.unlink(temp)
        if not cloned and self._wish.how is Bytes.REFLINK:
            raise InvalidInput(
                "bad-parameter",
                f"{os.fsdecode(self._wish.folder)} and the store cannot share blocks",
                hint="Leave out --reflink: the files are copied.",
            )
        return cloned


class _Unread(Exception):
    """A file of the folder could not be read."""

    def __init__(self, path: bytes, error: RegenstoreError) -> None:
        super().__init__(error.message)
        self.path = path
        self.error = error


@contextmanager
def _unread(file: ScannedFile) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _Unread(file.path, presence.unreadable(error, file.path)) from error


@contextmanager
def _new_file(path: str) -> Iterator[int]:
    """An open new file of the store. Raises StorageError for whatever fails with it."""
    with durable.storage_errors(path):
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            yield fd
        finally:
            os.close(fd)


def _batches(files: Sequence[ScannedFile]) -> Iterator[Sequence[ScannedFile]]:
    start, size = 0, 0
    for at, file in enumerate(files):
        if at > start and (at - start >= _BATCH_FILES or size + file.size > _BATCH_BYTES):
            yield files[start:at]
            start, size = at, 0
        size += file.size
    if files:
        yield files[start:]
