"""The status of every tracked path."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from regenstore.errors import Conflict, RegenstoreError
from regenstore.fs import presence
from regenstore.objects import toml
from regenstore.objects.ids import Digest
from regenstore.objects.mismatched_takes import judged_blobs
from regenstore.objects.result import BlobRecord
from regenstore.proof import survey
from regenstore.refs.blobs import read_blobs
from regenstore.refs.git import blob_id
from regenstore.tracked.workbench import Workbench, WorktreeContent, select
from regenstore.worktree.index_file import CacheEntry, IndexFile, UnsupportedIndex

STATES = {
    "placed": "the recorded take is in the worktree",
    "recipe": "recipe text only; 'regenstore get' makes or fetches the medium",
    "wanted": "recipe text only, and it was never run",
    "outdated": "the recorded take was made with other parameters; 'regenstore get' makes one with these",
    "unrecorded": "a medium made for a recipe that records no take; 'regenstore record --add' records it",
    "drifted": "the generator gave other bytes than the recorded take; 'regenstore record' keeps these, and 'regenstore"
    " get' brings the take once a remote has it",
    "new": "not in Git yet; 'git add' adds it",
    "changed": "the recipe was changed and is not added yet",
    "edited": "the medium was edited by hand and is not added yet",
    "imported": "imported media, as recorded",
    "missing": "the worktree file is gone",
    "excluded": "the sparse checkout keeps it out of the worktree",
    "unreadable": "the file at the path cannot be read, so nothing is known about it",
    "not-a-file": "the path is not a regular file, but a folder, link, FIFO, socket or device",
    "conflict": "in conflict: 'regenstore edit PATH', or 'regenstore set PATH --ours FIELD', then 'git add'",
    "raw": "Git has the medium itself; 'git add --renormalize PATH' makes it a recipe",
}


class PathStatus(NamedTuple):
    """One path. ``size`` is that of the recorded take, or of new imported media."""

    path: bytes
    state: str
    size: int | None
    digest: Digest | None
    stored: bool
    """Whether the store has the recorded take."""
    entry: survey.JudgedContent | None = None
    """Whether the take may be evicted, by which rule, and the cost of bringing it back; None if it is not stored, or if
    that is unknown now."""
    problem: RegenstoreError | None = None
    """Why the present content is unknown."""
    captured: str = ""
    """How much the medium's metadata told, if its recipe was captured from them."""


class Status(NamedTuple):
    paths: tuple[PathStatus, ...]
    problem: RegenstoreError | None = None
    """Why nothing is known about eviction."""

    @property
    def counts(self) -> Mapping[str, int]:
        """State -> number of paths, in the order of :data:`STATES`."""
        found = Counter(p.state for p in self.paths)
        return {state: found[state] for state in STATES if found[state]}

    @property
    def captured(self) -> Counter[str]:
        """How much metadata told -> number of paths."""
        return Counter(p.captured for p in self.paths if p.captured)

    @property
    def entries(self) -> list[survey.JudgedContent]:
        """Of all recorded takes in the store, equal ones counted once."""
        return list({p.digest: p.entry for p in self.paths if p.entry is not None}.values())

    @property
    def media_bytes(self) -> int:
        """The total size of all recorded takes, equal ones counted once."""
        return sum({p.digest: p.size or 0 for p in self.paths if p.digest is not None}.values())


def status(bench: Workbench, paths: Sequence[bytes] = ()) -> Status:
    """Return the status of all media, tracked and new, or of those at and below the given paths. Raises StorageError
    (``unreadable``) and FormatError (``bad-index``) if Git's index cannot be read."""
    index = _read_index(bench)
    tracked = bench.tracked()
    conflicted = set(bench.index.conflicted())
    known = dict.fromkeys([*tracked, *conflicted, *bench.untracked()])
    chosen = select(known, paths) if paths else known
    indexed = index.by_path() if index is not None else {}
    oids = [oid for path, oid in tracked.items() if path in chosen]
    said = read_blobs(bench.git, bench.cache, oids, remember=os.path.isdir(bench.store.root))
    records = judged_blobs(bench.cache, said.records)
    found = []
    for path in sorted(chosen):
        if path in conflicted:
            found.append(PathStatus(path, "conflict", None, None, False, problem=_conflict(bench, path)))
            continue
        if path not in tracked:
            found += _new(bench, path)
            continue
        record = records.get(tracked[path])
        problem = None
        if record is None and tracked[path] == blob_id(b"", len(tracked[path])):
            if (empty := _empty_state(bench, path, indexed.get(path))) is not None:
                found.append(PathStatus(path, empty, None, None, False))
            continue
        try:
            state = "raw" if record is None else _state(bench, path, record, index, indexed.get(path))
        except RegenstoreError as error:
            state, problem = error.kind if error.kind == "not-a-file" else "unreadable", error
        digest = record.digest if record is not None else None
        stored = record is not None and digest is not None and bench.store.stored(digest, record.size) is not None
        size = record.size if record is not None and digest is not None else None
        captured = "" if record is None else record.captured
        found.append(PathStatus(path, state, size, digest, stored, problem=problem, captured=captured))
    try:
        entries = bench.surveyor.entries({p.digest for p in found if p.digest is not None and p.stored})
    except RegenstoreError as error:
        return Status(tuple(found), error)
    return Status(tuple(p if p.digest is None else p._replace(entry=entries.get(p.digest)) for p in found))


