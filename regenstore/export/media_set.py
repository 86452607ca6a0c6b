"""Select the media of an export and make them present, with their provenance.

A :class:`Medium` refers to a file; it is read, copied or reflinked, never linked to and never written. Selection reads
only Git; :class:`MediaSet` makes present what is missing.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from regenstore.errors import FormatError, InvalidInput, NotFound, RegenstoreError
from regenstore.fs import presence
from regenstore.objects import toml
from regenstore.objects.content_store import ContentStore
from regenstore.objects.ids import Digest, RecipeKey
from regenstore.objects.recipe import Recipe
from regenstore.objects.results.cache import ResultCache
from regenstore.planning import Outcome, RunPlan, Want
from regenstore.realise import Progress, Realiser
from regenstore.refs.git import BlobReader, Git
from regenstore.refs.pending import Pending
from regenstore.refs.recipes import ATTRIBUTE
from regenstore.worktree.index_view import IndexView


@dataclass(frozen=True, slots=True)
class Present:
    """Bytes on this machine without their recipe. Fields are as in :class:`Medium`."""

    path: str
    digest: Digest
    size: int
    media_type: str
    file: str
    proof: str
    created: float | None


@dataclass(frozen=True)
class Medium:
    """One medium of an export, present on this machine."""

    path: str
    """Path in the worktree, with ``/``; never leads outside it."""
    recipe: Recipe
    digest: Digest
    size: int
    media_type: str
    file: str
    """Absolute path of the bytes in the store, to be read only."""
    key: RecipeKey | None = None
    """None for imported media."""
    proof: str = "unproven"
    """``exact``, ``equivalent``, ``unproven`` or ``imported``."""
    blob: str | None = None
    """Id of the recipe blob in Git, in hex; None if Git does not have it yet."""
    created: float | None = None
    """Recorded time when the bytes were made, in seconds since the epoch; None if unknown."""
    revision: str | None = None
    """The commit that it was selected from, in hex; None for the worktree's index."""
    defaults: Mapping[str, object] = field(default_factory=dict)
    """The generator's defaults of parameters that the recipe leaves out, if the export includes them."""

    @property
    def name(self) -> str:
        """The file name."""
        return os.path.basename(self.path)

    @property
    def stem(self) -> str:
        """The file name without its last extension."""
        return os.path.splitext(self.name)[0]

    @property
    def folder(self) -> str:
        """The folder in the worktree; empty for its top."""
        return os.path.dirname(self.path)


Located = Present | Medium
"""Bytes on this machine, as measuring and writing need them."""


@dataclass(frozen=True, slots=True)
class RecipePath:
    """A path that may have a recipe, in the index or at a revision. ``blob``: None means the worktree's file, which
    Git does not have yet."""

    path: bytes
    blob: str | None = None
    revision: str | None = None


@dataclass(frozen=True)
class Chosen:
    """A recipe at a path, in the index or at a revision."""

    path: bytes
    recipe: Recipe
    blob: str | None = None
    revision: str | None = None


# ------------------------------------------------------------------------------------------- choosing


