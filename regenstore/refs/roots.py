"""Roots: every name by which Git can still reach a blob, and the blobs they reach.

Refs (branches, remote-tracking, tags, notes, stash, pins), HEAD, index and reflogs of every worktree, and
what stands in the files of an operation that stopped in the middle (merge, rebase, cherry-pick, revert,
bisect). When in doubt it is a root: any object id in any such file counts.

Git does the walk: one ``rev-list`` process gives all blobs. Objects that nothing names (dropped stashes,
``hash-object -w``) are no roots' objects, although Git keeps them for a while.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from regenstore.errors import FormatError
from regenstore.objects.result_cache import ResultCache
from regenstore.refs.blobs import RecipeBlobs, read_blobs
from regenstore.refs.git import Git

# A replaced object stays reachable by itself, and its replacement by its own ref.
_LIST = ("--no-replace-objects", "rev-list", "--objects", "--no-object-names")
_BLOBS_ONLY = ("--filter=object:type=blob", "--filter-provided-objects")
_PSEUDO = re.compile(r"[A-Z][A-Z_]*\Z")
_STOPPED = ("rebase-merge", "rebase-apply", "sequencer")
_OID = re.compile(rb"(?<![0-9a-f])(?:[0-9a-f]{64}|[0-9a-f]{40})(?![0-9a-f])")
_TODO = re.compile(rb"^[a-z]+ (?:-[cC] )?([0-9a-f]{4,39})(?= |$)", re.MULTILINE)  # cherry-pick shortens ids here
_MAX_FILE = 64 << 20
_OWN_REFS = ("refs/bisect", "refs/worktree", "refs/rewritten")
"""The refs that each worktree, also the main one, has for itself: from another one Git does not list them."""
_REFTABLE_PSEUDO = (
    "MERGE_HEAD", "REBASE_HEAD", "CHERRY_PICK_HEAD", "REVERT_HEAD", "ORIG_HEAD", "BISECT_HEAD",
    "BISECT_EXPECTED_REV", "AUTO_MERGE", "MERGE_AUTOSTASH", "NOTES_MERGE_PARTIAL",
)  # fmt: skip
_EVERYTHING = ("--all", "--reflog", "--indexed-objects")
_FIND_OBJECTS = 500
"""From so many blobs on, Git lists all changes and they are sought here: a command line has its limits."""


@dataclass(frozen=True)
class Live:
    """The blobs that roots reach. ``missing`` are objects, blobs or whole trees, that a partial clone does not
    have here: where there are any, nobody knows all that is live."""

    blobs: frozenset[bytes]
    missing: frozenset[bytes] = frozenset()


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
        self._git = git
        self._common = common_dir
        # With an index of the caller's, Git would leave out the worktree's own.
        self._other_index = os.path.realpath(index) != os.path.realpath(f"{git_dir}/index")

    def live(self) -> Live:
        """All blobs that any root reaches, recipes or not. Raises FormatError (``git-failed``) if a ref, a
        HEAD or an index leads to something damaged; what an operation left behind may lead nowhere."""
        extra = [tip.oid for tip in self._resolve(self._extra())]
        try:
            found = self._list(self._git, _EVERYTHING, extra)
        except FormatError:
            if not extra:
                raise
            # ORIG_HEAD and its like keep nothing from Git's own gc: half of what they reach may be gone.
            found = self._list(self._git, _EVERYTHING, ())
            for oid in extra:
                try:
                    found = _join(found, self._list(self._git, ("--missing=allow-any",), [oid]))
                except FormatError:
                    continue
        if self._other_index:
            found = _join(found, self._list(self._plain(self._common), ("--indexed-objects",), ()))
        return found

    def recipes(self, cache: ResultCache, *, remember: bool) -> RecipeBlobs:
        """What all live recipe blobs say; see :func:`regenstore.refs.blobs.read_blobs`."""
        live = self.live()
        return replace(read_blobs(self._git, cache, live.blobs, remember=remember), missing=live.missing)

    def names(self, blobs: Iterable[bytes]) -> dict[bytes, list[str]]:
        """The names of the roots that reach each of these blobs: HEADs and refs first, then indexes, stopped
        operations, reflogs. Empty for a blob that no name reaches."""
        wanted = {oid.hex(): oid for oid in blobs}
        found: dict[bytes, dict[str, None]] = {oid: {} for oid in wanted.values()}
        if not wanted:
            return {}
        before, after = self._named()
        tips = [*before, *after]
        reached = self._reached(list(wanted), {tip.oid for tip in tips if tip.kind == "commit"})
        for tip in before:
            self._note(tip, wanted, reached, found)
        for prefix, folder in self._worktrees():
            listing = self._plain(folder).output("ls-files", "-s", "-z", "--", ":/")
            for entry in filter(None, listing.split(b"\0")):
                oid = wanted.get(entry.split(b" ", 2)[1].decode())
                if oid is not None:
                    found[oid][f"{prefix}index"] = None
        for tip in after:
            self._note(tip, wanted, reached, found)
        return {oid: list(names) for oid, names in found.items()}

    # -------------------------------------------------------------------------------- the walk

    def _list(self, git: Git, options: Sequence[str], tips: Sequence[str]) -> Live:
        lines = "".join(f"{tip}\n" for tip in tips).encode()
        if not self._partial():
            output = git.output(*_LIST, *_BLOBS_ONLY, *options, "--stdin", stdin=lines)
            return Live(frozenset(bytes.fromhex(line.decode()) for line in output.splitlines()))
        # Git would fetch what is not here, one by one. Told not to, it names what is missing; with a filter
        # by type it would pass over missing trees in silence, so the types are looked up afterwards.
        output = git.output(*_LIST, "--missing=print", *options, "--stdin", stdin=lines)
        listed = output.splitlines()
        gone = frozenset(bytes.fromhex(line[1:].decode()) for line in listed if line.startswith(b"?"))
        here = [line for line in listed if not line.startswith(b"?")]
        kinds = git.output("cat-file", "--batch-check=%(objecttype)", "--buffer", stdin=b"\n".join([*here, b""]))
        blobs = (oid for oid, kind in zip(here, kinds.splitlines(), strict=True) if kind == b"blob")
        return Live(frozenset(bytes.fromhex(oid.decode()) for oid in blobs), gone)

    def _partial(self) -> bool:
        return any(name.endswith(".promisor") for name in _names(f"{self._common}/objects/pack"))

    def _reached(self, wanted: Sequence[str], tips: set[str]) -> dict[str, set[str]]:
        """Commit -> those of the wanted blobs that it or an ancestor holds, for the given commits. A blob that
        a commit holds was brought in by it or by an ancestor, compared with any of its parents."""
        if not tips:
            return {}
        lines = "".join(f"{tip}\n" for tip in sorted(tips)).encode()
        graph = self._git.output(
            "--no-replace-objects", "rev-list", "--parents", "--topo-order", "--reverse", "--stdin", stdin=lines
        )
        few = [f"--find-object={oid}" for oid in wanted] if len(wanted) <= _FIND_OBJECTS else []
        diff = ("diff-tree", "--stdin", "-m", "-r", "--root", "--raw", "--no-abbrev", "--no-renames", *few)
        bit = {oid.encode(): 1 << n for n, oid in enumerate(wanted)}
        brought: dict[bytes, int] = {}
        commit = b""
        for line in self._git.output("--no-replace-objects", *diff, stdin=graph).splitlines():
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
            listing = self._git.output("ls-tree", "-r", "-z", tip.oid, check=False)
            held = {entry.split(b"\t")[0].split(b" ")[-1].decode() for entry in listing.split(b"\0")}
        else:
            held = {tip.oid} if tip.kind == "blob" else reached.get(tip.oid, set())
        for oid in held & wanted.keys():
            found[wanted[oid]][tip.name] = None

    # -------------------------------------------------------------------------------- which tips

    def _named(self) -> tuple[list[Tip], list[Tip]]:
        """All named tips: HEADs and refs; stopped operations and reflogs."""
        before = [(f"{prefix}HEAD", f"{prefix}HEAD") for prefix, _ in self._worktrees()]
        listing = self._plain(self._common).output("for-each-ref", "--format=%(objectname) %(refname)")
        for line in listing.decode(errors="surrogateescape").splitlines():
            oid, _, name = line.partition(" ")
            before.append((name, oid))
        after = [*self._extra(), *self._logged()]
        return self._resolve(before), self._resolve(after)

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
        for prefix, folder in self._worktrees():
            for name in _files(folder):
                if _PSEUDO.match(name) and name != "HEAD":
                    yield from ((prefix + name, oid) for oid in _ids(f"{folder}/{name}"))
            for kind in (*_STOPPED, *_OWN_REFS):
                for path in _walk(f"{folder}/{kind}"):
                    name = f"{prefix}{kind}/{path}"
                    yield from ((name, oid) for oid in _ids(f"{folder}/{kind}/{path}"))
            if os.path.isdir(f"{folder}/reftable"):
                # Here these are no files; Git answers for their names.
                yield from ((prefix + name, f"{prefix or 'main-worktree/'}{name}") for name in _REFTABLE_PSEUDO)
                form = "--format=%(objectname) %(refname)"
                for line in self._plain(folder).output("for-each-ref", form, *_OWN_REFS).decode().splitlines():
                    oid, _, name = line.partition(" ")
                    yield prefix + name, oid

    def _logged(self) -> Iterator[tuple[str, str]]:
        for prefix, folder in self._worktrees():
            for path in _walk(f"{folder}/logs"):
                ids = dict.fromkeys(
                    oid for line in _read(f"{folder}/logs/{path}").splitlines() for oid in _OID.findall(line[:130])
                )
                yield from ((f"{prefix}{path} (reflog)", oid.decode()) for oid in ids if oid.strip(b"0"))

    def _worktrees(self) -> list[tuple[str, str]]:
        """``(what Git puts before its names, its folder)``: the main worktree, then the linked ones."""
        linked = sorted(_names(f"{self._common}/worktrees"))
        return [("", self._common), *((f"worktrees/{n}/", f"{self._common}/worktrees/{n}") for n in linked)]

    def _plain(self, git_dir: str) -> Git:
        """Git in one worktree's folder, with that worktree's own index."""
        option = f"--git-dir={git_dir}"
        if self._other_index:
            return Git(self._git.cwd, program="env", options=("-u", "GIT_INDEX_FILE", "git", option))
        return Git(self._git.cwd, options=(option,))


def _join(one: Live, other: Live) -> Live:
    return Live(one.blobs | other.blobs, one.missing | other.missing)


def _ids(path: str) -> Iterator[str]:
    """All object ids in a file, also the shortened ones of a list of things to do."""
    data = _read(path)
    for oid in dict.fromkeys(_OID.findall(data)):
        if oid.strip(b"0"):
            yield oid.decode()
    for short in dict.fromkeys(_TODO.findall(data)):
        yield f"{short.decode()}^{{commit}}"


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(_MAX_FILE)
    except OSError:
        return b""


def _names(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []


def _files(folder: str) -> list[str]:
    return sorted(name for name in _names(folder) if os.path.isfile(f"{folder}/{name}"))


def _walk(folder: str) -> Iterator[str]:
    """Files below a folder, as paths relative to it."""
    for base, folders, files in os.walk(folder):
        folders.sort()
        for name in sorted(files):
            yield os.path.relpath(f"{base}/{name}", folder)
