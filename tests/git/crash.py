"""Runs one of the programs, and lets the n-th change it makes to a file go wrong: killed just before it, or failing.

usage: python -m tests.git.crash [--deep] [--error NAME] COUNT PROGRAM [ARGUMENT...]

COUNT 0: never; the changes are listed. ``--deep`` also counts writes, fsyncs, new dates, and every BEGIN and
COMMIT of the database. With ``--error ENOSPC`` the change fails with that error instead of killing the process
(the database's own cannot be made to fail here: they are passed over).
"""

from __future__ import annotations

import errno
import os
import signal
import sqlite3
import stat
import sys
from collections.abc import Callable
from typing import Any

CHANGES = {"os.rename", "os.link", "os.remove", "os.mkdir", "os.rmdir", "os.truncate"}
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
UNDOABLE = {"sqlite"}
"""Changes that can only be killed before."""


class Watch:
    """Counts the changes of this process, and lets one of them go wrong."""

    def __init__(self, limit: int, error: int | None) -> None:
        self.limit, self.error = limit, error
        self.seen = 0

    def change(self, event: str, shown: object) -> None:
        if self.error is not None and event in UNDOABLE:
            return
        self.seen += 1
        if self.limit == 0:
            os.write(2, f"change {self.seen}: {event} {shown}\n".encode(errors="replace"))
        elif self.seen == self.limit:
            if self.error is None:
                os.kill(os.getpid(), signal.SIGKILL)
            os.write(2, f"failing {event} {shown}\n".encode(errors="replace"))
            raise OSError(self.error, os.strerror(self.error))

    def audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            flags = arguments[2]
            if not (isinstance(flags, int) and flags & WRITES) or str(arguments[0]).startswith("/dev/"):
                return
            if isinstance(arguments[0], int):  # a pipe to a child; a file was counted when it got its descriptor
                return
        elif event not in CHANGES:
            return
        self.change(event, arguments[:2])

    # -------------------------------------------------------------------------------- what no audit event tells

    def renaming(self, real: Callable[..., int]) -> Callable[..., int]:
        """renameat2, called past Python; an error that makes the change is the number that it gives."""

        def renamed(folder: Any, old: Any, new_folder: Any, new: Any, flags: int) -> int:
            try:
                self.change("os.rename", (old, new))
            except OSError as error:
                return error.errno or errno.EIO
            return real(folder, old, new_folder, new, flags)

        return renamed

    def deepen(self) -> None:
        os.fsync = self._before("fsync", os.fsync)
        real = os.write

        def write(fd: int, data: Any) -> int:
            if fd > 2 and stat.S_ISREG(os.fstat(fd).st_mode):
                self.change("write", fd)
            return real(fd, data)

        os.write = write
        sqlite3.connect = self._connecting(sqlite3.connect)
        sys.addaudithook(self._deep_audit)

    def _before(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def changed(*given: Any, **named: Any) -> Any:
            self.change(name, given[:1])
            return real(*given, **named)

        return changed

    def _connecting(self, real: Callable[..., sqlite3.Connection]) -> Callable[..., sqlite3.Connection]:
        def connect(*given: Any, **named: Any) -> sqlite3.Connection:
            connection = real(*given, **named)
            connection.set_trace_callback(self._statement)
            return connection

        return connect

    def _deep_audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "os.utime":
            self.change(event, arguments[:1])

    def _statement(self, text: str) -> None:
        if text.startswith(("BEGIN", "COMMIT")):
            self.change("sqlite", text)


def main() -> None:
    arguments = sys.argv[1:]
    deep, error = False, None
    while arguments[0].startswith("--"):
        option = arguments.pop(0)
        if option == "--deep":
            deep = True
        else:
            error = getattr(errno, arguments.pop(0))
    watch = Watch(int(arguments[0]), error)
    program, sys.argv[1:] = arguments[1], arguments[2:]
    sys.argv[0] = os.path.join(os.path.dirname(sys.executable), program)
    if program == "regenstore":
        from regenstore.cli.main import main as run
    else:
        from regenstore.cli.filter_entry import main as run
    from regenstore.fs import swap
    from regenstore.worktree import fill

    fill.FROM = 1  # also the few files of a test: those that are placed by renaming are left to get, set and new
    swap._renameat2 = watch.renaming(swap._renameat2)
    sys.addaudithook(watch.audit)
    if deep:
        watch.deepen()
    run()


if __name__ == "__main__":
    main()
