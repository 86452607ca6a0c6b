"""Which git command asks a filter: the protocol does not say, but some of them promise more than others.

Read from the parent process, on Linux; None where that cannot be known, and callers then take the careful
way.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_ONLY_READ = (b"add", b"stage")
_TAKE_VALUE = {b"-c", b"-C", b"--git-dir", b"--work-tree", b"--namespace", b"--super-prefix", b"--config-env"}


def only_reads_worktree() -> bool:
    """Whether the git command that started this process leaves the worktree's files alone while it runs."""
    try:
        with open(f"/proc/{os.getppid()}/cmdline", "rb") as file:
            arguments = file.read().split(b"\0")[:-1]
    except OSError:
        return False
    return subcommand(arguments) in _ONLY_READ


def subcommand(arguments: Sequence[bytes]) -> bytes | None:
    """``add`` for ``git -C folder add .``; None for anything that is not plainly git. An alias gives its
    own name: git runs what it stands for in a process of its own, or as itself."""
    if not arguments or os.path.basename(arguments[0]) != b"git":
        return None
    rest = iter(arguments[1:])
    for argument in rest:
        if argument in _TAKE_VALUE:
            next(rest, None)
        elif not argument.startswith(b"-"):
            return argument
    return None
