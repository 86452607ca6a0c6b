"""Rewriting history: the commits of branches and tags again, with other blobs at some paths.

``git fast-export`` describes the history as a stream of commands (git-fast-import(1) defines it), in which blobs are
named by their ids; we replace blobs and pass everything else on to ``git fast-import``. It writes into a temporary
repository that borrows the objects of the real one, so that nothing changes here before everything is there.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from typing import IO, NamedTuple

from regenstore.refs.git.history import History
from regenstore.refs.git.process import failed

Convert = Callable[[bytes, str], bytes | None]
"""Path and id of a blob -> its new content; None to keep it."""
BACKUP = "refs/regenstore/before-rewrite"
"""Below it, each rewriting keeps the refs as they were."""

_EXPORT = (
    *("fast-export", "--branches", "--tags", "--no-data", "--reencode=no", "--signed-tags=warn-strip"),
    *("--tag-of-filtered-object=rewrite", "--fake-missing-tagger", "--use-done-feature"),
)
_IMPORT = ("fast-import", "--force", "--quiet", "--done")
_MODIFY = re.compile(rb'M (100644|100755) ([0-9a-f]{40,64}) ("?)(.*?)\3\n', re.DOTALL)
_ESCAPE = re.compile(rb"\\([abtnvfr\"\\]|[0-7]{3})")
_ESCAPED = {b"a": b"\a", b"b": b"\b", b"t": b"\t", b"n": b"\n", b"v": b"\v", b"f": b"\f", b"r": b"\r"}


class Rewritten(NamedTuple):
    """The outcome of rewriting. Nothing refers to the new commits before :meth:`Rewriter.apply`."""

    commits: Mapping[str, str]
    """Old commit -> new commit; unchanged ones map to themselves."""
    refs: Mapping[str, tuple[str, str]]
    """Each branch and tag that changes: what it refers to now, and what it will."""


class Rewriter:
    """Rewrites the branches and tags of a repository."""

    def __init__(self, git: History, common_dir: str, object_format: str) -> None:
        self._git = git
        self._common = common_dir
        self._format = object_format

    def rewrite(self, convert: Convert, *, first_files: Mapping[bytes, bytes] | None = None) -> Rewritten:
        """Write the new commits and their objects. ``first_files``: contents that commits without a parent get at paths
        where they have nothing, and later ones in place of deleting them. What ``convert`` raises passes; the
        repository then has only unused objects at most."""
        import shutil  # like tempfile slow to import, and the Git filter imports this package
        import tempfile

        folder = tempfile.mkdtemp(prefix="regenstore-rewrite-", dir=self._common)
        try:
            return self._rewrite(folder, convert, first_files or {})
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _rewrite(self, folder: str, convert: Convert, first_files: Mapping[bytes, bytes]) -> Rewritten:
        there = f"{folder}/git"
        self._git._run("init", "-q", "--bare", f"--object-format={self._format}", "--template=", there)
        os.makedirs(f"{there}/objects/info", exist_ok=True)
        with open(f"{there}/objects/info/alternates", "w", encoding="utf-8", errors="surrogateescape") as file:
            file.write(f"{self._git.objects_folder() or os.path.join(self._common, 'objects')}\n")
        marks = [f"{folder}/old", f"{folder}/new"]
        given = self._git._talk(*_EXPORT, f"--export-marks={marks[0]}")
        taken = History(there, git_dir=there)._talk(*_IMPORT, f"--export-marks={marks[1]}")
        assert given.stdout is not None and taken.stdin is not None
        try:
            _Stream(given.stdout, taken.stdin, convert, first_files).copy()
            taken.stdin.close()
            for process, args in ((given, _EXPORT), (taken, _IMPORT)):
                if process.wait():
                    raise failed(args, b"see 'git fsck'")
        except BrokenPipeError:
            raise failed(_IMPORT, b"it ended early; see 'git fsck'") from None
        finally:
            for process in (given, taken):
                process.kill()
                process.wait()
        old, new = map(_marks, marks)
        commits = {old[mark]: new[mark] for mark in old.keys() & new.keys()}
        now = dict(self._git.for_each_ref("refs/heads/", "refs/tags/"))
        then = dict(History(there, git_dir=there).for_each_ref("refs/heads/", "refs/tags/"))
        # Their objects only; what they are called is decided by apply.
        fetch = ("fetch", "-q", "--no-tags", "--no-write-fetch-head", "--no-auto-maintenance", "--update-shallow")
        names = "".join(f"{name}\n" for name in then).encode(errors="surrogateescape")
        self._git._run(*fetch, "--stdin", there, stdin=names)
        return Rewritten(commits, {n: (now[n], then[n]) for n in sorted(now.keys() & then.keys()) if now[n] != then[n]})

    def apply(self, done: Rewritten, stamp: str) -> None:
        """Make the refs refer to the new commits, all or none of them. They must be as they were when the commits were
        written; ``stamp`` names the backup. Raises FormatError (``git-failed``)."""
        asked = []
        for name, (old, new) in done.refs.items():
            asked.append(f"create {BACKUP}/{stamp}/{name.removeprefix('refs/')}\0{old}\0")
            asked.append(f"update {name}\0{new}\0{old}\0")
        stdin = "".join(asked).encode(errors="surrogateescape")
        self._git._run("update-ref", "-m", "regenstore: history rewritten", "-z", "--stdin", stdin=stdin)


class _Stream:
    """Copies a stream of fast-export, with other blobs."""

    def __init__(
        self, given: IO[bytes], taken: IO[bytes], convert: Convert, first_files: Mapping[bytes, bytes]
    ) -> None:
        self._given = given
        self._write = taken.write
        self._convert = convert
        self._first = first_files

    def copy(self) -> None:
        line = self._given.readline()
        while line:
            if line.startswith(b"commit "):
                line = self._commit(line)
                continue
            self._pass(line)
            line = self._given.readline()

    def _pass(self, line: bytes) -> None:
        """Copy a line, and the data that it announces."""
        self._write(line)
        if line.startswith(b"data "):
            left = int(line[5:])
            while left:
                piece = self._given.read(min(left, 1 << 20))
                if not piece:
                    return
                self._write(piece)
                left -= len(piece)

    def _commit(self, line: bytes) -> bytes:
        """Copy one commit; returns the line after it."""
        has_parent, seen = False, set()
        while True:
            self._pass(line)
            message = line.startswith(b"data ")
            line = self._given.readline()
            if message:
                break
        while line.startswith((b"from ", b"merge ")):
            has_parent = True
            self._pass(line)
            line = self._given.readline()
        while line.startswith((b"M ", b"D ", b"R ", b"C ", b"deleteall")):
            found = _MODIFY.fullmatch(line)
            path = None if found is None else _unquoted(found[4]) if found[3] else found[4]
            new = None
            if found is not None and path is not None:
                seen.add(path)
                new = self._convert(path, found[2].decode())
            if line.startswith(b"D ") and line[2:-1] in self._first:
                self._inline(b"M 100644 inline %s" % line[2:], self._first[line[2:-1]])
            elif new is None or found is None:
                self._pass(line)
            else:
                self._inline(b"M %s inline %s%s%s\n" % (found[1], found[3], found[4], found[3]), new)
            line = self._given.readline()
        if not has_parent:
            for path, content in self._first.items():
                if path not in seen:
                    self._inline(b"M 100644 inline %s\n" % path, content)
        return line

    def _inline(self, command: bytes, content: bytes) -> None:
        self._write(command + b"data %d\n%s\n" % (len(content), content))


def _unquoted(path: bytes) -> bytes:
    """A path that Git quotes in C style (gitformat's core.quotePath)."""
    return _ESCAPE.sub(lambda m: bytes([int(m[1], 8)]) if len(m[1]) == 3 else _ESCAPED.get(m[1], m[1]), path)


def _marks(path: str) -> dict[str, str]:
    """A file of marks: mark -> object id."""
    with open(path, encoding="ascii") as file:
        return dict(line.split() for line in file)
