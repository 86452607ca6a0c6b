"""Git's refs and history, and writing objects and refs."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from regenstore.errors import NotFound
from regenstore.refs.git.answers import Header, TreeChange, change, header, lines, lines_of, parts, raw
from regenstore.refs.git.ids import blob_id
from regenstore.refs.git.listing import Listings

# A replaced object stays reachable itself, and its replacement through its own ref.
_AS_IT_IS = "--no-replace-objects"
_LIST = (_AS_IT_IS, "rev-list", "--objects")
_BLOBS_ONLY = ("--filter=object:type=blob", "--filter-provided-objects")
_FIND_OBJECTS = 500
"""The number of blobs from which Git lists all changes and we filter them: command lines are limited."""
_FROM = re.compile(rb"([0-9a-f]{40,64}) \(from ([0-9a-f]{40,64})\) ")


class ListedBlobs(NamedTuple):
    """Blobs as Git lists them, newest first, and the missing ones."""

    blobs: list[bytes]
    missing: list[bytes]


class Moment(NamedTuple):
    """A change that a commit made, compared with one of its parents."""

    commit: str
    before: str
    """The parent, or an expression for it."""
    change: TreeChange


class PathChange(NamedTuple):
    """A commit that gave a path another blob than every parent of it has there."""

    commit: str
    when: int
    """The committer's time, in seconds since the epoch."""
    subject: str
    before: tuple[bytes, ...]
    """The blobs of the parents there; zeros where one has none."""
    oid: bytes


