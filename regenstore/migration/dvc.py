"""From DVC: the outputs of ``.dvc`` files and of stages become recipes, and their files contents of the store."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Container, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, NamedTuple

from regenstore.errors import Conflict, FormatError, InvalidInput, NotFound, RegenstoreError
from regenstore.fs import durable, presence
from regenstore.fs.swap import NOTHING, Seen, seen
from regenstore.media.types import HEAD, of_content
from regenstore.migration.dvc_cache import DvcCache, difference
from regenstore.migration.dvc_files import (
    LARGEST,
    PIPELINE,
    DvcFile,
    DvcOutput,
    DvcRecord,
    Md5,
    ignore_line,
    is_dvc_file,
    read_records,
    without_lines,
)
from regenstore.migration.dvc_stages import (
    StageGenerator,
    Unsuitable,
    declarations,
    generator_name,
    generator_of,
)
from regenstore.migration.taking import take_in
from regenstore.objects import bounded, toml
from regenstore.objects.recipe import Input, Take
from regenstore.project.repository_file import FILE, bad_declaration, read_table
from regenstore.tracked.workbench import Workbench
from regenstore.worktree.paths import Folders
from regenstore.worktree.place import Placement, replace_file

Tell = Callable[[bytes], None]
_IGNORE = b".gitignore"
_MOST_GENERATORS = 200


class FoundFile(NamedTuple):
    """A file that DVC keeps, and where it is on this machine."""

    file: DvcFile
    record: DvcRecord
    source: str | None
    """None if it is not here."""
    size: int = 0
    was: Seen = NOTHING
    """What its path has: this file or, if ``linked``, a link."""
    linked: bool = False
    """Whether the path has a link to DVC's cache, symbolic or hard, or a file that must not be written."""

    @property
    def path(self) -> bytes:
        return self.file.path


class TakenFile(NamedTuple):
    """A file that the store has: its recipe text, where it is stored, and its digest and size."""

    text: bytes
    stored: str
    take: Take


class MigratedStage(NamedTuple):
    """What becomes of a stage with outputs."""

    file: bytes
    name: str
    generator: str | None
    """The name of the generator that it becomes; None if its outputs become imported media."""
    why: str
    made: StageGenerator | None


