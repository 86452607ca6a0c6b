"""Finding model files in folders, and hashing those that the index does not know."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from regenstore.errors import StorageError
from regenstore.fs import presence
from regenstore.models.comfyui_assets import ModelAsset, digests_of
from regenstore.models.hashes import hash_model
from regenstore.models.headers import data_start, read_header
from regenstore.models.index import ModelIndex
from regenstore.models.indexed_model import FileState, IndexedModel, ModelHashes
from regenstore.models.model_files import is_model


class ModelFile(NamedTuple):
    """A model file in a scanned folder, with all paths that lead to it: hard links, and symbolic ones."""

    paths: tuple[str, ...]
    state: FileState


@dataclass
class ScanPlan:
    """What a scan has to do."""

    known: list[IndexedModel] = field(default_factory=list)
    """Files that need no hashing: they are as they were, or were moved."""
    told: list[IndexedModel] = field(default_factory=list)
    """Files whose digest a ComfyUI server told."""
    hash: list[ModelFile] = field(default_factory=list)
    problems: list[StorageError] = field(default_factory=list)
    """Folders and files that cannot be read."""

    @property
    def bytes_to_hash(self) -> int:
        return sum(each.state.size for each in self.hash)


def plan(
    folders: Sequence[str], index: ModelIndex, *, again: bool = False, assets: Iterable[ModelAsset] = ()
) -> ScanPlan:
    """Return what a scan of folders has to do. ``again``: hash also what is known; ``assets``: what a ComfyUI server
    knows. Changes nothing. Raises StorageError if the index cannot be read."""
    done = ScanPlan()
    files = _files(folders, done.problems)
    digests = digests_of(assets, ((each.paths, each.state.size) for each in files))
    for each in files:
        digest = digests.get(each.paths[0], "")
        known = None if again else index.known(each.paths[0], each.state)
        if known is not None and (known.complete or digest):
            done.known += [known._replace(path=path) for path in each.paths]
        elif digest:
            try:
                done.told += [_described(path, each.state, ModelHashes(digest)) for path in each.paths]
            except (OSError, presence.NotRegular) as error:
                done.problems.append(_problem(error, each))
        else:
            done.hash.append(each)
    return done


def carry_out(
    found: ScanPlan,
    index: ModelIndex,
    began: Callable[[ModelFile], None],
    told: Callable[[int], None],
    ended: Callable[[ModelFile, StorageError | None], None],
) -> list[IndexedModel]:
    """Hash the files of a plan and record each at once; returns their entries. ``began`` and ``ended`` are called for
    each file, the latter with the reason if it cannot be read, and ``told`` with numbers of bytes hashed. Raises
    StorageError if the index cannot be written."""
    current = index.models
    index.record(each for each in [*found.known, *found.told] if current.get(each.path) != each)
    made: list[IndexedModel] = []
    try:
        for each in found.hash:
            began(each)
            problem = None
            try:
                described = _hashed(each, told)
            except (OSError, presence.NotRegular, StorageError) as error:
                problem = _problem(error, each)
            else:
                index.record(described)
                made += described
            ended(each, problem)
    finally:
        index.tidy()
    return made


def _problem(error: Exception, file: ModelFile) -> StorageError:
    if isinstance(error, OSError):
        return presence.unreadable(error, file.paths[0])
    return error if isinstance(error, StorageError) else StorageError("unreadable", str(error))


def entries_of(index: ModelIndex, folders: Iterable[str]) -> list[IndexedModel]:
    """Return the entries of files at or below the given paths."""
    tops = [os.path.abspath(folder).rstrip(os.sep) for folder in folders]
    return [each for each in index.models.values() if any(_is_within(each.path, top) for top in tops)]


def missing(index: ModelIndex) -> list[IndexedModel]:
    """Return the entries whose files are not there any more. Raises StorageError (``unreadable``)."""
    return [each for each in index.models.values() if presence.found(each.path) is None]


def _is_within(path: str, top: str) -> bool:
    return path == top or path.startswith(top + os.sep)


def _hashed(file: ModelFile, told: Callable[[int], None]) -> list[IndexedModel]:
    fd = presence.open_file(file.paths[0])
    with open(fd, "rb", buffering=0, closefd=True) as opened:
        before = FileState.of(os.fstat(fd))
        start = data_start(opened, before.size)
        hashes = hash_model(fd, start, told)
        after = FileState.of(os.fstat(fd))
    if not before == after == file.state:
        raise StorageError("unreadable", f"{file.paths[0]} was changed while it was read; scan it again")
    return [_described(path, file.state, hashes) for path in file.paths]


def _described(path: str, state: FileState, hashes: ModelHashes) -> IndexedModel:
    """Add what the header tells. Raises OSError and presence.NotRegular."""
    with open(presence.open_file(path), "rb") as file:
        header = read_header(file, state.size, data_start(file, state.size))
    return IndexedModel(path, state, hashes, header)


# ------------------------------------------------------------------------------------------- folders


def _files(folders: Sequence[str], problems: list[StorageError]) -> list[ModelFile]:
    """Return the model files in folders, largest last. Links are followed, and each folder entered once: programs link
    folders of models. Hidden files and folders are passed over, and so are empty files."""
    found: dict[tuple[int, int], ModelFile] = {}
    entered = set[tuple[int, int]]()
    waiting = [os.path.abspath(folder) for folder in reversed(folders)]
    while waiting:
        path = waiting.pop()
        try:
            there = os.stat(path)
            place = there.st_dev, there.st_ino
            if stat.S_ISDIR(there.st_mode):
                if place not in entered:
                    entered.add(place)
                    names = sorted(os.listdir(path), reverse=True)
                    waiting += [os.path.join(path, name) for name in names if not name.startswith(".")]
            elif stat.S_ISREG(there.st_mode) and is_model(os.path.basename(path)) and there.st_size:
                before = found.get(place)
                paths = (path,) if before is None else (*before.paths, path)
                found[place] = ModelFile(tuple(dict.fromkeys(paths)), FileState.of(there))
        except presence.ABSENT as error:
            if os.path.islink(path) and is_model(os.path.basename(path)):  # it leads nowhere; others were just removed
                problems.append(presence.unreadable(error, path))
        except OSError as error:
            problems.append(presence.unreadable(error, path))
    return sorted(found.values(), key=lambda file: file.state.size)