def _new(bench: Workbench, path: bytes) -> list[PathStatus]:
    """Return the status of an untracked path; none if no medium and no recipe is there."""
    try:
        held = bench.held(path, digest=False)
        recipe = toml.decode_or_none(bench.new_text(path))
    except RegenstoreError as error:
        problem = PathStatus(path, "unreadable", None, None, False, problem=error)
        return [] if error.kind == "not-a-file" else [problem]
    if held is None:
        return []
    take = None if recipe is None else recipe.output.take
    if recipe is None or take is None:
        return [PathStatus(path, "new", held.size if held.text is None else None, None, False)]
    stored = bench.store.stored(take.digest, take.size) is not None
    return [PathStatus(path, "new", take.size, take.digest, stored, captured=recipe.captured or "")]


def _conflict(bench: Workbench, path: bytes) -> RegenstoreError | None:
    """Return which fields of a recipe are in conflict; None if its text has no markers."""
    from regenstore.tracked.conflicts import in_conflict  # seldom needed

    try:
        found = in_conflict(bench, path)
    except RegenstoreError as error:
        return error
    return None if found is None else Conflict("unmerged", f"the sides differ in {', '.join(found.fields)}")


def _read_index(bench: Workbench) -> IndexFile | None:
    try:
        return IndexFile.read(bench.location.index, bench.placer.oid_size)
    except UnsupportedIndex:
        return None  # without stat fields every medium is hashed: slower, and just as correct


def _state(bench: Workbench, path: bytes, record: BlobRecord, index: IndexFile | None, entry: CacheEntry | None) -> str:
    found = presence.lstat(os.path.join(bench.location.top, path), shown=path)
    untouched = found is not None and index is not None and entry is not None and index.matches(entry, found)
    held = bench.held(path, digest=not untouched)
    if held is None:
        return "excluded" if path in bench.index.skipped() else "missing"
    if held.text is not None:
        same = untouched or held.text == bench.index_text(path)
        return _text_state(record) if same else "changed"
    if record.outdated is not None and held.size == record.size and _digest(bench, path, held) == record.outdated:
        return _old_state(bench, record)
    if untouched:
        return _untouched_medium(bench, path, record, held)
    return _touched_medium(bench, path, record, held)


def _empty_state(bench: Workbench, path: bytes, entry: CacheEntry | None) -> str | None:
    """Of an empty file in Git, which is one for everybody; None for what is not added yet (``git add -N``)."""
    if entry is not None and entry.intent_to_add:
        return None
    try:
        held = bench.held(path, digest=False)
    except RegenstoreError as error:
        return error.kind if error.kind == "not-a-file" else "unreadable"
    if held is None:
        return "excluded" if path in bench.index.skipped() else "missing"
    return "edited" if held.size else "imported"


def _text_state(record: BlobRecord) -> str:
    if record.outdated is not None:
        return "outdated"
    return "wanted" if record.digest is None else "recipe"


def _old_state(bench: Workbench, record: BlobRecord) -> str:
    """Of the content that the recipe names, in the worktree: a run with these parameters may have given it too."""
    assert record.key is not None and record.outdated is not None
    made = bench.cache.made(record.key, record.outdated, record.output)
    return "unrecorded" if made else "outdated"


def _digest(bench: Workbench, path: bytes, held: WorktreeContent) -> Digest | None:
    whole = held if held.digest is not None else bench.held(path)
    return None if whole is None else whole.digest


def _untouched_medium(bench: Workbench, path: bytes, record: BlobRecord, held: WorktreeContent) -> str:
    """Judge a medium that Git considers unchanged. Its digest matters only if two results have the same size."""
    if record.key is None:
        return "imported"
    if record.digest is None:
        return "unrecorded"
    if held.size != record.size:
        return "drifted"
    others = [
        c for r in bench.cache.results(record.key) for c in r.outputs.values()
        if c.size == record.size and c.digest != record.digest
    ]  # fmt: skip
    if others:
        hashed = bench.held(path)
        return "placed" if hashed is not None and hashed.digest == record.digest else "drifted"
    return "placed"


def _touched_medium(bench: Workbench, path: bytes, record: BlobRecord, held: WorktreeContent) -> str:
    known = bench.index_text(path)
    text = bench.text_of(path, held, known)
    if text == known:
        if record.key is None:
            return "imported"
        if record.digest is None:
            return "unrecorded"
        return "placed" if held.digest == record.digest else "drifted"
    try:
        return "edited" if toml.decode(text).imported else "changed"
    except RegenstoreError:
        return "edited"