class History(Listings):
    """Refs, the objects they point to, and the changes that commits made."""

    # -------------------------------------------------------------------------------- names and objects

    def resolve(self, name: str | bytes) -> str | None:
        """Return the hexadecimal id of the object that an expression resolves to, or None."""
        return self._line("rev-parse", "--verify", "--quiet", "--end-of-options", name)

    def commit(self, revision: str) -> str | None:
        """Return the hexadecimal id of the commit that an expression resolves to, or None."""
        return self.resolve(f"{revision}^{{commit}}")

    def for_each_ref(self, *patterns: str) -> list[tuple[str, str]]:
        """Return all matching refs, as (name, hexadecimal object id)."""
        told = self._output("for-each-ref", "--format=%(objectname) %(refname)", *patterns)
        found = (line.decode(errors="surrogateescape").partition(" ") for line in lines(told))
        return [(name, oid) for oid, _, name in found]

    def ref_fields(self, fields: Sequence[str], pattern: str) -> Iterator[list[str]]:
        """Yield fields of all matching refs, as ``git for-each-ref`` names them."""
        form = "".join(f"%({name})%00" for name in fields)
        output = self._output("for-each-ref", f"--format={form}", pattern)
        told = [part.decode(errors="replace") for part in parts(output)]
        for at in range(0, len(told), len(fields)):
            first, *rest = told[at : at + len(fields)]
            yield [first.lstrip("\n"), *rest]

    def object_types(self, names: Iterable[str], *, as_is: bool = False) -> list[Header | None]:
        """Resolve expressions to objects; None for those that lead nowhere. ``as_is`` ignores replacements."""
        asked = "".join(f"{name}\n" for name in names).encode(errors="surrogateescape")
        if not asked:
            return []
        flags = (_AS_IT_IS,) if as_is else ()
        answers = self._output(*flags, "cat-file", "--batch-check", "--buffer", stdin=asked)
        return [header(line) for line in lines(answers)]

    def is_shallow(self) -> bool:
        """Return whether the repository lacks commits that its own ones descend from."""
        return self._line("rev-parse", "--is-shallow-repository") == "true"

    def branch(self) -> str | None:
        """Return the ref of the branch that is checked out; None if HEAD is detached."""
        return self._line("symbolic-ref", "-q", "HEAD")

    def copy_blob(self, oid: str, target: int) -> None:
        """Write the bytes of a blob to a descriptor, whatever their number. Raises FormatError (``git-failed``)."""
        self._run("cat-file", "blob", oid, stdout=target)

    def write_object(self, kind: str, data: bytes) -> str:
        """Write an object; returns its hexadecimal id. Raises FormatError (``git-failed``)."""
        return self._output("hash-object", "-w", "-t", kind, "--stdin", stdin=data).decode().strip()

    def add_blobs(self, blobs: Mapping[bytes, bytes], oid_size: int) -> dict[bytes, bytes]:
        """Write blobs, and enter them into the index at their paths as regular files, without looking at the worktree;
        returns their ids, of so many bytes. Raises FormatError (``git-failed``)."""
        stream = b"".join(b"blob\ndata %d\n%s\n" % (len(data), data) for data in blobs.values())
        self._output("fast-import", "--quiet", stdin=stream)
        oids = {path: blob_id(data, oid_size) for path, data in blobs.items()}
        entries = b"".join(b"100644 %s\t%s\0" % (oid.hex().encode(), path) for path, oid in oids.items())
        self._output("update-index", "-z", "--add", "--index-info", stdin=entries)
        return oids

    def update_ref(self, name: str, oid: str) -> None:
        """Point a ref to an object. Raises FormatError (``git-failed``)."""
        self._run("update-ref", name, oid)

    def delete_ref(self, name: str) -> None:
        """Delete a ref. Raises FormatError (``git-failed``)."""
        self._run("update-ref", "-d", name)

    # -------------------------------------------------------------------------------- walks

    def rev_list(self, *revisions: str) -> list[str]:
        """Return the commits of a range, oldest first. Raises NotFound (``no-such-revision``) with git's message."""
        done = self._run("rev-list", "--reverse", *revisions, "--", check=False)
        if done.returncode:
            message = done.stderr.decode(errors="replace").strip()
            raise NotFound("no-such-revision", f"git rev-list {' '.join(revisions)}: {message}")
        return done.stdout.decode().split()

    def list_blobs(self, options: Sequence[str], tips: Iterable[str], *, partial: bool = False) -> ListedBlobs:
        """List the blobs reached by a walk from tips (excluded ones begin with ``^``) with options of ``git rev-list``.
        In a ``partial`` clone nothing is fetched, and missing objects are reported. Raises FormatError
        (``git-failed``)."""
        asked = "".join(f"{tip}\n" for tip in tips).encode()
        walk = (*_LIST, "--no-object-names")
        if not partial:
            output = self._output(*walk, *_BLOBS_ONLY, *options, "--stdin", stdin=asked)
            return ListedBlobs([raw(line) for line in lines(output)], [])
        # Git would fetch missing objects one by one. With --missing=print it names them; but with a filter by type it
        # would skip missing trees in silence, so the types are looked up afterwards.
        listed = lines(self._output(*walk, "--missing=print", *options, "--stdin", stdin=asked))
        gone = [raw(line[1:]) for line in listed if line.startswith(b"?")]
        here = self.object_types(line.decode() for line in listed if not line.startswith(b"?"))
        return ListedBlobs([found.oid for found in here if found is not None and found.kind == "blob"], gone)

    def blob_paths(self, *options: str, tips: Iterable[str] = ()) -> list[tuple[bytes, bytes]]:
        """List the blobs that a walk reaches, each with a path that it has or had, skipping missing ones. Raises
        FormatError (``git-failed``)."""
        asked = "".join(f"{tip}\n" for tip in tips).encode()
        args = (*_LIST, *_BLOBS_ONLY, "--missing=allow-any", *options, "--stdin")
        found = (line.partition(b" ") for line in lines(self._output(*args, stdin=asked)))
        return [(raw(oid), path) for oid, _, path in found]

    def reaches_all(self, new: Iterable[bytes], old: Iterable[bytes]) -> bool:
        """Return whether every commit reachable from the new ones is reachable from the old ones too."""
        asked = lines_of(new) + b"".join(b"^" + oid.hex().encode() + b"\n" for oid in old)
        return not self._output(_AS_IT_IS, "rev-list", "-1", "--stdin", stdin=asked)

    def held_by(self, wanted: Sequence[bytes], commits: Iterable[str]) -> dict[str, set[bytes]]:
        """Return, for the given commits, which of the wanted blobs each or its ancestors contain. A commit contains a
        blob if it or an ancestor introduced it, compared with any of its parents."""
        tips = sorted(set(commits))
        if not tips:
            return {}
        asked = "".join(f"{tip}\n" for tip in tips).encode()
        walk = ("rev-list", "--parents", "--topo-order", "--reverse", "--stdin")
        graph = self._output(_AS_IT_IS, *walk, stdin=asked)
        diff = ("diff-tree", "--stdin", "-m", "-r", "--root", "--raw", "--no-abbrev", "--no-renames", *_find(wanted))
        bit = {oid.hex().encode(): 1 << n for n, oid in enumerate(wanted)}
        brought: dict[bytes, int] = {}
        commit = b""
        for line in lines(self._output(_AS_IT_IS, *diff, stdin=graph)):
            if not line.startswith(b":"):
                commit = line.split(b" ")[0]
            elif (mask := bit.get(line.split(b" ", 4)[3])) is not None:
                brought[commit] = brought.get(commit, 0) | mask
        masks: dict[bytes, int] = {}
        for line in lines(graph):
            commit, *parents = line.split(b" ")
            mask = brought.get(commit, 0)
            for parent in parents:
                mask |= masks.get(parent, 0)
            masks[commit] = mask
        found = ((tip, masks.get(tip.encode(), 0)) for tip in tips)
        return {tip: {oid for n, oid in enumerate(wanted) if mask >> n & 1} for tip, mask in found if mask}

    def moments(self, oids: Collection[bytes]) -> Iterator[Moment]:
        """Yield where any of some blobs appeared or disappeared, newest first, in everything that refs and reflogs
        reach. If they are many, other changes are included too; in a damaged history, what Git lists before it
        stops."""
        answer = self._run(
            _AS_IT_IS, "log", "--all", "--reflog", "-m", "--raw", "--no-abbrev", "--no-renames", "-z",
            "--pretty=oneline", "--no-abbrev-commit", "--no-color", *_find(oids), check=False,
        )  # fmt: skip
        commit = before = ""
        told = iter(parts(answer.stdout))
        for part in told:
            if part.startswith(b":"):
                yield Moment(commit, before, change(part, next(told, b"")))
                continue
            commit = part.split(b" ", 1)[0].decode()
            merged = _FROM.match(part)
            before = merged[2].decode() if merged else f"{commit}^"

    def path_changes(self, path: bytes) -> Iterator[PathChange]:
        """Yield the commits that gave a path, as seen from the top of the worktree, another blob, in everything that
        refs and reflogs reach, newest first as Git lists them; in a damaged history, what it lists before it stops."""
        answer = self._run(
            _AS_IT_IS, "--literal-pathspecs", "log", "--all", "--reflog", "--full-history", "--date-order",
            "--no-follow", "-c", "--raw", "--no-abbrev", "--no-renames", "--no-show-signature", "--no-color", "-z",
            "--format=%ct%x01%H%x01%s", "--", path, check=False,
        )  # fmt: skip
        when, commit, subject = "0", "", ""
        told = iter(parts(answer.stdout))
        for part in told:
            about = part.lstrip(b"\n")
            if not about.startswith(b":"):
                if about:
                    when, commit, subject = about.decode(errors="replace").split("\x01", 2)
                continue
            parents = len(about) - len(about.lstrip(b":"))  # of a merge: all that it differs from
            fields = about.split(b" ")
            oids = [raw(oid) for oid in fields[parents + 1 : 2 * parents + 2]]
            if next(told, b"") == path and any(oids[-1]):
                yield PathChange(commit, int(when), subject, tuple(oids[:-1]), oids[-1])

    def in_words(self, commits: Iterable[str]) -> Mapping[str, str]:
        """Return short name and date of the commits that expressions lead to; an unresolved one stands for itself."""
        asked = list(commits)
        found = self.object_types(asked)
        here = dict.fromkeys(each.oid for each in found if each is not None)
        said: dict[bytes, str] = {}
        if here:
            args = ("log", "--no-walk=unsorted", "--format=%H commit %h of %cs", "--stdin")
            for line in lines(self._output(*args, stdin=lines_of(here))):
                oid, _, words = line.decode().partition(" ")
                said[bytes.fromhex(oid)] = words
        return {commit: commit if each is None else said.get(each.oid, commit) for commit, each in zip(asked, found)}

    def blobs_that_mention(self, text: str) -> Iterator[bytes]:
        """Yield the blobs in which a text appeared or disappeared, newest first, in all of refs and reflogs."""
        told = self._output(
            "log", "--all", "--reflog", "--format=", "--raw", "--no-abbrev", "--no-renames", "-m", f"-S{text}",
            check=False,
        )  # fmt: skip
        for line in lines(told):
            fields = line.split(b" ")
            if len(fields) > 4 and fields[3].strip(b"0"):
                yield raw(fields[3])

    def was_committed(self, oid: bytes, path: bytes) -> bool:
        """Return whether any commit of HEAD's history added a blob at a path, or removed it there."""
        found = self._output(
            "--literal-pathspecs", "log", "-1", "--format=%h", f"--find-object={oid.hex()}", "HEAD", "--", path,
            check=False,
        )  # fmt: skip
        return bool(found.strip())


def _find(oids: Collection[bytes]) -> Sequence[str]:
    return [f"--find-object={oid.hex()}" for oid in oids] if len(oids) <= _FIND_OBJECTS else []
