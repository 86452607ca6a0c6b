"""Roots: every name by which Git can still reach a blob, and the blobs they reach.

Roots are refs (branches, remote-tracking, tags, notes, stash, pins), HEAD, index and reflogs of every worktree, and
object ids in the files of an interrupted operation (merge, rebase, cherry-pick, revert, bisect). When in doubt it is a
root: any object id in any such file counts.

Git does the walk: one ``rev-list`` process lists all blobs, and two more those at the tips. Objects that nothing names
(dropped stashes, ``hash-object -w``) have no root, although Git keeps them for a while.

Git skips much of what it cannot read and reports success. So every query begins with :meth:`Roots.require_readable`,
which checks the files themselves (:mod:`regenstore.refs.root_files`, :mod:`regenstore.refs.object_files`).
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from typing import NamedTuple, TypeVar

from regenstore.errors import FormatError
from regenstore.fs import presence
from regenstore.objects.results.cache import ResultCache
from regenstore.refs import object_files
from regenstore.refs.blobs import RecipeBlobs, read_blobs
from regenstore.refs.git import Git, ListedBlobs, elsewhere
from regenstore.refs.root_files import OWN_REFS, RootFiles

T = TypeVar("T")

_REFTABLE_PSEUDO = (
    "MERGE_HEAD", "REBASE_HEAD", "CHERRY_PICK_HEAD", "REVERT_HEAD", "ORIG_HEAD", "BISECT_HEAD",
    "BISECT_EXPECTED_REV", "AUTO_MERGE", "MERGE_AUTOSTASH", "NOTES_MERGE_PARTIAL",
)  # fmt: skip
# Git reports worktrees' own refs only for the current worktree; they are walked together with what interrupted
# operations left behind, from all worktrees alike.
_ALL = (*(f"--exclude={name}/*" for name in OWN_REFS), "--all")
_OWN = tuple(f"{name}/" for name in OWN_REFS)
_ID = re.compile(r"(?:[0-9a-f]{64}|[0-9a-f]{40})\Z")
_CUTTING = ("GIT_SHALLOW_FILE", "GIT_GRAFT_FILE", "GIT_REF_PARANOIA")
"""Variables of the caller's environment that would make Git see less than there is."""


class Live(NamedTuple):
    """The blobs that roots reach. ``missing`` are objects, blobs or whole trees, that a partial clone lacks: if there
    are any, what is live is not fully known."""

    blobs: frozenset[bytes]
    missing: frozenset[bytes] = frozenset()
    tips: frozenset[bytes] = frozenset()
    """The blobs in the trees that refs point to."""
    working: frozenset[bytes] = frozenset()
    """The blobs in the trees of HEADs and in the indexes of all worktrees, all sides of conflicts included."""


class Points(NamedTuple):
    """The objects that roots name: refs and HEADs; reflogs. ``sure`` if there are no other roots and all of them exist:
    then adding names can only add to what they reach."""

    tips: frozenset[bytes]
    logged: frozenset[bytes]
    sure: bool


class Tip(NamedTuple):
    """A named root with the object it points to, tags peeled. ``kind`` is Git's: commit, tree, blob."""

    name: str
    oid: str
    kind: str


