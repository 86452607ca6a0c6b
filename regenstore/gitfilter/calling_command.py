"""Find out which git command started the filter. The protocol does not say, but some commands guarantee more than
others.

The answer comes from the parent process's command line, on Linux. Where it cannot be determined, callers assume the
least.
"""

from __future__ import annotations

import os
from itertools import takewhile

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_SHELLS = 4
"""How many shells to look through: git starts filters through a shell, and the configured command may start more."""
_ADDS = (b"add", b"stage")
_KEEPS = (*_ADDS, b"commit")
_TAKE_VALUE = {b"-c", b"-C", b"--git-dir", b"--work-tree", b"--namespace", b"--super-prefix", b"--config-env"}


def keeps_worktree() -> bool:
    """Whether the git command that started this process is known not to change the worktree's files while it runs."""
    return subcommand(_asker()) in _KEEPS


def renormalizes() -> bool:
    """Whether that command is ``git add --renormalize``, with which the user asks to convert contents in Git."""
    return asks_to_renormalize(_asker())


def asks_to_renormalize(arguments: Sequence[bytes]) -> bool:
    """Whether a command line is ``git add --renormalize``, including the abbreviations that Git accepts."""
    if subcommand(arguments) not in _ADDS:
        return False
    options = list(takewhile(lambda argument: argument != b"--", arguments))
    # --re is ambiguous with --refresh; the last option given counts.
    said = [each for each in options if each.startswith((b"--ren", b"--no-ren"))]
    return bool(said) and b"--renormalize".startswith(said[-1])


def _asker() -> list[bytes]:
    """The command line of the git command that started this process; empty if it cannot be read."""
    try:
        arguments = _arguments(parent := os.getppid())
        for _ in range(_SHELLS):
            if arguments[1:2] != [b"-c"] or subcommand(arguments) is not None:
                break
            with open(f"/proc/{parent}/stat", "rb") as file:
                parent = int(file.read().rpartition(b")")[2].split()[1])
            arguments = _arguments(parent)
    except (OSError, ValueError, IndexError):
        return []
    return arguments


def _arguments(process: int) -> list[bytes]:
    with open(f"/proc/{process}/cmdline", "rb") as file:
        return file.read().split(b"\0")[:-1]


def subcommand(arguments: Sequence[bytes]) -> bytes | None:
    """The subcommand: ``add`` for ``git -C folder add .``; None unless the program is git. For an alias, this is the
    alias's name; git runs the command behind it in another process, or in the same one."""
    if not arguments or os.path.basename(arguments[0]) != b"git":
        return None
    rest = iter(arguments[1:])
    for argument in rest:
        if argument in _TAKE_VALUE:
            next(rest, None)
        elif not argument.startswith(b"-"):
            return argument
    return None
