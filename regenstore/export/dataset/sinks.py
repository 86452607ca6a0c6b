"""Write a dataset's files to a folder, fresh or changed in place, so that what is there can be loaded at any moment.

A *fresh* dataset is written to a folder beside its location and renamed when complete. A *change* is staged inside the
dataset, in a hidden folder that loaders ignore. A journal then lists what to move and what to remove, and this is
carried out: files before the tables that refer to them, removals last. If the process is killed before the journal is
written, the old dataset remains; if later, the next export completes the change (:func:`recover`).
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from regenstore.errors import Conflict, FormatError
from regenstore.export.dataset.file_writing import FileWriter
from regenstore.fs import durable, file_lock, presence, stage, swap
from regenstore.fs.reflink import Linker
from regenstore.fs.stage import Stage
from regenstore.objects.hashing import hash_bytes, hash_file
from regenstore.objects.ids import Digest

HIDDEN = ".regenstore"
"""Folder inside a dataset, present only during a change."""
_NEW, _OLD, _JOURNAL = "new", "old", "journal.json"
BUSY = "another export is writing it, or another user's export was interrupted there"
ASIDE = "edited"
"""Folder inside a dataset for files that are not, or no longer, as the export wrote them."""
MANIFEST = "manifest.json"
TABLE = "metadata.parquet"


@dataclass(frozen=True)
class ExportedFile:
    """A file as listed in the manifest. ``inside``: the dataset's archive that contains it."""

    path: str
    size: int
    digest: str
    inside: str | None = None

    def to_json(self) -> dict[str, object]:
        found: dict[str, object] = {"path": self.path, "size": self.size, "digest": self.digest}
        return {**found, "in": self.inside} if self.inside else found

    @classmethod
    def from_json(cls, given: dict[str, object]) -> ExportedFile:
        inside = given.get("in")
        return cls(
            str(given["path"]), int(str(given["size"])), str(given["digest"]), None if inside is None else str(inside)
        )


class Sink(Protocol):
    """Accepts a dataset's files by their names in the directory layout (``train/videos/s….mp4``). Files must be
    added before the tables that refer to them; ``commit`` makes everything visible."""

    def put_bytes(self, name: str, data: bytes) -> ExportedFile: ...

    def put_file(self, name: str, source: str, size: int, digest: Digest) -> ExportedFile:
        """Copy a file whose digest is known."""
        ...

    def put_made(self, name: str, make: Callable[[str], object]) -> ExportedFile:
        """Add a file that ``make`` writes to the path it is given."""
        ...

    def remove(self, stored: ExportedFile) -> None: ...

    def intact(self, stored: ExportedFile) -> bool:
        """Whether a file of the old dataset exists with its recorded size."""
        ...

    def commit(self) -> None: ...

    def abandon(self) -> None:
        """Leave everything as it was, unless it was committed."""
        ...


