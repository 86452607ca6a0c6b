"""A dataset in one ZIP, or in one ZIP per split beside the tables.

To change an archive, it is copied (by reflink if the file system supports it) and the copy renamed over it. A single
ZIP that is too large for that is appended to in place: the archive's old directory stays where it is, and a journal
beside the file records the old size, to which :func:`roll_back` truncates it after a kill.

The same files in the same order give the same bytes: times and attributes of members are fixed.
"""

from __future__ import annotations

import json
import os
import shutil
import struct
import zipfile
from collections.abc import Callable
from typing import Any

from regenstore.errors import Conflict, FormatError
from regenstore.export.dataset.sinks import BUSY, ExportedFile, FolderSink, made_in, open_stage
from regenstore.export.dataset.splits import SPLITS
from regenstore.fs import durable, file_lock, presence
from regenstore.fs.reflink import Linker
from regenstore.fs.stage import Stage
from regenstore.objects.hashing import hash_bytes
from regenstore.objects.ids import Digest

IN_PLACE = 1 << 30
"""Size in bytes from which a single ZIP is appended to in place."""
DEAD = 0.3
"""Unused fraction of an archive from which it is rewritten."""
_TEXTS = (".txt", ".json", ".jsonl", ".csv", ".md", ".toml", ".yaml")
_SIDECARS = "sidecars.zip"
_JOURNAL = ".regenstore-journal"
_HEADER = struct.Struct("<26xHH")
_BLOCK = 1 << 20


