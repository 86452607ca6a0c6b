"""From Git LFS: pointers in Git become recipes, and their files contents of the store."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from io import BufferedReader
from typing import NamedTuple

from regenstore.errors import Conflict, NotFound, RegenstoreError
from regenstore.fs.swap import NOTHING
from regenstore.gitfilter import attributes
from regenstore.migration.lfs_objects import LfsObjects
from regenstore.migration.taking import take_in
from regenstore.objects.lfs_pointer import LARGEST, LfsPointer, parse_pointer
from regenstore.objects.recipe import Take
from regenstore.refs.git import Rewriter, Rewritten
from regenstore.tracked.workbench import Workbench
from regenstore.worktree.place import Placement

FILTER = "lfs"
Tell = Callable[[bytes], None]


class LfsFile(NamedTuple):
    """A pointer in Git, and where its file is on this machine."""

    path: bytes
    pointer: LfsPointer
    source: str | None
    """None if it is not here."""


@dataclass(frozen=True)
class LfsPlan:
    """What a migration would do."""

    files: tuple[LfsFile, ...]
    """Of the index, or of all branches and tags: each pointer once per path."""
    folders: tuple[bytes, ...]
    """Folders of the worktree whose .gitattributes name Git LFS."""
    patterns: tuple[str, ...] = ()
    """The patterns that they name it for."""
    refused: dict[bytes, RegenstoreError] = field(default_factory=dict)
    """Paths of the worktree that cannot be migrated as they are."""

    @property
    def missing(self) -> tuple[LfsFile, ...]:
        return tuple(found for found in self.files if found.source is None)

    @property
    def bytes(self) -> int:
        return sum({found.pointer.sha256: found.pointer.size for found in self.files}.values())


class LfsMigration:
    """Migrates one repository from Git LFS."""

    def __init__(self, bench: Workbench) -> None:
        self._bench = bench
        self._objects = LfsObjects(bench.git, bench.location.common_dir)
        self._texts: dict[str, tuple[Take, bytes]] = {}

    def plan(self) -> LfsPlan:
        """Look at the index and the worktree. Changes nothing. Raises StorageError and FormatError."""
        bench = self._bench
        pointers = self._pointers((path, oid) for path, oid in bench.index.oids().items())
        files, refused = [], {}
        for path, pointer in pointers:
            source = self._objects.find(pointer)
            try:
                held = bench.held(path)
                if held is None:
                    bench.refuse_excluded(path)
                elif not self._is_pointer(path, pointer):
                    whole = os.path.join(os.fsdecode(bench.location.top), os.fsdecode(path))
                    if held.size != pointer.size or _sha256(whole) != pointer.sha256:
                        raise Conflict("edited", f"{os.fsdecode(path)}: it is neither the pointer nor its file")
                    source = source or whole
            except RegenstoreError as error:
                refused[path] = error
            files.append(LfsFile(path, pointer, source))
        folders, patterns = self._attribute_files()
        return LfsPlan(tuple(files), folders, patterns, refused)

    def plan_history(self) -> LfsPlan:
        """Look at all branches and tags. Changes nothing. Raises StorageError and FormatError."""
        listed = self._bench.git.blob_paths("--branches", "--tags")
        files = [LfsFile(path, p, self._objects.find(p)) for path, p in self._pointers((p, o) for o, p in listed)]
        return LfsPlan(tuple(files), (), self._attribute_files()[1])

    def apply(self, plan: LfsPlan, tell: Tell) -> None:
        """Put the files into the store and the worktree, let .gitattributes name our filter, and stage all of it.
        Raises what the plan refused, NotFound (``content-missing``), StorageError."""
        require(plan)
        bench = self._bench
        placements = []
        for found in plan.files:
            take, _ = self._taken(found)
            held = bench.held(found.path, digest=False)
            if held is None or self._is_pointer(found.path, found.pointer):
                stored = bench.store.claim(take.digest, take.size)
                assert stored is not None
                placements.append(Placement(found.path, stored, NOTHING if held is None else held.identity))
            tell(found.path)
        changed = [os.path.join(folder, os.fsencode(attributes.FILE)) for folder in plan.folders]
        for folder in plan.folders:
            place = os.fsdecode(os.path.join(bench.location.top, folder))
            text, was = attributes.read(place)
            attributes.write(place, attributes.converted(text, FILTER)[0], was)
        report = bench.placer.place(placements)
        for path, error in report.skipped:
            raise error.at(os.fsdecode(path))
        bench.git.add(changed)
        bench.git.renormalize(found.path for found in plan.files)

    def rewrite(self, plan: LfsPlan, rewriter: Rewriter, tell: Tell) -> Rewritten:
        """Put the files into the store, and write all commits of branches and tags again with recipes. Nothing refers
        to these commits yet. Raises as :meth:`apply`."""
        require(plan)
        known = {found.pointer: found for found in plan.files}
        texts: dict[str, bytes | None] = {}

        def convert(path: bytes, oid: str) -> bytes | None:
            if oid not in texts:
                texts[oid] = self._converted(path, oid, known, tell)
            return texts[oid]

        return rewriter.rewrite(convert)

    def _converted(self, path: bytes, oid: str, known: dict[LfsPointer, LfsFile], tell: Tell) -> bytes | None:
        if os.path.basename(path) == os.fsencode(attributes.FILE):
            before = self._bench.blobs.read(oid.encode(), 1 << 20) or b""
            after, patterns = attributes.converted(before.decode(errors="surrogateescape"), FILTER)
            return after.encode(errors="surrogateescape") if patterns else None
        text = self._bench.blobs.read(oid.encode(), LARGEST)
        pointer = None if text is None else parse_pointer(text)
        if pointer is None:
            return None
        tell(path)
        return self._taken(known[pointer]._replace(path=path))[1]

    def _taken(self, found: LfsFile) -> tuple[Take, bytes]:
        """The content and the recipe text of a file, which is stored now if it was not."""
        name = found.pointer.sha256
        if name not in self._texts:
            assert found.source is not None
            bench = self._bench

            def differs(file: BufferedReader) -> str | None:
                given = hashlib.file_digest(file, "sha256").hexdigest()
                return None if given == name else f"its SHA-256 is {given}, not {name}"

            take = take_in(bench.store, bench.placer.linker, found.source, differs)
            stored = bench.store.claim(take.digest, take.size)
            if stored is None:
                raise NotFound("content-missing", f"{os.fsdecode(found.path)}: it left the store at once; run gc later")
            with open(stored, "rb") as file:
                text = bench.text_of_stored(found.path, take, file.fileno())
            self._texts[name] = take, text
        return self._texts[name]

    def _pointers(self, blobs: Iterable[tuple[bytes, bytes]]) -> Iterable[tuple[bytes, LfsPointer]]:
        """The pointers among blobs, each once per path: path and raw object id of each blob are given."""
        named = list(dict.fromkeys(blobs))
        oids = list(dict.fromkeys(oid for _, oid in named))
        texts = dict(self._bench.blobs.texts(oids, LARGEST))
        found = {oid: parse_pointer(text) for oid, text in texts.items() if text is not None}
        return [(path, pointer) for path, oid in named if (pointer := found.get(oid)) is not None]

    def _is_pointer(self, path: bytes, pointer: LfsPointer) -> bool:
        """Whether the worktree has the pointer instead of its file."""
        fd = self._bench.open(path)
        if fd is None:
            return False
        try:
            return parse_pointer(os.pread(fd, LARGEST, 0)) == pointer
        finally:
            os.close(fd)

    def _attribute_files(self) -> tuple[tuple[bytes, ...], tuple[str, ...]]:
        """The folders of the worktree whose .gitattributes name Git LFS, and the patterns that they name it for."""
        folders, patterns = [], []
        name = os.fsencode(attributes.FILE)
        for path in self._bench.index.oids():
            if os.path.basename(path) != name:
                continue
            folder = os.path.dirname(path)
            text, _ = attributes.read(os.fsdecode(os.path.join(self._bench.location.top, folder)))
            found = attributes.converted(text, FILTER)[1]
            if found:
                folders.append(folder)
                patterns += found
        return tuple(folders), tuple(patterns)


def require(plan: LfsPlan) -> None:
    """Raise what keeps a plan from being carried out: a path that was edited, or a file that is not here."""
    for path, error in plan.refused.items():
        raise error.at(os.fsdecode(path))
    if plan.missing:
        first = plan.missing[0]
        more = f", and those of {len(plan.missing) - 1} more" if len(plan.missing) > 1 else ""
        raise NotFound(
            "content-missing",
            f"{os.fsdecode(first.path)}: Git LFS does not have its file on this machine{more}",
            hint="Run 'git lfs fetch' ('git lfs fetch --all' for the history), then the same command again.",
        )


def _sha256(path: str) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
