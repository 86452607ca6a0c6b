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
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import chain
from typing import NamedTuple, TypeVar

from regenstore.errors import FormatError
from regenstore.fs import presence
from regenstore.objects.result_cache import ResultCache
from regenstore.refs import object_files
from regenstore.refs.blobs import RecipeBlobs, read_blobs
from regenstore.refs.git import Git, elsewhere
from regenstore.refs.root_files import OWN_REFS, RootFiles

T = TypeVar("T")

# A replaced object stays reachable by itself, and its replacement by its own ref.
_LIST = ("--no-replace-objects", "rev-list", "--objects", "--no-object-names")
_BLOBS_ONLY = ("--filter=object:type=blob", "--filter-provided-objects")
_REFTABLE_PSEUDO = (
    "MERGE_HEAD", "REBASE_HEAD", "CHERRY_PICK_HEAD", "REVERT_HEAD", "ORIG_HEAD", "BISECT_HEAD",
    "BISECT_EXPECTED_REV", "AUTO_MERGE", "MERGE_AUTOSTASH", "NOTES_MERGE_PARTIAL",
)  # fmt: skip
# Of worktrees' own refs, Git keeps what they lead to only where they belong; they are walked with what stopped
# operations left, of all worktrees and from each the same.
_ALL = (*(f"--exclude={name}/*" for name in OWN_REFS), "--all")
_OWN = re.compile(rb" (?:%s)/" % b"|".join(name.encode() for name in OWN_REFS))
_ID = re.compile(r"(?:[0-9a-f]{64}|[0-9a-f]{40})\Z")
_CUTTING = ("GIT_SHALLOW_FILE", "GIT_GRAFT_FILE", "GIT_REF_PARANOIA")
"""What in the caller's environment would let Git see less than there is."""
_FIND_OBJECTS = 500
"""From so many blobs on, Git lists all changes and they are sought here: a command line has its limits."""


@dataclass(frozen=True)
class Live:
    """The blobs that roots reach. ``missing`` are objects, blobs or whole trees, that a partial clone does not
    have here: where there are any, nobody knows all that is live."""

    blobs: frozenset[bytes]
    missing: frozenset[bytes] = frozenset()
    tips: frozenset[bytes] = frozenset()
    """Those in the trees of what refs lead to."""
    working: frozenset[bytes] = frozenset()
    """Those in the trees of HEADs and in the indexes of all worktrees, every side of a path in conflict."""


class Listed(NamedTuple):
    """Blobs as Git lists them, newest first, and what is missing of them."""

    blobs: list[bytes]
    missing: list[bytes]


@dataclass(frozen=True)
class Points:
    """The objects that roots name: refs and HEADs; reflogs. ``sure`` when that is all there is, and all of it
    exists: then what they reach only grows when names are added."""

    tips: frozenset[bytes]
    logged: frozenset[bytes]
    sure: bool