@dataclass(frozen=True)
class Tree:
    """The parts of a worktree that selection reads."""

    git: Git
    index: IndexView
    blobs: BlobReader
    pending: Pending
    current: Callable[[bytes], Recipe]
    """Returns the recipe of the worktree's file at a path."""

    def chosen(
        self, arguments: Sequence[bytes], revision: str | None = None, left: LeftOut | None = None
    ) -> list[Chosen]:
        """The recipes at or below the paths, or matching the globs (``*``, ``?``, ``[…]`` within a name, ``**`` across
        folders); without arguments, all. Sorted by path.

        Raises NotFound (``no-such-path``) for an argument that matches nothing, (``no-such-revision``), and as
        :meth:`read` for an unreadable recipe.
        """
        found = list(self.read(self.entries(arguments, revision), arguments, left))
        if not found and left is not None:
            left.refuse()
        if arguments and not found:
            raise NotFound("no-such-path", "no recipe found at these paths" + (f" in {revision}" if revision else ""))
        return found

    def entries(self, arguments: Sequence[bytes], revision: str | None = None) -> list[RecipePath]:
        """The paths where those recipes may be, without reading any text. Raises NotFound as :meth:`chosen` does,
        and StorageError (``unreadable``) for paths that cannot be examined."""
        return self._in_index(arguments) if revision is None else self._in_revision(arguments, revision)

    def read(
        self, entries: Sequence[RecipePath], arguments: Sequence[bytes], left: LeftOut | None = None
    ) -> Iterator[Chosen]:
        """Read the recipes of entries. Raises NotFound for arguments that match none, and FormatError for an unreadable
        recipe, unless ``left`` takes it."""
        oids = (entry.blob.encode() for entry in entries if entry.blob is not None)
        texts = self.blobs.read_many(oids, toml.MAX_BYTES)
        for entry in entries:
            text = None if entry.blob is None else next(texts)
            try:
                recipe = self.current(entry.path) if entry.blob is None else self._recipe(text, entry.path)
            except FormatError as error:
                if left is None:
                    raise
                left.add(os.fsdecode(entry.path), error)
                continue
            if recipe is not None:
                yield Chosen(entry.path, recipe, entry.blob, entry.revision)
            elif entry.path in arguments:
                where = entry.revision or "Git's index"
                raise NotFound("not-a-recipe", f"{os.fsdecode(entry.path)}: {where} has no recipe there")

    def recipe_at(self, path: bytes, revision: str | None = None) -> Recipe | None:
        """The recipe at one path; None if there is none. Raises as :meth:`read`."""
        try:
            return next((each.recipe for each in self.read(self.entries((path,), revision), ())), None)
        except NotFound:
            return None

    def _in_index(self, arguments: Sequence[bytes]) -> list[RecipePath]:
        known = self.index.oids()
        filtered = set(self.git.ls_files(ATTRIBUTE))
        oids = {path: oid for path, oid in known.items() if path in filtered}
        # New files that were not added yet; a pending recipe for a path that no longer exists is ignored.
        top = os.fsencode(self.git.cwd)
        fresh = {path for path in self.pending.paths() if path not in oids and _is_there(top, path)}
        paths = matching(sorted({*oids, *fresh}), arguments)
        for path in paths:
            _is_there(top, path)  # git skips what it cannot examine, as if it had not been edited
        edited = self.git.edited() if paths else set()
        # For edited paths, the file in the worktree is meant, not what was added last.
        here = edited | fresh
        return [RecipePath(path, None if path in here else oids[path].hex()) for path in paths]

    def _in_revision(self, arguments: Sequence[bytes], revision: str) -> list[RecipePath]:
        commit = self.git.commit(revision)
        if commit is None:
            raise NotFound("no-such-revision", f"Git knows no commit '{revision}'")
        entries: dict[bytes, bytes] = {}
        for entry in self.git.ls_tree(commit, sizes=True):
            # Attributes may have differed then: recipes are recognised by their text.
            if entry.is_file and entry.size is not None and entry.size <= toml.MAX_BYTES:
                entries[entry.path] = entry.oid
        return [RecipePath(path, entries[path].hex(), commit) for path in matching(sorted(entries), arguments)]

    @staticmethod
    def _recipe(text: bytes | None, path: bytes) -> Recipe | None:
        """The recipe in a blob; None for other text and for raw media."""
        if text is None or not toml.looks_like_recipe(text):
            return None
        try:
            return toml.decode(text)
        except FormatError as error:
            raise type(error)(error.kind, f"{os.fsdecode(path)}: {error.message}", hint=error.hint) from None


def _is_there(top: bytes, path: bytes) -> bool:
    """Whether there is anything at a worktree path. Raises StorageError (``unreadable``)."""
    return presence.lstat(os.path.join(top, path), shown=path) is not None


def matching(known: Sequence[bytes], arguments: Sequence[bytes]) -> list[bytes]:
    """The known paths at or below the arguments, or matched by globs among them; all without arguments.

    Raises NotFound (``no-such-path``) for an argument that matches nothing.
    """
    if not arguments:
        return list(known)
    found: set[bytes] = set()
    for argument in arguments:
        under = argument + b"/"
        hits = {path for path in known if not argument or path == argument or path.startswith(under)}
        if not hits and any(mark in argument for mark in (b"*", b"?", b"[")):
            pattern = _glob(argument)
            hits = {path for path in known if pattern.fullmatch(path)}
        if not hits:
            raise NotFound("no-such-path", f"{os.fsdecode(argument)}: regenstore tracks nothing there")
        found |= hits
    return [path for path in known if path in found]


def _glob(pattern: bytes) -> re.Pattern[bytes]:
    """Translate a glob over whole paths: ``*`` and ``?`` stay within a name, ``**/`` matches any number of folders."""
    parts = re.split(rb"(\*\*/|\*\*|\*|\?|\[[!^]?\]?[^]/]*\])", pattern)
    meant = {b"**/": b"(?:.*/)?", b"**": b".*", b"*": b"[^/]*", b"?": b"[^/]"}
    out = []
    for part in parts:
        if part in meant:
            out.append(meant[part])
        elif part.startswith(b"[") and part.endswith(b"]") and len(part) > 2:
            inside = part[1:-1].replace(b"\\", b"\\\\").replace(b"[", b"\\[")
            inside = (b"^" + inside[1:]) if inside[:1] in b"!^" else inside
            out.append(b"(?!/)[" + inside.replace(b"]", b"\\]") + b"]")
        else:
            out.append(re.escape(part))
    try:
        return re.compile(b"".join(out), re.DOTALL)
    except re.error as error:
        raise InvalidInput("bad-path", f"{os.fsdecode(pattern)}is not a valid glob ({error})") from None


