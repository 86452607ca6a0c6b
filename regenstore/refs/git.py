"""Calls Git. Objects are read through ``git cat-file --batch``: it knows every object format, SHA-256,
alternates and partial clones, which libgit2 does not, and a filter can start it in a few milliseconds.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from types import TracebackType

from regenstore.errors import FormatError, NotFound

REPOSITORY_VARIABLES = (
    "GIT_DIR", "GIT_COMMON_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_NAMESPACE", "GIT_SHALLOW_FILE", "GIT_GRAFT_FILE", "GIT_PREFIX",
)  # fmt: skip
"""Where a git command or hook that runs us keeps its own repository."""


class Git:
    """Runs git in one folder, with the environment that this process has."""

    def __init__(self, cwd: str | bytes, *, program: str = "git", options: Sequence[str] = ()) -> None:
        self.cwd = cwd
        self._command = [program, *options]

    def run(self, *args: str | bytes, stdin: bytes = b"", check: bool = True) -> subprocess.CompletedProcess[bytes]:
        """Run a git command; raises FormatError (``git-failed``) with git's message when it fails."""
        try:
            done = subprocess.run([*self._command, *args], input=stdin, cwd=self.cwd, capture_output=True, check=False)
        except FileNotFoundError:
            raise NotFound("git-missing", f"the program '{self._command[0]}' was not found") from None
        if check and done.returncode:
            shown = " ".join(a if isinstance(a, str) else a.decode(errors="replace") for a in args)
            message = done.stderr.decode(errors="replace").strip()
            raise FormatError("git-failed", f"'git {shown[:200]}' failed: {message[:2000]}")
        return done

    def output(self, *args: str | bytes, stdin: bytes = b"", check: bool = True) -> bytes:
        """Standard output of a git command."""
        return self.run(*args, stdin=stdin, check=check).stdout

    def line(self, *args: str | bytes) -> str | None:
        """The one line that a command prints, or None when it fails."""
        done = self.run(*args, check=False)
        return None if done.returncode else done.stdout.decode(errors="surrogateescape").rstrip("\n")


def elsewhere(folder: str, git_dir: str | None = None, *, forget: Sequence[str] = REPOSITORY_VARIABLES) -> Git:
    """Git for the repository of a Git folder, else for the one that it finds, whatever the environment says
    of another one."""
    unset = [part for name in forget for part in ("-u", name)]
    chosen = () if git_dir is None else (f"--git-dir={git_dir}",)
    return Git(folder, program="env", options=(*unset, "git", *chosen))


_AT_ONCE = 100
"""Names that are written before the first answer is read: they fit into a pipe."""


class BlobReader:
    """Reads blobs by object name, in one git process that starts at the first use."""

    def __init__(self, git: Git) -> None:
        self._git = git
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> BlobReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def read(self, name: bytes, limit: int) -> bytes | None:
        """The blob's bytes; None when there is no such blob. One longer than ``limit`` gives its first
        ``limit + 1`` bytes."""
        return next(self.read_many((name,), limit))

    def read_many(self, names: Iterable[bytes], limit: int) -> Iterator[bytes | None]:
        """The same for each of many object ids, a few asked for at a time: nobody waits between them."""
        waiting = iter(names)
        while some := list(islice(waiting, _AT_ONCE)):
            # All answers are read before the first is given: who gets one may ask for other blobs.
            yield from self._read(some, limit)

    def _read(self, names: Sequence[bytes], limit: int) -> list[bytes | None]:
        process = self._start()
        assert process.stdin is not None
        names = [self._by_oid(name) if b"\n" in name else name for name in names]
        asked = [bool(name) for name in names]
        try:
            process.stdin.write(b"".join(name + b"\n" for name in names if name))
            process.stdin.flush()
        except BrokenPipeError:
            self._process = None
            return [None] * len(names)
        return [self._answer(process, limit) if is_one else None for is_one in asked]

    def _by_oid(self, name: bytes) -> bytes:
        """The object id of a name with a line end, which cannot be asked for as it is; empty where there is none."""
        return self._git.run("rev-parse", "--verify", "--quiet", "--end-of-options", name, check=False).stdout.strip()

    @staticmethod
    def _answer(process: subprocess.Popen[bytes], limit: int) -> bytes | None:
        assert process.stdout is not None
        answer = process.stdout.readline().split(b" ")
        if len(answer) != 3 or not answer[2].strip().isdigit():
            return None
        left = int(answer[2])
        data = process.stdout.read(min(left, limit + 1))
        left -= len(data)
        while left > 0:
            left -= len(process.stdout.read(min(left, 1 << 20)))
        process.stdout.read(1)
        return data if answer[1] == b"blob" else None

    def _start(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            self._process = subprocess.Popen(
                [*self._git._command, "cat-file", "--batch"],
                cwd=self._git.cwd,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
        return self._process

    def close(self) -> None:
        if self._process is not None:
            process, self._process = self._process, None
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()
            process.wait()


def blob_id(data: bytes, oid_size: int) -> bytes:
    """The object id that Git gives a blob: gitformat-loose(5)."""
    return _hash(oid_size, b"blob %d\0" % len(data) + data).digest()


def file_blob_id(path: str, oid_size: int) -> bytes:
    """The object id that Git would give a file's bytes."""
    with open(path, "rb", buffering=0) as file:
        hasher = _hash(oid_size, b"blob %d\0" % os.fstat(file.fileno()).st_size)
        while chunk := file.read(1 << 20):
            hasher.update(chunk)
    return hasher.digest()


def _hash(oid_size: int, data: bytes) -> hashlib._Hash:
    return hashlib.new("sha1" if oid_size == 20 else "sha256", data, usedforsecurity=False)
