"""Roots: every name by which Git can still reach a blob, and the blobs they reach.

Refs (branches, remote-tracking, tags, notes, stash, pins), HEAD, index and reflogs of every worktree, and
what stands in the files of an operation that stopped in the middle (merge, rebase, cherry-pick, revert,
bisect). When in doubt it is a root: any object id in any such file counts.

Git does the walk: one ``rev-list`` process gives all blobs, and two more those at the tips. Objects that
nothing names (dropped stashes, ``hash-object -w``) are no roots' objects, although Git keeps them for a while.

Git passes over much of what it cannot read, and says that all is well. So whatever is asked here begins with
:meth:`Roots.require_readable`; that can be told from the files alone (:mod:`regenstore.refs.root_files`,
:mod:`regenstore.refs.object_files`).
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
from regenstore.objects.result_cache import ResultCache
from regenstore.refs import object_files
from regenstore.refs.blobs import RecipeBlobs, read_blobs
from regenstore.refs.git import Git, ListedBlobs, elsewhere
from regenstore.refs.root_files import OWN_REFS, RootFiles

T = TypeVar("T")

_REFTABLE_PSEUDO = (
    "MERGE_HEAD", "REBASE_HEAD", "CHERRY_PICK_HEAD", "REVERT_HEAD", "ORIG_HEAD", "BISECT_HEAD",
    "BISECT_EXPECTED_REV", "AUTO_MERGE", "MERGE_AUTOSTASH", "NOTES_MERGE_PARTIAL",
)  # fmt: skip
# Of worktrees' own refs, Git keeps what they lead to only where they belong; they are walked with what stopped
# operations left, of all worktrees and from each the same.
_ALL = (*(f"--exclude={name}/*" for name in OWN_REFS), "--all")
_OWN = tuple(f"{name}/" for name in OWN_REFS)
_ID = re.compile(r"(?:[0-9a-f]{64}|[0-9a-f]{40})\Z")
_CUTTING = ("GIT_SHALLOW_FILE", "GIT_GRAFT_FILE", "GIT_REF_PARANOIA")
"""What in the caller's environment would let Git see less than there is."""


class Live(NamedTuple):
    """The blobs that roots reach. ``missing`` are objects, blobs or whole trees, that a partial clone does not
    have here: where there are any, nobody knows all that is live."""

    blobs: frozenset[bytes]
    missing: frozenset[bytes] = frozenset()
    tips: frozenset[bytes] = frozenset()
    """Those in the trees of what refs lead to."""
    working: frozenset[bytes] = frozenset()
    """Those in the trees of HEADs and in the indexes of all worktrees, every side of a path in conflict."""


class Points(NamedTuple):
    """The objects that roots name: refs and HEADs; reflogs. ``sure`` when that is all there is, and all of it
    exists: then what they reach only grows when names are added."""

    tips: frozenset[bytes]
    logged: frozenset[bytes]
    sure: bool


class Tip(NamedTuple):
    """A named root with the object it leads to, tags followed. ``kind`` is Git's: commit, tree, blob."""

    name: str
    oid: str
    kind: str