# ------------------------------------------------------------------------------------------- making present

_OF_ALL = ("cancelled", "disk-full", "store-unwritable", "store-busy", "over-budget")
"""Kinds of errors that do not concern a single medium."""


@dataclass
class LeftOut:
    """The media that an export leaves out because they cannot be made or read, by path, with the reasons."""

    strict: bool = False
    """Whether one such medium ends the export."""
    errors: dict[str, RegenstoreError] = field(default_factory=dict)

    def add(self, path: str, error: RegenstoreError) -> None:
        """Leave out a medium. Raises the error instead with ``strict``, or if it does not concern this medium alone."""
        told = error.at(path)
        if self.strict or error.kind in _OF_ALL:
            raise told
        self.errors[path] = told

    def refuse(self) -> None:
        """Raise the first error, saying how many more there are; for an export of which nothing is left."""
        for error in self.errors.values():
            more = f" (and {len(self.errors) - 1} more)" if len(self.errors) > 1 else ""
            raise type(error)(error.kind, f"{error.message}{more}", hint=error.hint)


class MediaSet:
    """Makes selected media present and describes them."""

    def __init__(self, store: ContentStore, cache: ResultCache, realiser: Realiser) -> None:
        self._store = store
        self._cache = cache
        self._realiser = realiser

    def plan(self, chosen: Iterable[Chosen], budget: float | None) -> RunPlan:
        """Plan what has to be made. ``budget``: limit for the estimated work in seconds; None: no limit."""
        plan = self._realiser.plan([Want(os.fsdecode(each.path), each.recipe) for each in chosen])
        return plan if budget is None else plan.within(budget)

    def realise(self, chosen: Sequence[Chosen], plan: RunPlan, progress: Progress, left: LeftOut) -> list[Medium]:
        """Make all selected media present, in the order of selection, but those that cannot be made, which ``left``
        gets. A medium whose recipe gives other bytes than its take is one of them. Raises as :meth:`LeftOut.add`."""
        by_label = {os.fsdecode(each.path): each for each in chosen}
        made: dict[str, Medium] = {}
        for outcome in self._realiser.run(plan, progress):
            label = outcome.want.label
            error = outcome.error or self._unlike(outcome)
            try:
                if error is None:
                    made[label] = self._medium(by_label[label], outcome)
            except NotFound as gone:
                error = gone
            if error is not None:
                hint = error.hint
                if error.kind == "content-missing" and by_label[label].blob is None:
                    hint = "It was edited here: run 'git add' on it first, so that the store has it."
                left.add(label, type(error)(error.kind, f"{label}: {error.message}", hint=hint))
        return [made[label] for label in by_label if label in made]

    @staticmethod
    def _unlike(outcome: Outcome) -> RegenstoreError | None:
        if not outcome.drifted:
            return None
        return InvalidInput(
            "bad-export",
            "the generator gave bytes that differ from the recorded take",
            hint="Run 'regenstore get' to inspect them and 'regenstore record' to accept them.",
        )

    def _medium(self, each: Chosen, outcome: Outcome) -> Medium:
        assert outcome.content is not None
        digest, size = outcome.content.digest, outcome.content.size
        file = self._store.use(digest, size)
        if file is None:
            raise NotFound("content-missing", f"{os.fsdecode(each.path)}: its bytes just left the store")
        recipe = each.recipe
        return Medium(
            os.fsdecode(each.path),
            recipe,
            digest,
            size,
            recipe.output.media_type,
            os.path.abspath(file),
            recipe.key,
            self._proof(recipe.key, digest),
            each.blob,
            self._created(recipe.key, digest),
            each.revision,
        )

    def locate(
        self, entry: RecipePath, digest: Digest, size: int, media_type: str, key: RecipeKey | None
    ) -> Present | None:
        """A medium known from an earlier export; None if the store does not have its bytes."""
        file = self._store.use(digest, size)
        if file is None:
            return None
        path = os.fsdecode(entry.path)
        return Present(path, digest, size, media_type, file, self._proof(key, digest), self._created(key, digest))

    def _proof(self, key: RecipeKey | None, digest: Digest) -> str:
        if key is None:
            return "imported"
        proofs = [proof for proof in self._cache.proofs(key, digest) if proof.proves]
        return "exact" if any(proof.exact for proof in proofs) else "equivalent" if proofs else "unproven"

    def _created(self, key: RecipeKey | None, digest: Digest) -> float | None:
        """When a run first gave these bytes."""
        if key is None:
            return None
        times = [result.created for result in self._cache.results(key) if digest in result.digests]
        return min(times, default=None)