class Archive:
    """A ZIP being written, new or changed.

    The standard library can append, but can neither replace members nor leave the old directory in place; both are done
    through the attributes ``start_dir``, ``filelist``, ``NameToInfo`` and ``_didModify``, which tests watch.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        changing = os.path.exists(path)
        try:
            archive: Any = zipfile.ZipFile(path, "a" if changing else "w")
        except zipfile.BadZipFile as error:
            raise FormatError("bad-dataset", f"{path} is not a ZIP file: {error}") from None
        self._zip = archive
        if not file_lock.take(archive.fp.fileno()):
            self.discard()
            raise Conflict("export-busy", f"{path}: {BUSY}")
        if changing:
            archive.start_dir = archive.fp.seek(0, 2)  # after the old directory, not over it

    def sizes(self) -> dict[str, int]:
        """The members with their sizes."""
        return {info.filename: info.file_size for info in self._zip.filelist}

    def remove(self, name: str) -> None:
        if self._zip.NameToInfo.pop(name, None) is not None:
            self._zip._didModify = True

    def _info(self, name: str, size: int) -> zipfile.ZipInfo:
        self.remove(name)
        info = zipfile.ZipInfo(name)
        info.create_system, info.external_attr, info.file_size = 3, 0o644 << 16, size
        info.compress_type = zipfile.ZIP_DEFLATED if name.endswith(_TEXTS) else zipfile.ZIP_STORED
        return info

    def add_bytes(self, name: str, data: bytes) -> None:
        self._zip.writestr(self._info(name, len(data)), data)

    def add_file(self, name: str, source: str, size: int) -> None:
        """Raises FormatError (``bad-dataset``) for a file of unexpected size."""
        with open(source, "rb") as given, self._zip.open(self._info(name, size), "w") as member:
            shutil.copyfileobj(given, member, _BLOCK)
            if given.tell() != size:
                raise FormatError("bad-dataset", f"{source} has another size than recorded: run 'regenstore fsck'")

    def close(self) -> None:
        """Write the directory of members; then rewrite the archive if much of it is unused."""
        named = self._zip.NameToInfo
        self._zip.filelist[:] = [info for info in self._zip.filelist if named.get(info.filename) is info]
        live = sum(info.compress_size + 30 + len(info.filename) * 2 + 46 for info in self._zip.filelist)
        self._zip.close()
        if os.path.getsize(self._path) * (1 - DEAD) > live + 4096:
            repack(self._path)

    def discard(self) -> None:
        """Stop without writing the directory."""
        self._zip._didModify = False
        self._zip.close()


def repack(path: str) -> None:
    """Rewrite an archive without its unused parts, and replace it."""
    temp = f"{path}.{os.getpid()}.tmp"
    try:
        _repack(path, temp)
        durable.rename(temp, path)
    finally:
        durable.unlink(temp)


def _repack(path: str, temp: str) -> None:
    with zipfile.ZipFile(path) as old, open(path, "rb") as raw:
        new: Any = zipfile.ZipFile(temp, "w")
        for info in old.filelist:
            raw.seek(info.header_offset)
            name, extra = _HEADER.unpack(raw.read(_HEADER.size))
            left = _HEADER.size + name + extra + info.compress_size
            raw.seek(info.header_offset)
            info.header_offset = new.fp.tell()
            while left:
                block = raw.read(min(left, _BLOCK))
                if not block:
                    raise FormatError("bad-dataset", f"{path} ends inside of {info.filename}")
                new.fp.write(block)
                left -= len(block)
            new.filelist.append(info)
            new.NameToInfo[info.filename] = info
        new.start_dir = new.fp.tell()
        new._didModify = True
        new.close()


def roll_back(out: str) -> bool:
    """Truncate a ZIP to its state before an interrupted append; False if there was none."""
    journal = out + _JOURNAL
    try:
        told = presence.read(journal)
        if told is None:
            return False
        size = int(json.loads(told)["size"])
    except (ValueError, KeyError, TypeError, RecursionError, OverflowError):
        raise FormatError("bad-dataset", f"{journal} is damaged") from None
    with durable.storage_errors(out):
        if file_lock.in_use(out):
            raise Conflict("export-busy", f"{out}: {BUSY}")
        if os.path.getsize(out) > size:
            os.truncate(out, size)
        os.unlink(journal)
    return True


class ZipSink:
    """Puts everything into one ZIP."""

    def __init__(self, out: str, linker: Linker, *, fresh: bool) -> None:
        self.out = out
        self._stage: Stage | None = None
        with durable.storage_errors(out):
            if not fresh:
                roll_back(out)
            if not fresh and os.path.getsize(out) >= IN_PLACE:
                self.path = out
                self._archive = Archive(out)
                durable.write_file(out + _JOURNAL, json.dumps({"size": os.path.getsize(out)}).encode())
            else:
                self._stage = open_stage(out)
                self.path = f"{self._stage.folder}/{os.path.basename(out)}"
                try:
                    if not fresh:
                        copy(out, self.path, linker)
                    self._archive = Archive(self.path)
                except BaseException:
                    self._stage.close()
                    raise
        self._done = False
        self._sizes = self._archive.sizes()

    def put_bytes(self, name: str, data: bytes) -> ExportedFile:
        with durable.storage_errors(self.path):
            self._archive.add_bytes(name, data)
        return ExportedFile(name, len(data), str(hash_bytes(data)))

    def put_file(self, name: str, source: str, size: int, digest: Digest) -> ExportedFile:
        with durable.storage_errors(self.path):
            self._archive.add_file(name, source, size)
        return ExportedFile(name, size, str(digest))

    def put_made(self, name: str, make: Callable[[str], object]) -> ExportedFile:
        with made_in(os.path.dirname(self.path), make) as (path, digest, size):
            return self.put_file(name, path, size, digest)

    def remove(self, stored: ExportedFile) -> None:
        self._archive.remove(stored.path)

    def intact(self, stored: ExportedFile) -> bool:
        return self._sizes.get(stored.path) == stored.size

    def commit(self) -> None:
        with durable.storage_errors(self.out):
            self._archive.close()
            durable.fsync_file(self.path)
            if self._stage is None:
                os.unlink(self.out + _JOURNAL)
            else:
                durable.rename(self.path, self.out)
        self._done = True

    def abandon(self) -> None:
        if not self._done:
            self._archive.discard()
        if self._stage is not None:
            self._stage.close()
        elif not self._done:
            roll_back(self.out)


class SplitZipSink:
    """``train.zip`` and others, each with its own table; captions and JSON in ``sidecars.zip``; everything else beside
    them in the folder.

    ``datasets`` treats an archive as what most of its members are: with a caption and a JSON beside each medium it
    would take it for text.
    """

    def __init__(self, folder: FolderSink, linker: Linker) -> None:
        self._folder = folder
        self._linker = linker
        self._open: dict[str, Archive] = {}
        self._sizes: dict[str, dict[str, int]] = {}
        self._left: dict[str, set[str]] = {}

    @staticmethod
    def _route(name: str) -> tuple[str, str]:
        """Archive and member of a file; no archive for files beside them."""
        split, _, inner = name.partition("/")
        if split not in SPLITS:
            return "", name
        return (_SIDECARS, name) if name.endswith((".txt", ".json")) else (f"{split}.zip", inner)

    def _archive(self, name: str) -> Archive:
        if name not in self._open:
            path, old = self._folder.path(name), os.path.join(self._folder.out, name)
            if self._folder.changing and os.path.exists(old):
                copy(old, path, self._linker)
            self._open[name] = Archive(path)
        return self._open[name]

    def put_bytes(self, name: str, data: bytes) -> ExportedFile:
        archive, member = self._route(name)
        if not archive:
            return self._folder.put_bytes(name, data)
        with durable.storage_errors(name):
            self._archive(archive).add_bytes(member, data)
        return ExportedFile(member, len(data), str(hash_bytes(data)), archive)

    def put_file(self, name: str, source: str, size: int, digest: Digest) -> ExportedFile:
        archive, member = self._route(name)
        if not archive:
            return self._folder.put_file(name, source, size, digest)
        with durable.storage_errors(name):
            self._archive(archive).add_file(member, source, size)
        return ExportedFile(member, size, str(digest), archive)

    def put_made(self, name: str, make: Callable[[str], object]) -> ExportedFile:
        if not self._route(name)[0]:
            return self._folder.put_made(name, make)
        with made_in(self._folder.stage, make) as (path, digest, size):
            return self.put_file(name, path, size, digest)

    def remove(self, stored: ExportedFile) -> None:
        if stored.inside is None:
            self._folder.remove(stored)
        else:
            self._left.setdefault(stored.inside, set()).add(stored.path)

    def intact(self, stored: ExportedFile) -> bool:
        if stored.inside is None:
            return self._folder.intact(stored)
        if stored.inside not in self._sizes:
            try:
                with zipfile.ZipFile(os.path.join(self._folder.out, stored.inside)) as old:
                    self._sizes[stored.inside] = {info.filename: info.file_size for info in old.filelist}
            except (OSError, zipfile.BadZipFile):
                self._sizes[stored.inside] = {}
        return self._sizes[stored.inside].get(stored.path) == stored.size

    def commit(self) -> None:
        with durable.storage_errors(self._folder.out):
            for archive_name, names in self._left.items():
                if archive_name != _SIDECARS and archive_name not in self._open:
                    # Nothing was put into it, not even a table: remove the split.
                    self._folder.remove(ExportedFile(archive_name, 0, ""))
                    continue
                for name in sorted(names):
                    self._archive(archive_name).remove(name)
            for archive in self._open.values():
                archive.close()
        self._folder.commit()

    def abandon(self) -> None:
        for archive in self._open.values():
            archive.discard()
        self._folder.abandon()


def copy(source: str, target: str, linker: Linker) -> None:
    """Copy or reflink a file to a free path."""
    with open(source, "rb", buffering=0) as given, open(target, "xb", buffering=0) as made:
        linker.fill(given.fileno(), made.fileno())