class FolderSink:
    """Writes plain files to a folder."""

    def __init__(self, out: str, linker: Linker, *, fresh: bool, replaced: frozenset[str] | None = None) -> None:
        """``fresh``: there is nothing at ``out``, or an empty folder, or the dataset that consists of the files
        ``replaced``; other files there are kept."""
        self.out = out
        self._writer = FileWriter(linker)
        self._fresh = fresh
        self._replaced = replaced
        self._names: dict[str, None] = {}
        self._gone: list[str] = []
        self._held = open_stage(out) if fresh else _open_hidden(out)
        self.stage = f"{self._held.folder}/{_NEW}"
        self._folders: set[str] = set()
        try:
            with durable.storage_errors(self.stage):
                os.mkdir(self.stage)
        except BaseException:
            self._held.close()
            raise

    @property
    def changing(self) -> bool:
        """Whether an existing dataset at ``out`` is being changed."""
        return not self._fresh

    def path(self, name: str) -> str:
        """The path for a new file, in a folder that exists."""
        path = os.path.join(self.stage, name)
        folder = os.path.dirname(path)
        if folder not in self._folders:
            os.makedirs(folder, exist_ok=True)
            self._folders.add(folder)
        self._names[name] = None
        return path

    def put_bytes(self, name: str, data: bytes) -> ExportedFile:
        self._writer.write(self.path(name), data)
        return ExportedFile(name, len(data), str(hash_bytes(data)))

    def put_file(self, name: str, source: str, size: int, digest: Digest) -> ExportedFile:
        self._writer.copy(self.path(name), source, size)
        return ExportedFile(name, size, str(digest))

    def put_made(self, name: str, make: Callable[[str], object]) -> ExportedFile:
        path = self.path(name)
        with durable.storage_errors(path):
            make(path)
            digest, size = hash_file(path)
        return ExportedFile(name, size, str(digest))

    def remove(self, stored: ExportedFile) -> None:
        self._gone.append(stored.path)

    def intact(self, stored: ExportedFile) -> bool:
        try:
            return os.stat(os.path.join(self.out, stored.path)).st_size == stored.size
        except OSError:
            return False

    def commit(self) -> None:
        self._writer.settle()
        with durable.storage_errors(self.out):
            # Else a power cut could leave empty files where the manifest promises samples, and the old ones removed.
            staged = [f"{self.stage}/{name}" for name in self._names]
            durable.sync_files(staged, sum(os.path.getsize(path) for path in staged))
            self._put_in_place() if self._fresh else self._change()
        self._held.close()

    def _put_in_place(self) -> None:
        if self._replaced is None:
            durable.rename(self.stage, self.out)  # where there is nothing, or an empty folder
            return
        foreign = list(_foreign(self.out, self._replaced)) if presence.is_folder(self.out) else []
        if foreign:
            self._held.write_journal(_JOURNAL, json.dumps({"foreign": foreign}).encode())
        if swap.exchange(self.stage, self.out):  # otherwise the old dataset is removed with the stage
            aside = f"{self._held.folder}/{_OLD}"
            durable.rename(self.out, aside)
            try:
                durable.rename(self.stage, self.out)
            except OSError:
                durable.rename(aside, self.out)
                raise
        _bring_back(self._held.folder, self.out)

    def _change(self) -> None:
        names = [name for name in self._names if name != MANIFEST] + [MANIFEST] * (MANIFEST in self._names)
        gone = [name for name in self._gone if name not in self._names]
        folders = [
            top for name in gone if (top := name.removesuffix(f"/{TABLE}")) != name and _leaves(self.out, top, gone)
        ]
        self._held.write_journal(_JOURNAL, json.dumps({"move": names, "leave": folders, "remove": gone}).encode())
        self._held.kept = True  # if this fails, the next export completes it
        _finish(self.out)
        self._held.kept = False

    def abandon(self) -> None:
        self._writer.stop()
        self._held.close()


def open_stage(out: str) -> Stage:
    """Create a stage beside a location; those that killed exports left there are removed."""
    return Stage(_clear_stages(out))


def _clear_stages(out: str) -> str:
    """Remove the stages that killed exports left beside a location; returns how their paths begin."""
    parent, name = os.path.split(out)
    prefix = f"{parent}/.{name}.partial-"
    with durable.storage_errors(out):
        for left in stage.stages(prefix):
            if presence.is_folder(left):
                stage.recover(left, lambda left: _give_back(left, out))
            elif not file_lock.in_use(left):
                durable.unlink(left)  # a ZIP left by an older version
    return prefix


def _give_back(folder: str, out: str) -> bool:
    """Put back a dataset that was about to be replaced."""
    aside = f"{folder}/{_OLD}"
    if presence.is_folder(aside) and presence.lstat(out) is None:
        durable.rename(aside, out)
    _bring_back(folder, out)
    return True


def _foreign(out: str, ours: frozenset[str]) -> Iterator[str]:
    """What is in a dataset's folder besides its own files, such as a trainer's cache: files, and folders as a whole.
    Raises StorageError (``unreadable``)."""
    folders = {folder for name in ours for folder in _above(name)}
    todo = [""]
    while todo:
        at = todo.pop()
        for name in sorted(presence.names(os.path.join(out, at))):
            path = f"{at}{name}"
            found = presence.lstat(os.path.join(out, path))
            if path in folders and found is not None and stat.S_ISDIR(found.st_mode):
                todo.append(f"{path}/")
            elif path not in ours and path != HIDDEN:
                yield path


def _above(name: str) -> Iterator[str]:
    while name := os.path.dirname(name):
        yield name


