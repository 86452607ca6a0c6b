"""Which git command asks a filter: the protocol does not say, but some of them promise more than others.

Read from the parent process, on Linux; None where that cannot be known, and callers then take the careful
way.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_SHELLS = 4
"""Git starts filters through a shell, and its configuration names another, which may start one more."""
_ONLY_READ = (b"add", b"stage")
_TAKE_VALUE = {b"-c", b"-C", b"--git-dir", b"--work-tree", b"--namespace", b"--super-prefix", b"--config-env"}


def only_reads_worktree() -> bool:
    """Whether the git command that started this process leaves the worktree's files alone while it runs."""
    try:
        arguments = _arguments(parent := os.getppid())
        for _ in range(_SHELLS):
            if arguments[1:2] != [b"-c"] or subcommand(arguments) is not None:
                break
            with open(f"/proc/{parent}/stat", "rb") as file:
                parent = int(file.read().rpartition(b")")[2].split()[1])
            arguments = _arguments(parent)
    except (OSError, ValueError, IndexError):
        return False
    return subcommand(arguments) in _ONLY_READ


def _arguments(process: int) -> list[bytes]:
    with open(f"/proc/{process}/cmdline", "rb") as file:
        return file.read().split(b"\0")[:-1]


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
