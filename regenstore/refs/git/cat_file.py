"""Objects by name from ``git cat-file``: supports every object format, SHA-256, alternates, replacements and partial
clones, and starts in a few milliseconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from subprocess import Popen

from regenstore.errors import FormatError
from regenstore.refs.git.answers import Header, header
from regenstore.refs.git.history import History


class CatFile:
    """Talks to one process, started on demand and restarted after it ended."""

    def __init__(self, git: History) -> None:
        self._git = git
        self._process: Popen[bytes] | None = None

    def texts(self, names: Sequence[bytes], limit: int) -> list[tuple[str, bytes | None]]:
        """Return kind and bytes for each name: no bytes for objects larger than the limit or other than blobs, no kind
        for missing ones. Raises FormatError (``git-failed``) for a damaged blob, and if git does not answer."""
        process = self._ask(b"info", names)
        found: list[tuple[str, bytes | None]] = []
        small = []
        for name in names:
            line = self._line(process) if name else b"missing"
            if not line:
                raise self._ended(name)
            about = header(line)
            found.append(("" if about is None else about.kind, None))
            if about is not None and about.kind == "blob" and about.size <= limit:
                small.append(len(found) - 1)
        for at, data in zip(small, self.contents([names[at] for at in small], limit, strict=True)):
            # A blob that disappeared meanwhile ('git gc' may run concurrently) counts as missing.
            found[at] = ("blob" if data is not None else "", data)
        return found

    def contents(self, names: Sequence[bytes], limit: int, *, strict: bool = False) -> list[bytes | None]:
        """Return the bytes of blobs, at most ``limit + 1`` of each; None for anything else. Git exits at a damaged one:
        with ``strict`` FormatError (``git-failed``) is raised then, otherwise that one is None too."""
        found: list[bytes | None] = []
        silent = 0
        while len(found) < len(names):
            left = names[len(found) :]
            process = self._ask(b"contents", left)
            before = len(found)
            for name in left:
                line = self._line(process) if name else b"missing"
                about = header(line)
                data = None if about is None else self._data(process, about, limit)
                ended = not line or (about is not None and data is None)
                if ended and strict:
                    raise self._ended(name)
                found.append(data if about is not None and about.kind == "blob" else None)
                if ended:
                    self.close()
                    break
            silent = silent + 1 if len(found) == before + 1 and len(found) < len(names) else 0
            if silent > 1:  # git does not start at all
                found += [None] * (len(names) - len(found))
        return found

    def close(self) -> None:
        """End the process; it is restarted on demand."""
        if self._process is not None:
            process, self._process = self._process, None
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    try:
                        pipe.close()
                    except BrokenPipeError:
                        pass
            process.wait()

    def _ask(self, what: bytes, names: Sequence[bytes]) -> Popen[bytes]:
        """Send all requests before reading: git answers only after the flush, so no pipe can fill up on both sides."""
        if self._process is None:
            self._process = self._git._talk("cat-file", "--batch-command", "--buffer")
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(b"".join([*(what + b" " + name + b"\n" for name in names if name), b"flush\n"]))
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # the missing answers tell
        return self._process

    @staticmethod
    def _line(process: Popen[bytes]) -> bytes:
        """Read one line of the answer; empty if git ended."""
        assert process.stdout is not None
        return process.stdout.readline().rstrip(b"\n")

    @staticmethod
    def _data(process: Popen[bytes], about: Header, limit: int) -> bytes | None:
        """Read the bytes that follow; None if git ended before all of them arrived."""
        assert process.stdout is not None
        data = process.stdout.read(min(about.size, limit + 1))
        left = about.size + 1 - len(data)  # a newline follows
        while left > 0:
            more = process.stdout.read(min(left, 1 << 20))
            if not more:
                return None
            left -= len(more)
        return data

    def _ended(self, name: bytes) -> FormatError:
        self.close()
        shown = name.decode(errors="replace")
        what = f"'git cat-file' ended before it returned {shown}; 'git fsck' shows what is damaged"
        return FormatError("git-failed", what)