@dataclass(frozen=True)
class DvcPlan:
    """What a migration would do."""

    files: tuple[FoundFile, ...]
    removed: tuple[bytes, ...]
    """``.dvc`` files that nothing needs afterwards."""
    ignores: Mapping[bytes, set[bytes]]
    """The ``.gitignore`` files that lose lines that DVC wrote, with those lines."""
    lacking: tuple[str, ...]
    """The patterns that the paths need, and that are not tracked yet."""
    left: tuple[tuple[bytes, str], ...] = ()
    """Files of DVC whose outputs stay with DVC, and why."""
    refused: dict[bytes, RegenstoreError] = field(default_factory=dict)
    """Paths that cannot be migrated as they are."""
    declared: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Definitions of generators by name, that regenstore.toml gets."""
    stages: tuple[MigratedStage, ...] = ()

    @property
    def missing(self) -> tuple[FoundFile, ...]:
        return tuple(found for found in self.files if found.source is None)

    @property
    def bytes(self) -> int:
        return sum({found.file.md5: found.size for found in self.files}.values())


class DvcMigration:
    """Migrates one repository from DVC."""

    def __init__(self, bench: Workbench) -> None:
        self._bench = bench
        self._top = os.fsdecode(bench.location.top)
        self._caches: dict[str, DvcCache] = {}

    # -------------------------------------------------------------------------------- the plan

    def plan(self) -> DvcPlan:
        """Look at the index and the worktree. Changes nothing. Raises FormatError (``bad-dvc-file``), NotFound
        (``extra-missing``) and StorageError."""
        files: dict[bytes, FoundFile] = {}
        folders: dict[bytes, bytes] = {}
        ignores: dict[bytes, set[bytes]] = {}
        removed: list[DvcRecord] = []
        staged: list[DvcRecord] = []
        left = []
        refused: dict[bytes, RegenstoreError] = {}
        for record in self._records():
            outputs = [out for out in record.outputs if not (record.shared and self._in_git(out))]
            if why := next(filter(None, map(self._left_why, outputs)), ""):
                left.append((record.file, why))
                continue
            for out in outputs:
                folder, line = ignore_line(out.path)
                ignores.setdefault(os.path.join(folder, _IGNORE), set()).add(line)
                for file in self._files(record, out, refused):
                    folders[file.path] = out.path if out.folder else b""
                    if file.path not in files:
                        files[file.path] = self._found(file, record, refused)
            if outputs:
                (staged if record.shared else removed).append(record)
        ignores = {path: lines for path, lines in ignores.items() if self._without(path, lines) is not None}
        stages, declared = self._generators(staged, files)
        plan = DvcPlan(
            tuple(files.values()),
            tuple(record.file for record in removed),
            ignores,
            self._lacking(folders),
            tuple(left),
            refused,
            declared,
            stages,
        )
        touched = [*plan.removed, *ignores, *([os.fsencode(FILE)] if declared else [])]
        for path in (self._bench.git.edited() | self._bench.git.staged()).intersection(touched):
            refused[path] = Conflict(
                "edited",
                f"{os.fsdecode(path)}: it has changes that are not committed",
                hint="Commit them, then run the same command again.",
            )
        return plan

    def _generators(
        self, records: Iterable[DvcRecord], files: Mapping[bytes, FoundFile]
    ) -> tuple[tuple[MigratedStage, ...], dict[str, Mapping[str, Any]]]:
        """What becomes of stages, and the generators that are declared for them."""
        around = _Surroundings(self._top, self._bench.index.oids(), files)
        taken = set(read_table(self._top, "generators") or {})
        declared: dict[str, Mapping[str, Any]] = {}
        stages = []
        for record in records:
            assert record.stage is not None
            try:
                made = generator_of(record, around)
                name = next((name for name, known in declared.items() if known == made.definition), None)
                if name is None:
                    if len(declared) == _MOST_GENERATORS:
                        raise Unsuitable(f"{_MOST_GENERATORS} stages become generators already")
                    name = generator_name(record.stage, taken)
                    taken.add(name)
                    declared[name] = made.definition
                stages.append(MigratedStage(record.file, record.stage.name, name, "", made))
            except Unsuitable as unsuitable:
                stages.append(MigratedStage(record.file, record.stage.name, None, str(unsuitable), None))
        return tuple(stages), declared

    def _records(self) -> Iterable[DvcRecord]:
        oids = self._bench.index.oids()

        def text(path: bytes) -> bytes | None:
            oid = oids.get(path)
            return None if oid is None else self._bench.blobs.read(oid.hex().encode(), LARGEST)

        for path in filter(is_dvc_file, oids):
            pipeline = os.path.join(os.path.dirname(path), PIPELINE)
            yield from read_records(path, text(path) or b"", partial(text, pipeline))

    def _cache(self, record: DvcRecord) -> DvcCache:
        """The cache of the project that a file belongs to: that of the nearest folder with ``.dvc``, or of the top."""
        folder = os.path.dirname(os.path.join(self._top, os.fsdecode(record.file)))
        while folder != self._top and not presence.is_folder(os.path.join(folder, ".dvc")):
            folder = os.path.dirname(folder)
        if folder not in self._caches:
            self._caches[folder] = DvcCache(folder)
        return self._caches[folder]

    def _in_git(self, out: DvcOutput) -> bool:
        """Whether Git has an output itself, as it has metrics, or has its recipe already."""
        oids = self._bench.index.oids()
        return out.path in oids or (out.folder and any(path.startswith(out.path + b"/") for path in oids))

    def _left_why(self, out: DvcOutput) -> str:
        """Why an output stays with DVC; empty if it does not."""
        if out.refused:
            return out.refused
        if out.files is None and out.md5 is None:
            return f"DVC has no MD5 of its output {os.fsdecode(out.path)}"
        return f"Git has its output {os.fsdecode(out.path)} too" if self._in_git(out) else ""

    def _files(self, record: DvcRecord, out: DvcOutput, refused: dict[bytes, RegenstoreError]) -> tuple[DvcFile, ...]:
        if out.files is not None:
            return out.files
        assert out.md5 is not None
        if not out.folder:
            return (DvcFile(out.path, out.md5, out.executable),)
        files = self._cache(record).files_of(out.path, out.md5)
        if files is None:
            shown = os.fsdecode(out.path)
            refused[out.path] = _missing(f"{shown}: DVC's cache on this machine does not have the list of its files")
        return files or ()

    def _found(self, file: DvcFile, record: DvcRecord, refused: dict[bytes, RegenstoreError]) -> FoundFile:
        found = FoundFile(file, record, self._cache(record).find(file.md5))
        try:
            found = self._in_worktree(found)
        except RegenstoreError as error:
            refused[file.path] = error
        status = None if found.source is None else presence.found(found.source)
        return found if status is None else found._replace(size=status.st_size)

    def _in_worktree(self, found: FoundFile) -> FoundFile:
        """Look at the path of a file. Raises Conflict (``edited``, ``not-a-file``) for anything but the file itself or
        a link to it, InvalidInput (``excluded``), and StorageError (``unreadable``)."""
        shown = os.fsdecode(found.path)
        whole = os.path.join(self._top, shown)
        try:
            with Folders(self._bench.location.top) as folders:
                folder, name = folders.parent(found.path)
                status = os.lstat(name, dir_fd=folder)
                linked = stat.S_ISLNK(status.st_mode)
                with open(presence.open_file(name, dir_fd=folder, follow=linked), "rb") as file:
                    if differing := difference(file, found.file.md5):
                        raise Conflict("edited", f"{shown}: {differing}")
        except presence.ABSENT:
            if presence.lstat(whole, shown=found.path) is not None:
                raise Conflict("not-a-file", f"{shown}: it is a link to a file that is not there") from None
            self._bench.refuse_excluded(found.path)
            return found
        except presence.NotRegular as error:
            raise Conflict("not-a-file", str(error)) from error
        except OSError as error:
            raise presence.unreadable(error, found.path) from error
        linked = linked or status.st_nlink > 1 or not status.st_mode & stat.S_IWUSR
        return found._replace(source=found.source or whole, was=seen(status), linked=linked)

    def _without(self, path: bytes, lines: set[bytes]) -> bytes | None:
        """A ``.gitignore`` without the lines; None if it has none of them."""
        text = presence.read(os.path.join(self._top, os.fsdecode(path)), LARGEST)
        after = without_lines(text or b"", lines)
        return None if after == (text or b"") else after

    def _lacking(self, folders: Mapping[bytes, bytes]) -> tuple[str, ...]:
        """The patterns that paths need: for a suffix, unless Git has other files with it, else for the path or the
        folder that is the output."""
        suffixes = {os.path.splitext(path)[1] for path in self._bench.index.oids()}
        patterns = set()
        for path in set(folders).difference(self._bench.git.filtered(folders)):
            suffix = os.path.splitext(path)[1]
            if suffix and suffix not in suffixes:
                patterns.add("*" + _literal(suffix))
            else:
                patterns.add("/" + (_literal(folders[path]) + "/**" if folders[path] else _literal(path)))
        return tuple(sorted(patterns))

    # -------------------------------------------------------------------------------- carrying it out

    def take_in(self, plan: DvcPlan, tell: Tell) -> dict[bytes, TakenFile]:
        """Put the files into the store. Changes nothing else. Raises what the plan refused, NotFound
        (``content-missing``) and StorageError, with ``source-damaged`` for other bytes than DVC recorded."""
        require(plan)
        taken = {}
        for found in plan.files:
            taken[found.path] = self._taken(found)
            tell(found.path)
        for stage in plan.stages:
            if stage.generator is not None and stage.made is not None:
                self._made(stage.generator, stage.made, taken)
        return taken

    def _made(self, name: str, made: StageGenerator, taken: dict[bytes, TakenFile]) -> None:
        """Let the recipe of a stage's output name its generator, unless its own metadata tell more."""
        output = taken[made.output]
        recipe = toml.decode(output.text)
        if recipe.imported:
            inputs = {key: Input(taken[path].take.digest, os.fsdecode(path)) for key, path in made.inputs.items()}
            recipe = replace(recipe, generator=name, version="1", params=made.params, inputs=inputs, about={})
            text = toml.encode_within_limits(recipe.with_take(output.take, None))
            taken[made.output] = output._replace(text=text)

    def apply(self, plan: DvcPlan, taken: Mapping[bytes, TakenFile]) -> None:
        """Put the media into the worktree and their recipes into the index, remove what DVC wrote about them, and stage
        all of it. Raises InvalidInput (``not-tracked``) before that, Conflict and StorageError."""
        bench = self._bench
        paths = list(taken)
        for path in set(paths).difference(bench.git.filtered(paths)):
            raise InvalidInput("not-tracked", f"{os.fsdecode(path)}: no pattern of 'regenstore track' covers it")
        if plan.declared:
            self._declare(plan.declared)
        for path, lines in plan.ignores.items():
            self._stop_ignoring(path, lines)
        self._unlink(found for found in plan.files if found.linked)
        absent = [found.path for found in plan.files if found.was is NOTHING or found.linked]
        report = bench.placer.place([Placement(path, taken[path].stored, NOTHING) for path in absent])
        for path, error in report.skipped:
            raise error.at(os.fsdecode(path))
        for found in plan.files:
            if found.file.executable:
                whole = os.path.join(self._top, os.fsdecode(found.path))
                mode = os.stat(whole).st_mode
                os.chmod(whole, mode | (mode & 0o444) >> 2)
        bench.git.add_blobs({path: each.text for path, each in taken.items()}, bench.placer.oid_size)
        known = bench.index.oids()
        for path in plan.removed:
            durable.unlink(os.path.join(self._top, os.fsdecode(path)))
        # So the index knows the files, and Git need not read them to see that they are unchanged.
        declared = [os.fsencode(FILE)] if plan.declared else []
        bench.git.add([*paths, *declared, *plan.removed, *(path for path in plan.ignores if path in known)])

    def _taken(self, found: FoundFile) -> TakenFile:
        bench, about = self._bench, found.record.about
        assert found.source is not None
        take = take_in(bench.store, bench.placer.linker, found.source, lambda file: difference(file, found.file.md5))
        stored = bench.store.claim(take.digest, take.size)
        if stored is None:
            raise NotFound("content-missing", f"{os.fsdecode(found.path)}: it left the store at once; run gc later")
        with open(stored, "rb") as file:
            text = bench.text_of_stored(found.path, take, file.fileno())
        if about:
            recipe = toml.decode(text)
            with suppress(FormatError):  # facts beyond the size of a recipe: the medium is what matters
                text = toml.encode_within_limits(replace(recipe, about={**recipe.about, **about}))
        return TakenFile(text, stored, take)

    def _declare(self, definitions: Mapping[str, Mapping[str, Any]]) -> None:
        """Add generators to regenstore.toml. Raises FormatError (``bad-declaration``) if its end takes no tables."""
        path = os.path.join(self._top, FILE)
        was = seen(presence.found(path))
        before = (presence.read(path) or b"").rstrip()
        text = (before + b"\n\n" if before else b"") + declarations(definitions).encode()
        try:
            bounded.tables(text)
        except bounded.Unparsable as error:
            raise bad_declaration("generators", f" cannot be added to: {error}") from None
        replace_file(os.path.realpath(path), text, was)

    def _stop_ignoring(self, path: bytes, lines: set[bytes]) -> None:
        whole = os.path.join(self._top, os.fsdecode(path))
        was = seen(presence.found(whole))
        after = self._without(path, lines)
        if after == b"":
            durable.unlink(whole)  # as DVC does
        elif after is not None:
            replace_file(os.path.realpath(whole), after, was)

    def _unlink(self, linked: Iterable[FoundFile]) -> None:
        """Remove links to DVC's cache, whose contents the store has by now, if nothing else took their places."""
        with Folders(self._bench.location.top) as folders:
            for found in linked:
                folder, name = folders.parent(found.path)
                if seen(presence.lstat(name, dir_fd=folder, shown=found.path)) != found.was:
                    raise Conflict("edited", f"{os.fsdecode(found.path)}: it was changed meanwhile")
                os.unlink(name, dir_fd=folder)