class Roots:
    """The roots of one repository, read anew each time.

    ``git_dir`` and ``index`` are those in use, even if set by Git's environment; the roots of all worktrees are found
    from ``common_dir``.
    """

    def __init__(self, git: Git, git_dir: str, common_dir: str, index: str) -> None:
        self.git = elsewhere(os.fsdecode(git.cwd), forget=_CUTTING)
        self._apart = False
        self._common = common_dir
        self.files = RootFiles(common_dir)
        # With an index from the environment, Git would leave out the worktree's own.
        self._other_index = os.path.realpath(index) != os.path.realpath(f"{git_dir}/index")

    @classmethod
    def of_another(cls, common_dir: str) -> Roots:
        """Return the roots of another repository than the one the environment may name."""
        made = cls(Git(common_dir), common_dir, common_dir, f"{common_dir}/index")
        made.git = elsewhere(common_dir, common_dir)
        made._apart = True
        return made

    def require_readable(self) -> bytes:
        """Raise StorageError (``unreadable``) for the first file or folder that names roots or stores objects and
        cannot be read; returns :meth:`RootFiles.stamp`."""
        stamp = self.files.stamp()
        object_files.require_readable(self._common)
        return stamp

    def live(self) -> Live:
        """Return all blobs that any root reaches, recipes or not. Raises FormatError (``git-failed``) if a ref, a HEAD
        or an index points to something damaged; what an interrupted operation left may point nowhere. Raises
        StorageError (``unreadable``)."""
        self.require_readable()
        working = self.in_worktrees()  # first: whatever is committed meanwhile was in the index before
        reached, tips = at_once(self.reached, self.in_tips)
        missing = frozenset(chain(reached.missing, tips.missing, working.missing))
        blobs = frozenset(chain(reached.blobs, working.blobs))
        return Live(blobs, missing, frozenset(tips.blobs), frozenset(working.blobs))

    def oldest_first(self) -> list[bytes]:
        """Return the same blobs in order of appearance; in a damaged repository, those that can be found. Raises
        StorageError (``unreadable``)."""
        self.require_readable()
        everything = (*_ALL, "--reflog", "--indexed-objects", "--missing=allow-any")
        found = self._list(self.git, everything, [tip.oid for tip in self._resolve(self._extra())])
        return list(reversed(found.blobs))

    def recipes(self, cache: ResultCache, *, remember: bool) -> RecipeBlobs:
        """Return the contents of all live recipe blobs; see :func:`regenstore.refs.blobs.read_blobs`."""
        live = self.live()
        return replace(self.say(cache, live.blobs, remember=remember), missing=live.missing)

    def say(self, cache: ResultCache, blobs: Iterable[bytes], *, remember: bool) -> RecipeBlobs:
        """Return the contents of blobs; see :func:`regenstore.refs.blobs.read_blobs`. Raises StorageError
        (``unreadable``) for one that exists and that Git cannot read."""
        wanted = list(blobs)
        said = read_blobs(self.git, cache, wanted, remember=remember)
        gone = [oid for oid in wanted if not (oid in said.records or oid in said.plain or oid in said.unreadable)]
        object_files.require_gone(self.git, self._common, gone, partial=self.files.partial)
        return said

    def names(self, blobs: Iterable[bytes]) -> dict[bytes, list[str]]:
        """Return the names of the roots that reach each of these blobs: HEADs and refs first, then indexes, interrupted
        operations, reflogs. Empty for a blob that no name reaches. Raises StorageError (``unreadable``)."""
        found: dict[bytes, dict[str, None]] = {oid: {} for oid in blobs}
        if not found:
            return {}
        self.require_readable()
        before, after = self._named()
        reached = self.git.held_by(list(found), (tip.oid for tip in (*before, *after) if tip.kind == "commit"))
        for tip in before:
            self._note(tip, reached, found)
        for prefix, folder in self.files.worktrees():
            for entry in self._plain(folder).ls_entries(":/"):
                if entry.oid in found:
                    found[entry.oid][f"{prefix}index"] = None
        for tip in after:
            self._note(tip, reached, found)
        return {oid: list(names) for oid, names in found.items()}

    # -------------------------------------------------------------------------------- the walk

    def reached(self) -> ListedBlobs:
        """List what everything but the indexes reaches."""
        everything = (*_ALL, "--reflog")
        extra = [tip.oid for tip in self._resolve(self._extra())]
        try:
            return self._list(self.git, everything, extra)
        except FormatError:
            if not extra:
                raise
        # ORIG_HEAD and the like do not protect objects from Git's own gc: half of what they reach may be gone.
        found = self._list(self.git, everything, ())
        object_files.require_readable(self._common, loose=True)  # make sure that they are gone, not just unreadable
        for oid in extra:
            for options in (("--missing=allow-any",), ("--missing=allow-any", "--no-walk")):
                try:
                    found = _join(found, self._list(self.git, options, [oid]))
                    break
                except FormatError:
                    continue  # an older commit is gone; then only this one's own objects count
        return found

    def reached_since(self, new: Iterable[bytes], old: Iterable[bytes]) -> ListedBlobs:
        """List what new points reach, excluding most of what the old ones do."""
        return self._list(self.git, (), [*(oid.hex() for oid in new), *(f"^{oid.hex()}" for oid in old)])

    def in_tips(self) -> ListedBlobs:
        """List what is in the trees of tips, including each worktree's own refs."""
        own = [tip.oid for tip in self._resolve(self._extra()) if "refs/" in tip.name]
        options = ("--no-walk", *_ALL, "--missing=allow-any")  # the full walk reports what is missing
        return self._list(self._plain(self._common), options, own)

    def in_worktrees(self) -> ListedBlobs:
        """List what is in the trees of HEADs and in the indexes."""
        heads = [tip.oid for tip in self._resolve(self._heads()) if tip.kind == "commit"]
        found = self._list(self.git, ("--no-walk", "--indexed-objects"), heads)
        if self._other_index:
            found = _join(found, self._list(self._plain(self._common), ("--indexed-objects",), ()))
        for folder in self.files.unlisted():
            found = _join(found, self._list(self._plain(folder), ("--indexed-objects",), ()))
        return found

    def points(self, known: frozenset[bytes] = frozenset()) -> Points:
        """Return the objects that roots name now; those ``known`` from reflogs before are not looked up again."""
        refs = self._plain(self._common).for_each_ref()
        shared = [oid for name, oid in refs if not name.startswith(_OWN)]
        tips = frozenset(map(bytes.fromhex, [*shared, *(tip.oid for tip in self._resolve(self._heads()))]))
        logged = frozenset(bytes.fromhex(oid) for _, oid in self.files.logged())
        named = tips | logged
        left = (oid if _ID.match(oid) else "" for _, oid in self._extra())
        sure = (
            not (self._other_index or self.files.partial or self.files.reftable)
            and all(oid and bytes.fromhex(oid) in named for oid in left)
            and "missing" not in self.kinds(logged - tips - known)
        )
        return Points(tips, logged, sure)

    def covered(self, gone: Collection[bytes], by: Iterable[bytes]) -> bool:
        """Return whether everything that points reach is reached from others too; False unless all are commits."""
        if self.kinds(gone) - {"commit"}:
            return False
        return self.git.reaches_all(gone, by)

    def kinds(self, oids: Iterable[bytes]) -> set[str]:
        """Return the kinds that objects have; ``missing`` is one."""
        found = self.git.object_types((oid.hex() for oid in oids), as_is=True)
        return {"missing" if each is None else each.kind for each in found}

    def _list(self, git: Git, options: Sequence[str], tips: Iterable[str]) -> ListedBlobs:
        return git.list_blobs(options, tips, partial=self.files.partial)

    def _note(self, tip: Tip, reached: Mapping[str, set[bytes]], found: dict[bytes, dict[str, None]]) -> None:
        """Add a tip's name to each wanted blob that it reaches."""
        if tip.kind == "tree":
            held = {entry.oid for entry in self.git.ls_tree(tip.oid, check=False)}
        else:
            held = {bytes.fromhex(tip.oid)} if tip.kind == "blob" else reached.get(tip.oid, set())
        for oid in held & found.keys():
            found[oid][tip.name] = None

    # -------------------------------------------------------------------------------- which tips

    def _named(self) -> tuple[list[Tip], list[Tip]]:
        """Return all named tips: HEADs and refs; interrupted operations and reflogs."""
        before = self._heads()
        before += self._plain(self._common).for_each_ref()
        after = [*self._extra(), *self.files.logged()]
        return self._resolve(before), self._resolve(after)

    def _heads(self) -> list[tuple[str, str]]:
        return [(f"{prefix}HEAD", f"{prefix}HEAD") for prefix, _ in self.files.worktrees()]

    def _resolve(self, tips: Iterable[tuple[str, str]]) -> list[Tip]:
        """Resolve names with expressions to tips, leaving out those that lead nowhere."""
        given = list(dict.fromkeys(tips))
        if not given:
            return []
        asked = (f"{expression}^{{}}" for _, expression in given)
        answers = self._plain(self._common).object_types(asked, as_is=True)
        return [
            Tip(name, told.oid.hex(), told.kind)
            for (name, _), told in zip(given, answers, strict=True)
            if told is not None and told.kind in ("commit", "tree", "blob")
        ]

    def _extra(self) -> Iterator[tuple[str, str]]:
        """Yield what ``rev-list --all --reflog --indexed-objects`` does not cover: (name, expression)."""
        yield from self.files.left()
        for prefix, folder in self.files.worktrees():
            if presence.is_folder(f"{folder}/reftable"):
                # With reftables these are not files; Git resolves their names.
                yield from ((prefix + name, f"{prefix or 'main-worktree/'}{name}") for name in _REFTABLE_PSEUDO)
                yield from ((prefix + name, oid) for name, oid in self._plain(folder).for_each_ref(*OWN_REFS))

    def _plain(self, git_dir: str) -> Git:
        """Return Git for one worktree's folder, with that worktree's own index."""
        if self._apart:
            return elsewhere(git_dir, git_dir)
        forget = (*_CUTTING, "GIT_INDEX_FILE") if self._other_index else _CUTTING
        return elsewhere(os.fsdecode(self.git.cwd), git_dir, forget=forget)


def at_once(*asked: Callable[[], T]) -> list[T]:
    """Run several queries of Git in parallel."""
    from concurrent.futures import ThreadPoolExecutor  # slow to import, and not needed if nothing changed

    with ThreadPoolExecutor(len(asked)) as threads:
        return [told.result() for told in [threads.submit(question) for question in asked]]


def _join(one: ListedBlobs, other: ListedBlobs) -> ListedBlobs:
    return ListedBlobs(one.blobs + other.blobs, one.missing + other.missing)