@dataclass(frozen=True)
class Tip:
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
        wanted = {oid.hex(): oid for oid in blobs}
        found: dict[bytes, dict[str, None]] = {oid: {} for oid in wanted.values()}
        if not wanted:
            return {}
        self.require_readable()
        before, after = self._named()
        tips = [*before, *after]
        reached = self._reached(list(wanted), {tip.oid for tip in tips if tip.kind == "commit"})
        for tip in before:
            self._note(tip, wanted, reached, found)
        for prefix, folder in self.files.worktrees():
            listing = self._plain(folder).output("ls-files", "-s", "-z", "--", ":/")
            for entry in filter(None, listing.split(b"\0")):
                oid = wanted.get(entry.split(b" ", 2)[1].decode())
                if oid is not None:
                    found[oid][f"{prefix}index"] = None
        for tip in after:
            self._note(tip, wanted, reached, found)
        return {oid: list(names) for oid, names in found.items()}

    # -------------------------------------------------------------------------------- the walk

    def reached(self) -> Listed:
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

    def reached_since(self, new: Iterable[bytes], old: Iterable[bytes]) -> Listed:
        """What new points reach, without most of what the old ones do."""
        return self._list(self.git, (), [*(oid.hex() for oid in new), *(f"^{oid.hex()}" for oid in old)])

    def in_tips(self) -> Listed:
        """What is in the trees of tips, those that a worktree has for itself included."""
        own = [tip.oid for tip in self._resolve(self._extra()) if "refs/" in tip.name]
        options = ("--no-walk", *_ALL, "--missing=allow-any")  # what is missing is told by the whole walk
        return self._list(self._plain(self._common), options, own)

    def in_worktrees(self) -> Listed:
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
        listing = self._plain(self._common).output("for-each-ref", "--format=%(objectname) %(refname)").splitlines()
        shared = [line[: line.index(b" ")].decode() for line in listing if not _OWN.search(line)]
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
        lines = "".join([*(f"{oid.hex()}\n" for oid in gone), *(f"^{oid.hex()}\n" for oid in by)]).encode()
        return not self.git.output("--no-replace-objects", "rev-list", "-1", "--stdin", stdin=lines)

    def kinds(self, oids: Iterable[bytes]) -> set[str]:
        """The kinds that objects have; ``missing`` is one."""
        asked = "".join(f"{oid.hex()}\n" for oid in oids).encode()
        if not asked:
            return set()
        told = self.git.output(
            "--no-replace-objects", "cat-file", "--batch-check=%(objecttype)", "--buffer", stdin=asked
        )
        return {line.split(" ")[-1] for line in told.decode().splitlines()}

    def _list(self, git: Git, options: Sequence[str], tips: Sequence[str]) -> Listed:
        lines = "".join(f"{tip}\n" for tip in tips).encode()
        if not self.files.partial:
            output = git.output(*_LIST, *_BLOBS_ONLY, *options, "--stdin", stdin=lines)
            return Listed(_raw(output.splitlines()), [])
        # Git would fetch what is not here, one by one. Told not to, it names what is missing; with a filter
        # by type it would pass over missing trees in silence, so the types are looked up afterwards.
        output = git.output(*_LIST, "--missing=print", *options, "--stdin", stdin=lines)
        listed = output.splitlines()
        gone = [line[1:] for line in listed if line.startswith(b"?")]
        here = [line for line in listed if not line.startswith(b"?")]
        kinds = git.output("cat-file", "--batch-check=%(objecttype)", "--buffer", stdin=b"\n".join([*here, b""]))
        return Listed(
            _raw(oid for oid, kind in zip(here, kinds.splitlines(), strict=True) if kind == b"blob"), _raw(gone)
        )

    def _reached(self, wanted: Sequence[str], tips: set[str]) -> dict[str, set[str]]:
        """Commit -> those of the wanted blobs that it or an ancestor holds, for the given commits. A blob that
        a commit holds was brought in by it or by an ancestor, compared with any of its parents."""
        if not tips:
            return {}
        lines = "".join(f"{tip}\n" for tip in sorted(tips)).encode()
        graph = self.git.output(
            "--no-replace-objects", "rev-list", "--parents", "--topo-order", "--reverse", "--stdin", stdin=lines
        )
        few = [f"--find-object={oid}" for oid in wanted] if len(wanted) <= _FIND_OBJECTS else []
        diff = ("diff-tree", "--stdin", "-m", "-r", "--root", "--raw", "--no-abbrev", "--no-renames", *few)
        bit = {oid.encode(): 1 << n for n, oid in enumerate(wanted)}
        brought: dict[bytes, int] = {}
        commit = b""
        for line in self.git.output("--no-replace-objects", *diff, stdin=graph).splitlines():
            if not line.startswith(b":"):
                commit = line.split(b" ")[0]
            elif (mask := bit.get(line.split(b" ", 4)[3])) is not None:
                brought[commit] = brought.get(commit, 0) | mask
        masks: dict[bytes, int] = {}
        for line in graph.splitlines():
            commit, *parents = line.split(b" ")
            mask = brought.get(commit, 0)
            for parent in parents:
                mask |= masks.get(parent, 0)
            masks[commit] = mask
        return {
            tip: {oid for n, oid in enumerate(wanted) if mask >> n & 1}
            for tip in tips
            if (mask := masks.get(tip.encode(), 0))
        }

    def _note(
        self,
        tip: Tip,
        wanted: dict[str, bytes],
        reached: dict[str, set[str]],
        found: dict[bytes, dict[str, None]],
    ) -> None:
        """Write a tip's name beside each wanted blob that it reaches."""
        if tip.kind == "tree":
            listing = self.git.output("ls-tree", "-r", "-z", tip.oid, check=False)
            held = {entry.split(b"\t")[0].split(b" ")[-1].decode() for entry in listing.split(b"\0")}
        else:
            held = {tip.oid} if tip.kind == "blob" else reached.get(tip.oid, set())
        for oid in held & wanted.keys():
            found[wanted[oid]][tip.name] = None

    # -------------------------------------------------------------------------------- which tips

    def _named(self) -> tuple[list[Tip], list[Tip]]:
        """All named tips: HEADs and refs; stopped operations and reflogs."""
        before = self._heads()
        listing = self._plain(self._common).output("for-each-ref", "--format=%(objectname) %(refname)")
        for line in listing.decode(errors="surrogateescape").splitlines():
            oid, _, name = line.partition(" ")
            before.append((name, oid))
        after = [*self._extra(), *self.files.logged()]
        return self._resolve(before), self._resolve(after)

    def _heads(self) -> list[tuple[str, str]]:
        return [(f"{prefix}HEAD", f"{prefix}HEAD") for prefix, _ in self.files.worktrees()]

    def _resolve(self, tips: Iterable[tuple[str, str]]) -> list[Tip]:
        """Names with expressions as tips; an expression that leads to nothing here is left out."""
        given = list(dict.fromkeys(tips))
        if not given:
            return []
        asked = "".join(f"{expression}^{{}}\n" for _, expression in given).encode(errors="surrogateescape")
        check = "--batch-check=%(objectname) %(objecttype)"
        answers = self._plain(self._common).output("--no-replace-objects", "cat-file", check, "--buffer", stdin=asked)
        found = []
        for (name, _), line in zip(given, answers.splitlines(), strict=True):
            oid, _, kind = line.decode(errors="replace").rpartition(" ")
            if kind in ("commit", "tree", "blob") and len(oid) in (40, 64):
                found.append(Tip(name, oid, kind))
        return found

    def _extra(self) -> Iterator[tuple[str, str]]:
        """What ``rev-list --all --reflog --indexed-objects`` does not know: (name, expression)."""
        yield from self.files.left()
        for prefix, folder in self.files.worktrees():
            if presence.is_folder(f"{folder}/reftable"):
                # Here these are no files; Git answers for their names.
                yield from ((prefix + name, f"{prefix or 'main-worktree/'}{name}") for name in _REFTABLE_PSEUDO)
                form = "--format=%(objectname) %(refname)"
                for line in self._plain(folder).output("for-each-ref", form, *OWN_REFS).decode().splitlines():
                    oid, _, name = line.partition(" ")
                    yield prefix + name, oid

    def _plain(self, git_dir: str) -> Git:
        """Git in one worktree's folder, with that worktree's own index."""
        if self._apart:
            return elsewhere(git_dir, git_dir)
        forget = (*_CUTTING, "GIT_INDEX_FILE") if self._other_index else _CUTTING
        return elsewhere(os.fsdecode(self.git.cwd), git_dir, forget=forget)


def at_once(*asked: Callable[[], T]) -> list[T]:
    """Ask Git several things at the same time."""
    with ThreadPoolExecutor(len(asked)) as threads:
        return [told.result() for told in [threads.submit(question) for question in asked]]


def _join(one: Listed, other: Listed) -> Listed:
    return Listed(one.blobs + other.blobs, one.missing + other.missing)


def _raw(names: Iterable[bytes]) -> list[bytes]:
    return [bytes.fromhex(name.decode()) for name in names]