class Roots:
    """The roots of one repository, asked anew each time.

    ``git_dir`` and ``index`` are those in use, also where Git's environment gave them; roots of all worktrees
    are found from ``common_dir``.
    """

    def __init__(self, git: Git, git_dir: str, common_dir: str, index: str) -> None:
        self.git = elsewhere(os.fsdecode(git.cwd), forget=_CUTTING)
        self._apart = False
        self._common = common_dir
        self.files = RootFiles(common_dir)
        # With an index of the caller's, Git would leave out the worktree's own.
        self._other_index = os.path.realpath(index) != os.path.realpath(f"{git_dir}/index")

    @classmethod
    def of_another(cls, common_dir: str) -> Roots:
        """Those of a repository that is not the one that the environment may name."""
        made = cls(Git(common_dir), common_dir, common_dir, f"{common_dir}/index")
        made.git = elsewhere(common_dir, common_dir)
        made._apart = True
        return made

    def require_readable(self) -> bytes:
        """Raise StorageError (``unreadable``) for the first file or folder that names roots or keeps objects and
        cannot be read; gives the stamp of :meth:`RootFiles.stamp`."""
        stamp = self.files.stamp()
        object_files.require_readable(self._common)
        return stamp

    def live(self) -> Live:
        """All blobs that any root reaches, recipes or not. Raises FormatError (``git-failed``) if a ref, a
        HEAD or an index leads to something damaged; what an operation left behind may lead nowhere. Raises
        StorageError (``unreadable``)."""
        self.require_readable()
        working = self.in_worktrees()  # first: what is committed meanwhile was here before
        reached, tips = at_once(self.reached, self.in_tips)
        missing = frozenset(chain(reached.missing, tips.missing, working.missing))
        blobs = frozenset(chain(reached.blobs, working.blobs))
        return Live(blobs, missing, frozenset(tips.blobs), frozenset(working.blobs))

    def oldest_first(self) -> list[bytes]:
        """The same blobs in the order in which they came; of a damaged repository, those that are found. Raises
        StorageError (``unreadable``)."""
        self.require_readable()
        everything = (*_ALL, "--reflog", "--indexed-objects", "--missing=allow-any")
        found = self._list(self.git, everything, [tip.oid for tip in self._resolve(self._extra())])
        return list(reversed(found.blobs))

    def recipes(self, cache: ResultCache, *, remember: bool) -> RecipeBlobs:
        """What all live recipe blobs say; see :func:`regenstore.refs.blobs.read_blobs`."""
        live = self.live()
        return replace(self.say(cache, live.blobs, remember=remember), missing=live.missing)

    def say(self, cache: ResultCache, blobs: Iterable[bytes], *, remember: bool) -> RecipeBlobs:
        """What some blobs say; see :func:`regenstore.refs.blobs.read_blobs`. Raises StorageError (``unreadable``)
        for one that is there and that Git cannot read."""
        wanted = list(blobs)
        said = read_blobs(self.git, cache, wanted, remember=remember)
        gone = [oid for oid in wanted if not (oid in said.records or oid in said.plain or oid in said.unreadable)]
        object_files.require_gone(self.git, self._common, gone, partial=self.files.partial)
        return said

    def names(self, blobs: Iterable[bytes]) -> dict[bytes, list[str]]:
        """The names of the roots that reach each of these blobs: HEADs and refs first, then indexes, stopped
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
        """What everything but the indexes reaches."""
        everything = (*_ALL, "--reflog")
        extra = [tip.oid for tip in self._resolve(self._extra())]
        try:
            return self._list(self.git, everything, extra)
        except FormatError:
            if not extra:
                raise
        # ORIG_HEAD and its like keep nothing from Git's own gc: half of what they reach may be gone.
        found = self._list(self.git, everything, ())
        object_files.require_readable(self._common, loose=True)  # gone, and not only out of reach
        for oid in extra:
            for options in (("--missing=allow-any",), ("--missing=allow-any", "--no-walk")):
                try:
                    found = _join(found, self._list(self.git, options, [oid]))
                    break
                except FormatError:
                    continue  # an older commit is gone; then what this one has itself counts
        return found

    def reached_since(self, new: Iterable[bytes], old: Iterable[bytes]) -> ListedBlobs:
        """What new points reach, without most of what the old ones do."""
        return self._list(self.git, (), [*(oid.hex() for oid in new), *(f"^{oid.hex()}" for oid in old)])

    def in_tips(self) -> ListedBlobs:
        """What is in the trees of tips, those that a worktree has for itself included."""
        own = [tip.oid for tip in self._resolve(self._extra()) if "refs/" in tip.name]
        options = ("--no-walk", *_ALL, "--missing=allow-any")  # what is missing is told by the whole walk
        return self._list(self._plain(self._common), options, own)

    def in_worktrees(self) -> ListedBlobs:
        """What is in the trees of HEADs and in the indexes."""
        heads = [tip.oid for tip in self._resolve(self._heads()) if tip.kind == "commit"]
        found = self._list(self.git, ("--no-walk", "--indexed-objects"), heads)
        if self._other_index:
            found = _join(found, self._list(self._plain(self._common), ("--indexed-objects",), ()))
        for folder in self.files.unlisted():
            found = _join(found, self._list(self._plain(folder), ("--indexed-objects",), ()))
        return found

    def points(self, known: frozenset[bytes] = frozenset()) -> Points:
        """The objects that roots name now; those ``known`` from reflogs before are not looked for again."""
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
        """Whether all that points reach is reached from others too. Says no for all but commits."""
        if self.kinds(gone) - {"commit"}:
            return False
        return self.git.reaches_all(gone, by)

    def kinds(self, oids: Iterable[bytes]) -> set[str]:
        """The kinds that objects have; ``missing`` is one."""
        found = self.git.object_types((oid.hex() for oid in oids), as_is=True)
        return {"missing" if each is None else each.kind for each in found}

    def _list(self, git: Git, options: Sequence[str], tips: Iterable[str]) -> ListedBlobs:
        return git.list_blobs(options, tips, partial=self.files.partial)

    def _note(self, tip: Tip, reached: Mapping[str, set[bytes]], found: dict[bytes, dict[str, None]]) -> None:
        """Write a tip's name beside each wanted blob that it reaches."""
        if tip.kind == "tree":
            held = {entry.oid for entry in self.git.ls_tree(tip.oid, check=False)}
        else:
            held = {bytes.fromhex(tip.oid)} if tip.kind == "blob" else reached.get(tip.oid, set())
        for oid in held & found.keys():
            found[oid][tip.name] = None

    # -------------------------------------------------------------------------------- which tips

    def _named(self) -> tuple[list[Tip], list[Tip]]:
        """All named tips: HEADs and refs; stopped operations and reflogs."""
        before = self._heads()
        before += self._plain(self._common).for_each_ref()
        after = [*self._extra(), *self.files.logged()]
        return self._resolve(before), self._resolve(after)

    def _heads(self) -> list[tuple[str, str]]:
        return [(f"{prefix}HEAD", f"{prefix}HEAD") for prefix, _ in self.files.worktrees()]

    def _resolve(self, tips: Iterable[tuple[str, str]]) -> list[Tip]:
        """Names with expressions as tips; an expression that leads to nothing here is left out."""
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
        """What ``rev-list --all --reflog --indexed-objects`` does not know: (name, expression)."""
        yield from self.files.left()
        for prefix, folder in self.files.worktrees():
            if presence.is_folder(f"{folder}/reftable"):
                # Here these are no files; Git answers for their names.
                yield from ((prefix + name, f"{prefix or 'main-worktree/'}{name}") for name in _REFTABLE_PSEUDO)
                yield from ((prefix + name, oid) for name, oid in self._plain(folder).for_each_ref(*OWN_REFS))

    def _plain(self, git_dir: str) -> Git:
        """Git in one worktree's folder, with that worktree's own index."""
        if self._apart:
            return elsewhere(git_dir, git_dir)
        forget = (*_CUTTING, "GIT_INDEX_FILE") if self._other_index else _CUTTING
        return elsewhere(os.fsdecode(self.git.cwd), git_dir, forget=forget)


def at_once(*asked: Callable[[], T]) -> list[T]:
    """Ask Git several things at the same time."""
    from concurrent.futures import ThreadPoolExecutor  # slow to import, and not needed where nothing changed

    with ThreadPoolExecutor(len(asked)) as threads:
        return [told.result() for told in [threads.submit(question) for question in asked]]


def _join(one: ListedBlobs, other: ListedBlobs) -> ListedBlobs:
    return ListedBlobs(one.blobs + other.blobs, one.missing + other.missing)
