"""Which git command asks a filter: the protocol does not say, but some of them promise more than others.

Read from the parent process, on Linux; None where that cannot be known, and callers then take the careful
way.
"""

from __future__ import annotations

import os
from itertools import takewhile

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_SHELLS = 4
"""Git starts filters through a shell, and its configuration names another, which may start one more."""
_ADDS = (b"add", b"stage")
_KEEPS = (*_ADDS, b"commit")
_TAKE_VALUE = {b"-c", b"-C", b"--git-dir", b"--work-tree", b"--namespace", b"--super-prefix", b"--config-env"}


def keeps_worktree() -> bool:
    """Whether the git command that started this process is known to leave the worktree's files alone while it runs."""
    return subcommand(_asker()) in _KEEPS


def renormalizes() -> bool:
    """Whether it is ``git add --renormalize``: the user asks for what Git holds to be converted."""
    return asks_to_renormalize(_asker())


def asks_to_renormalize(arguments: Sequence[bytes]) -> bool:
    """Whether a command line is ``git add --renormalize``, also where Git's own abbreviations are used."""
    if subcommand(arguments) not in _ADDS:
        return False
    options = list(takewhile(lambda argument: argument != b"--", arguments))
    # --re alone could be --refresh too; the last one given counts.
    said = [each for each in options if each.startswith((b"--ren", b"--no-ren"))]
    return bool(said) and b"--renormalize".startswith(said[-1])


def _asker() -> list[bytes]:
    """The command line of the git command that started this process; nothing where it cannot be seen."""
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
