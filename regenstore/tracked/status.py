"""How things stand at every tracked path."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from regenstore.errors import RegenstoreError
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
    "recipe": "recipe text only; 'regenstore get' brings the medium",
    "wanted": "recipe text only, and it was never run",
    "outdated": "the recorded take was made with other parameters; 'regenstore get' makes one with these",
    "unrecorded": "a medium made for a recipe without a take of its own; 'regenstore record --add' records it",
    "drifted": "the generator gave other bytes than the recorded take; 'regenstore record' keeps these",
    "changed": "the recipe was changed and is not added yet",
    "edited": "the medium was edited by hand and is not added yet",
    "imported": "imported media, as recorded",
    "missing": "the worktree file is gone",
    "excluded": "the sparse checkout keeps it out of the worktree",
    "unreadable": "what lies there cannot be read, so nothing is known of it",
    "not-a-file": "no regular file lies there, but a folder, link, FIFO, socket or device",
    "conflict": "the recipe has a merge conflict",
    "raw": "Git holds the medium itself; 'git add --renormalize PATH' makes it a recipe",
}


@dataclass(frozen=True)
class PathStatus:
    """One path. ``size`` is the recorded take's."""

    path: bytes
    state: str
    size: int | None
    digest: Digest | None
    stored: bool
    """Whether the store holds the recorded take."""
    entry: survey.JudgedContent | None = None
    """Whether that may be evicted, by which rule, and what its return costs; None where it is not stored, or
    where that cannot be told now."""
    problem: RegenstoreError | None = None
    """Why what lies there is not known."""


@dataclass(frozen=True)
class Status:
    paths: tuple[PathStatus, ...]
    problem: RegenstoreError | None = None
    """Why nothing can be told of eviction."""

    @property
    def counts(self) -> Mapping[str, int]:
        """State -> number of paths, in the order of :data:`STATES`."""
        found = Counter(p.state for p in self.paths)
        return {state: found[state] for state in STATES if found[state]}

    @property
    def entries(self) -> list[survey.JudgedContent]:
        """Of all recorded takes in the store, equal ones once."""
        return list({p.digest: p.entry for p in self.paths if p.entry is not None}.values())

    @property
    def media_bytes(self) -> int:
        """What all recorded takes have together, equal ones counted once."""
        return sum({p.digest: p.size or 0 for p in self.paths if p.digest is not None}.values())


def status(bench: Workbench, paths: Sequence[bytes] = ()) -> Status:
    """The state of all tracked paths, or of those at and below the given ones. Raises StorageError (``unreadable``)
    and FormatError (``bad-index``) where Git's index cannot be read."""
    index = _read_index(bench)
    tracked = bench.tracked()
    conflicted = set(bench.index.conflicted())
    chosen = set(select([*tracked, *conflicted], paths)) if paths else {*tracked, *conflicted}
    indexed = index.by_path() if index is not None else {}
    oids = [oid for path, oid in tracked.items() if path in chosen]
    said = read_blobs(bench.git, bench.cache, oids, remember=os.path.isdir(bench.store.root))
    records = judged_blobs(bench.cache, said.records)
    found = []
    for path in sorted(chosen):
        if path in conflicted:
            found.append(PathStatus(path, "conflict", None, None, False))
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
        found.append(PathStatus(path, state, size, digest, stored, problem=problem))
    try:
        entries = bench.surveyor.entries({p.digest for p in found if p.digest is not None and p.stored})
    except RegenstoreError as error:
        return Status(tuple(found), error)
    return Status(tuple(p if p.digest is None else replace(p, entry=entries.get(p.digest)) for p in found))


def _read_index(bench: Workbench) -> IndexFile | None:
    try:
        return IndexFile.read(bench.location.index, bench.placer.oid_size)
    except UnsupportedIndex:
        return None  # without stat fields every medium is hashed: slower, and as right


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
    """A medium that Git takes for unchanged. Only where two results have one size does its digest tell."""
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
