"""Runs one of the programs, and kills it just before the n-th change it makes to a file.

usage: python -m tests.git.crash COUNT PROGRAM [ARGUMENT...]     (COUNT 0: never; the changes are listed)
"""

from __future__ import annotations

import os
import signal
import sys

CHANGES = {"os.rename", "os.link", "os.remove", "os.mkdir", "os.rmdir", "os.truncate"}
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC


def main() -> None:
    limit, program, sys.argv[1:] = int(sys.argv[1]), sys.argv[2], sys.argv[3:]
    sys.argv[0] = os.path.join(os.path.dirname(sys.executable), program)
    if program == "regenstore":
        from regenstore.cli.main import main as run
    else:
        from regenstore.cli.filter_entry import main as run
    seen = 0

    def watch(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal seen
        if event == "open":
            flags = arguments[2]
            if not (isinstance(flags, int) and flags & WRITES) or str(arguments[0]).startswith("/dev/"):
                return
        elif event not in CHANGES:
            return
        seen += 1
        if limit == 0:
            os.write(2, f"change {seen}: {event} {arguments[:2]}\n".encode())
        elif seen == limit:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(watch)
    run()


if __name__ == "__main__":
    main()
