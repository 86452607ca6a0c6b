"""Write a batch: everything is staged beside its destination first, then renamed; if something fails on the way, the
folders are left as they were. Files that an export wrote are replaced; foreign and edited ones only with ``foreign``,
and a medium never.

Before the renames a journal is written into the stage. A process killed before that has changed nothing; one killed
later is completed by the next export into that folder (:func:`recover`), except for files that were written there
since.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from regenstore.errors import Conflict, InvalidInput
from regenstore.export.sidecar.batch import Batch, PlannedFile
from regenstore.export.sidecar.exported import Exported
from regenstore.fs import durable, presence, stage, swap
from regenstore.fs.reflink import Linker
from regenstore.fs.stage import Stage
from regenstore.fs.swap import Seen
from regenstore.fs.writing import write_all
from regenstore.worktree.paths import check_relative

STAGE = ".regenstore-export-"
"""Prefix of the names of staging folders."""
_JOURNAL, _WHOLE = "journal.json", "whole"


@dataclass(frozen=True)
class Delivered:
    """What was done, by path."""

    written: tuple[str, ...]
    unchanged: tuple[str, ...]
    """Files that already existed with the same bytes."""


def existing(batch: Batch) -> tuple[list[PlannedFile], list[PlannedFile]]:
    """The planned files that already exist: with the same bytes, and with others."""
    same: list[PlannedFile] = []
    other: list[PlannedFile] = []
    for file in batch.files:
        if os.path.lexists(file.target):
            (same if _is(file) else other).append(file)
    return same, other


def _is(file: PlannedFile) -> bool:
    """Whether there is a regular file with exactly these bytes at the target."""
    if os.path.islink(file.target) or not os.path.isfile(file.target):
        return False
    with open(file.target, "rb") as there:
        for block in file.blocks():
            if there.read(len(block)) != block:
                return False
        return not there.read(1)


def deliver(
    batch: Batch,
    *,
    base: str,
    protected: Callable[[str], bool],
    exported: Exported | None = None,
    foreign: bool = False,
    linker: Linker | None = None,
) -> Delivered:
    """Write a batch. ``base``: the folder that contains all targets. ``protected`` returns whether a path is a medium
    or Git's own: exports never overwrite those. ``exported`` knows the files of earlier exports, which are replaced,
    and learns the new ones. ``foreign``: replace other files, too.

    Raises InvalidInput (``bad-export``) for files with problems and for refused targets, Conflict (``exists``) for
    foreign files, StorageError.
    """
    problems = [f"{file.target}: {problem}" for file in batch.files for problem in file.problems]
    if problems:
        raise InvalidInput("bad-export", "the generated files are invalid:\n  " + "\n  ".join(problems))
    with durable.storage_errors(base):
        recover(base if presence.is_folder(base) else os.path.dirname(base), protected)
    was = {file.target: swap.seen(presence.lstat(file.target)) for file in batch.files}
    same, other = existing(batch)
    for file in batch.files:
        if protected(file.target):
            raise InvalidInput("bad-export", f"{file.target} is a medium or a file of Git's: no export overwrites it")
        _refuse_links(base, file.target)
    with durable.storage_errors(base):
        _refuse_foreign(other, exported, foreign)
    due = [file for file in batch.files if file not in same]
    with durable.storage_errors(base):
        try:
            if exported is not None:
                exported.add(batch.files)
            _write(due, base, linker or Linker(), was)
        except swap.Changed:
            raise Conflict("exists", f"{base}: a file was written there meanwhile; nothing was exported") from None
    return Delivered(tuple(file.target for file in due), tuple(file.target for file in same))


def _refuse_foreign(other: Sequence[PlannedFile], exported: Exported | None, foreign: bool) -> None:
    """Raise Conflict (``exists``) for targets with files that no export may replace, or only with ``foreign``."""
    strange = [file for file in other if exported is None or not exported.has(file.target)]
    odd = [file for file in strange if not _replaceable(file)]
    refused = odd or ([] if foreign else strange)
    if not refused:
        return
    listed = "".join(f"\n  {file.target}" for file in refused[:10])
    more = f"\n  and {len(refused) - 10} more" if len(refused) > 10 else ""
    if odd:
        raise Conflict("exists", f"these are not files:{listed}{more}", hint="Move them away, or export elsewhere.")
    raise Conflict(
        "exists",
        f"these files exist already, and no export here wrote them with their present content:{listed}{more}",
        hint="Move them away or export elsewhere; --overwrite-foreign replaces them.",
    )


def _replaceable(file: PlannedFile) -> bool:
    """Whether there is a regular file or a link at the target: anything else always stays."""
    found = presence.lstat(file.target)
    return found is None or stat.S_ISREG(found.st_mode) or stat.S_ISLNK(found.st_mode)


def _refuse_links(base: str, target: str) -> None:
    """Refuse symbolic links among the folders below the base: they could lead anywhere."""
    folder = os.path.dirname(target)
    while len(folder) > len(base):
        if os.path.islink(folder):
            raise InvalidInput("bad-export", f"{folder} is a symbolic link: nothing is written through it")
        folder = os.path.dirname(folder)


def _write(due: Sequence[PlannedFile], base: str, linker: Linker, was: Mapping[str, Seen]) -> None:
    if not due:
        return
    fresh = not os.path.lexists(base)
    home = os.path.dirname(base) if fresh else base
    os.makedirs(home, exist_ok=True)
    with Stage(f"{home}/{STAGE}") as made:
        if fresh:  # a single rename makes all of it visible
            whole = f"{made.folder}/{_WHOLE}"
            for file in due:
                with durable.storage_errors(file.target):
                    _fill(file, os.path.join(whole, os.path.relpath(file.target, base)), linker)
            _sync([f"{whole}/{os.path.relpath(file.target, base)}" for file in due])
            durable.rename(whole, base)
            return
        moves = []
        for number, file in enumerate(due):
            temp = f"{made.folder}/{number}"
            with durable.storage_errors(file.target):
                _fill(file, temp, linker)
            moves.append(_Move(temp, file.target, _told(was[file.target])))
        if any(swap.seen(presence.lstat(move.target)) != was[move.target] for move in moves):
            raise swap.Changed
        _sync([move.temp for move in moves])
        told = [{"target": os.path.relpath(move.target, base), "was": move.was} for move in moves]
        made.write_journal(_JOURNAL, json.dumps(told).encode())
        _move(moves, made)


def _sync(staged: Sequence[str]) -> None:
    """Have the bytes on disk before the names that they get: else a power cut could leave empty files in place of those
    that were replaced, which the next export would take for somebody's own."""
    durable.sync_files(staged, sum(os.path.getsize(path) for path in staged))