def _bring_back(folder: str, out: str) -> None:
    """Move what a replaced dataset in a stage had besides its own files to the new one; repeating it does no harm."""
    told = presence.read(f"{folder}/{_JOURNAL}")
    if told is None:
        return
    for name in map(_inside, json.loads(told)["foreign"]):
        for old in (f"{folder}/{_OLD}/{name}", f"{folder}/{_NEW}/{name}"):
            target = os.path.join(out, name)
            if presence.lstat(target) is not None:
                target = os.path.join(out, ASIDE, name)
            if presence.lstat(old) is not None and presence.lstat(target) is None:
                os.makedirs(os.path.dirname(target), exist_ok=True)
                durable.rename(old, target)


def _open_hidden(out: str) -> Stage:
    recover(out)
    _clear_stages(out)
    try:
        return Stage(os.path.join(out, HIDDEN), unique=False)
    except FileExistsError:
        raise Conflict("export-busy", f"{out}: {BUSY}") from None


@contextmanager
def made_in(folder: str, make: Callable[[str], object]) -> Iterator[tuple[str, Digest, int]]:
    """Have ``make`` write a temporary file; yields it with its digest and size for the duration of the block."""
    path = os.path.join(folder, f".made-{os.getpid()}-{os.urandom(4).hex()}")
    try:
        with durable.storage_errors(path):
            make(path)
            digest, size = hash_file(path)
        yield path, digest, size
    finally:
        if os.path.exists(path):
            os.unlink(path)


def recover(out: str) -> bool:
    """Complete or undo an interrupted change of a dataset in a folder; False if there was none."""
    hidden = os.path.join(out, HIDDEN)
    with durable.storage_errors(hidden):
        done = stage.recover(hidden, lambda _: _finish(out))
        if not done and presence.is_folder(hidden):
            raise Conflict("export-busy", f"{out}: {BUSY}")
    return done


def _finish(out: str) -> bool:
    """Carry out the journal, if there is one; repeating it does no harm."""
    hidden = os.path.join(out, HIDDEN)
    journal = os.path.join(hidden, _JOURNAL)
    if (told := presence.read(journal)) is None:
        return True
    try:
        work = json.loads(told)
        moves, left, gone = ([_inside(name) for name in work[part]] for part in ("move", "leave", "remove"))
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise FormatError("bad-dataset", f"{journal} is damaged ({error}); remove {hidden} to go back") from None
    made: set[str] = set()
    for name in moves:
        staged, target = os.path.join(hidden, _NEW, name), os.path.join(out, name)
        folder = os.path.dirname(target)
        if folder not in made:
            os.makedirs(folder, exist_ok=True)
            made.add(folder)
        if os.path.exists(staged):
            durable.rename(staged, target)
    for name in left:
        # Remove a split at once: a partial one would be loaded as a split of another shape.
        if os.path.isdir(os.path.join(out, name)):
            durable.rename(os.path.join(out, name), os.path.join(hidden, f"left-{name}"))
    folders = set()
    for name in gone:
        target = os.path.join(out, name)
        if os.path.lexists(target):
            os.unlink(target)
        folders.add(os.path.dirname(target))
    for folder in sorted(folders, key=len, reverse=True):
        while len(folder) > len(out) and not (os.path.isdir(folder) and os.listdir(folder)):
            if os.path.isdir(folder):
                os.rmdir(folder)
            folder = os.path.dirname(folder)
    os.unlink(journal)
    return True


def _leaves(out: str, top: str, gone: Collection[str]) -> bool:
    """Whether nothing remains in a folder of the dataset."""
    names = {
        os.path.relpath(os.path.join(folder, name), out)
        for folder, _, files in os.walk(os.path.join(out, top))
        for name in files
    }
    return names <= set(gone)


def _inside(name: object) -> str:
    """Validate that a name from a journal stays inside the dataset."""
    parts = str(name).split("/")
    if not isinstance(name, str) or os.path.isabs(name) or {"", ".", ".."} & {*parts}:
        raise ValueError(f"no name in a dataset: {name!r}")
    return name


def refuse_occupied(out: str, *, force: bool, is_dataset: bool) -> None:
    """Raise Conflict (``exists``) if a fresh dataset would replace something at ``out``."""
    if not os.path.lexists(out) or (os.path.isdir(out) and not os.listdir(out)):
        return
    if not is_dataset:
        raise Conflict("exists", f"{out} exists, and is not a dataset of regenstore", hint="Choose another place.")
    if not force:
        raise Conflict("exists", f"{out} is there", hint="Give --update to change it, or --force to replace it.")