class _Surroundings:
    """What stages may refer to in a worktree."""

    def __init__(self, top: str, index: Container[bytes], files: Mapping[bytes, FoundFile]) -> None:
        self._top = top
        self._index = index
        self._files = files

    def medium(self, path: bytes) -> Md5 | None:
        found = self._files.get(path)
        return None if found is None else found.file.md5

    def media_type(self, path: bytes) -> str:
        source = self._files[path].source
        if source is None:  # and nothing will be done
            return of_content(lambda at, length: b"", path)
        head = presence.read(source, HEAD) or b""
        return of_content(lambda at, length: head[at : at + length], path)

    def tracked(self, path: bytes) -> bool:
        return path in self._index

    def unchanged(self, path: bytes, md5: Md5) -> bool:
        try:
            with open(presence.open_file(os.path.join(self._top, os.fsdecode(path))), "rb") as file:
                return difference(file, md5) is None
        except (*presence.ABSENT, presence.NotRegular):
            return False
        except OSError as error:
            raise presence.unreadable(error, path) from error


def require(plan: DvcPlan) -> None:
    """Raise what keeps a plan from being carried out: a path that was edited, or a file that is not here."""
    for path, error in plan.refused.items():
        raise error.at(os.fsdecode(path))
    if plan.missing:
        more = f", and those of {len(plan.missing) - 1} more" if len(plan.missing) > 1 else ""
        raise _missing(f"{os.fsdecode(plan.missing[0].path)}: DVC does not have its file on this machine{more}")


def _missing(message: str) -> NotFound:
    return NotFound("content-missing", message, hint="Run 'dvc fetch', then the same command again.")


def _literal(path: bytes) -> str:
    return re.sub(r"[\\*?\[]", r"\\\g<0>", os.fsdecode(path))