def _identity(path: str) -> list[int] | None:
    """Distinguishes a file from one written later; None if there is none. Raises StorageError (``unreadable``)."""
    found = presence.lstat(path)
    return None if found is None else _told(swap.identity(found))


def _told(was: Seen) -> list[int] | None:
    """The journal's form of a file's identity."""
    return [was.inode, was.size, was.modified] if isinstance(was, swap.Identity) else None


def _fill(file: PlannedFile, temp: str, linker: Linker) -> None:
    os.makedirs(os.path.dirname(temp), exist_ok=True)
    target = os.open(temp, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        if file.data is None and file.packet is None:
            assert file.source is not None
            source = os.open(file.source, os.O_RDONLY)
            try:
                linker.fill(source, target)  # never a hard link: programs write into files that they import
            finally:
                os.close(source)
            return
        for block in file.blocks():
            write_all(target, block)
    finally:
        os.close(target)


@dataclass(frozen=True)
class _Move:
    temp: str
    target: str
    was: list[int] | None
    """Identity of the file to be replaced."""


def _move(moves: Sequence[_Move], made: Stage) -> None:
    """Rename everything into place; if a rename fails, undo the earlier ones. If even that fails, the stage is kept,
    with the replaced files."""
    made.kept = True
    undo: list[Callable[[], object]] = []
    folders: list[str] = []
    try:
        for move in moves:
            with durable.storage_errors(move.target):
                _make_folders(os.path.dirname(move.target), folders)
            kept = _kept(move)
            if move.was is not None:
                durable.rename(move.target, kept)
                undo.append(partial(_put_back, kept, move.target))
                if _identity(kept) != move.was:
                    raise swap.Changed
            swap.put(move.temp, move.target, swap.NOTHING)
            undo.append(partial(durable.rename, move.target, move.temp))
    except BaseException:
        for step in reversed(undo):
            step()
        for folder in reversed(folders):
            os.rmdir(folder)
        made.kept = False
        raise
    made.kept = False


def _kept(move: _Move) -> str:
    """Where a replaced file is kept meanwhile."""
    return f"{move.temp}-old"


def _put_back(kept: str, target: str) -> None:
    try:
        swap.put(kept, target, swap.NOTHING)
    except swap.Changed:
        pass  # there is a newer one by now


def recover(base: str, protected: Callable[[str], bool]) -> None:
    """Complete batches whose processes were killed while renaming, and remove other leftover stages."""
    for folder in stage.stages(f"{base}/{STAGE}"):
        stage.recover(folder, lambda folder: _finish(folder, base, protected))


def _finish(folder: str, base: str, protected: Callable[[str], bool]) -> bool:
    try:
        told = json.loads(presence.read(f"{folder}/{_JOURNAL}") or b"[]")
        moves = []
        for number, each in enumerate(told):
            check_relative(os.fsencode(each["target"]))
            moves.append(_Move(f"{folder}/{number}", os.path.join(base, each["target"]), each["was"]))
    except (ValueError, KeyError, TypeError, RecursionError, InvalidInput):
        return True  # not written by this program
    for move in moves:
        if _identity(_kept(move)) not in (None, move.was):  # written right before the kill: put it back
            _put_back(_kept(move), move.target)
        now = _identity(move.target)
        if not os.path.isfile(move.temp) or protected(move.target) or now not in (None, move.was):
            continue
        try:
            _refuse_links(base, move.target)
        except InvalidInput:
            continue
        os.makedirs(os.path.dirname(move.target), exist_ok=True)
        try:
            swap.put(move.temp, move.target, swap.seen(presence.lstat(move.target)))
        except swap.Changed:
            continue
    return True


def _make_folders(folder: str, made: list[str]) -> None:
    if not os.path.isdir(folder):
        _make_folders(os.path.dirname(folder), made)
        os.mkdir(folder)
        made.append(folder)
