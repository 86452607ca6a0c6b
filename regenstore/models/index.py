"""The user's index of model files: what each is, by its hashes, so that it is hashed only once.

One file of JSON lines for each user, whatever the repository. A line describes the file at a path, or says that a path
is forgotten; the last line of a path counts. Lines are appended, each as soon as its file is hashed, so that nothing is
lost when a scan is interrupted; a line that cannot be read (cut off by a full disk or a power cut) is passed over, and
that file hashed again. Several processes may add lines at once.

Standard library only, and quick to load: ``git add`` asks it.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from regenstore.fs import durable, file_lock, presence, sharing
from regenstore.fs.path_text import path_of, path_text
from regenstore.fs.writing import write_all
from regenstore.models.finding import ModelFinder
from regenstore.models.indexed_model import FileState, IndexedModel, ModelHashes, ModelHeader

_SPARE = 200
"""Superseded lines that a file may have before it is written anew, beside as many as it has others."""
_DIGEST = re.compile("[0-9a-f]{64}")


class ModelIndex:
    """The index in a file. Reads it when it is first asked. Raises StorageError (``unreadable``) if the file is there
    and cannot be read."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._models: dict[str, IndexedModel] | None = None
        self._inodes: dict[tuple[int, int], list[IndexedModel]] | None = None
        self._finder: ModelFinder | None = None

    @property
    def models(self) -> Mapping[str, IndexedModel]:
        """All models by their paths, in the order in which they were recorded."""
        return self._loaded()

    def _loaded(self) -> dict[str, IndexedModel]:
        if self._models is None:
            self._models, _ = _parsed(presence.read(self.path) or b"")
        return self._models

    @property
    def finder(self) -> ModelFinder:
        """Finds models by name and hash, as far as they are recorded by now."""
        if self._finder is None:
            self._finder = ModelFinder(self._loaded().values())
        return self._finder

    def known(self, path: str, state: FileState) -> IndexedModel | None:
        """Return what is known of a file in this state: recorded at this path, or at another one of the same file
        system, from which it was moved or linked."""
        here = self._loaded().get(path)
        if here is not None and here.state[:3] == state[:3]:
            return here._replace(state=state)
        if self._inodes is None:
            self._inodes = {}
            for each in self._loaded().values():
                self._inodes.setdefault((each.state.device, each.state.inode), []).append(each)
        for each in self._inodes.get((state.device, state.inode), ()):
            if each.state == state:
                return each._replace(path=path)
        return None

    def record(self, models: Iterable[IndexedModel]) -> None:
        """Add models, or replace what is known of their paths. Raises StorageError."""
        added = list(models)
        self._append(map(_line, added))
        self._finder = None
        for each in added:
            self._loaded().pop(each.path, None)
            self._loaded()[each.path] = each
            if self._inodes is not None:
                self._inodes.setdefault((each.state.device, each.state.inode), []).append(each)

    def forget(self, paths: Iterable[str]) -> None:
        """Remove paths from the index. Raises StorageError."""
        gone = [path for path in paths if path in self._loaded()]
        self._append(json.dumps({"path": path_text(path), "forgotten": True}) for path in gone)
        for path in gone:
            del self._loaded()[path]
        self._inodes = self._finder = None

    def tidy(self) -> None:
        """Make durable what was added, and write the file anew if most of its lines are superseded. Raises
        StorageError."""
        if self._models is None or presence.found(self.path) is None:
            return
        with durable.storage_errors(self.path):
            fd = self._locked()
            try:
                models, lines = _parsed(presence.read(self.path) or b"")
                if lines > 2 * len(models) + _SPARE:
                    durable.write_file(self.path, _text(map(_line, models.values())))
                else:
                    durable.fsync_file(self.path)
            finally:
                os.close(fd)

    def _append(self, lines: Iterable[str]) -> None:
        data = _text(lines)
        if not data:
            return
        self._loaded()  # later, it would have the new lines already
        with durable.storage_errors(self.path):
            durable.make_folder(os.path.dirname(self.path))
            fd = self._locked()
            try:
                size = os.fstat(fd).st_size
                cut = size > 0 and os.pread(fd, 1, size - 1) != b"\n"
                write_all(fd, b"\n" + data if cut else data)
            finally:
                os.close(fd)

    def _locked(self) -> int:
        """Open and lock the file that the path leads to: another process may just have replaced it."""
        while True:
            fd = sharing.create(self.path, os.O_RDWR | os.O_APPEND)
            try:
                file_lock.wait(fd)
                found = presence.found(self.path)
                if found is not None and os.path.samestat(os.fstat(fd), found):
                    return fd
            except BaseException:
                os.close(fd)
                raise
            os.close(fd)


def _text(lines: Iterable[str]) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode("ascii")


def _line(model: IndexedModel) -> str:
    told = {**model.state._asdict(), **model.hashes._asdict(), **model.header._asdict()}
    # Lone surrogates of a hostile header stay escapes in ASCII JSON, and come back as they were.
    return json.dumps({"path": path_text(model.path), **{name: value for name, value in told.items() if value != ""}})


def _parsed(data: bytes) -> tuple[dict[str, IndexedModel], int]:
    """Return the models of a file, and the number of its lines."""
    found: dict[str, IndexedModel] = {}
    lines = 0
    for row in _rows(data):
        lines += 1
        try:
            path = os.fsdecode(path_of(row["path"]))
            if row.get("forgotten"):
                found.pop(path, None)
            else:
                model = _model(path, row)
                found.pop(path, None)
                found[path] = model
        except (KeyError, TypeError, ValueError, AttributeError):
            continue
    return found, lines


def _rows(data: bytes) -> Iterator[Any]:
    lines = [line for line in data.split(b"\n") if line]
    try:
        yield from json.loads(b"[" + b",".join(lines) + b"]")  # all at once takes a third of the time
        return
    except (ValueError, RecursionError):
        pass
    for line in lines:
        try:
            yield json.loads(line)
        except (ValueError, RecursionError):
            yield None


def _model(path: str, row: Mapping[str, Any]) -> IndexedModel:
    told = row.get
    state = FileState(row["size"], row["mtime_ns"], row["inode"], row["device"])
    hashes = ModelHashes(row["blake3"], told("sha256", ""), told("tensors", ""), told("autov1", ""))
    header = ModelHeader(told("kind", ""), told("base", ""), told("alias", ""), told("addnet", ""))
    if {*map(type, state)} != {int} or {*map(type, hashes), *map(type, header)} != {str}:
        raise ValueError("numbers and texts are expected")
    if _DIGEST.fullmatch(hashes.blake3) is None:
        raise ValueError("a digest is expected")
    if "\0" in path or not os.path.isabs(path):
        raise ValueError("an absolute path is expected")
    return IndexedModel(path, state, hashes, header)
