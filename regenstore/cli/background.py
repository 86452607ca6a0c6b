"""Starts ``regenstore gc --auto`` beside whatever comes next. The Git filter imports this: nothing heavy here."""

from __future__ import annotations

import os

from regenstore.fs import interpreter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from regenstore.repository import Repository

_OF_ONE_COMMAND = ("GIT_INDEX_FILE", "GIT_PREFIX", "LD_LIBRARY_PATH")
"""Of one git command alone; and what the filter leaves to programs that are not Python."""


def end(repository: Repository) -> None:
    """Close a repository at the end of a command; when the command put anything into the store, and there is a
    limit, let gc see to it. Never waits for it."""
    repository.close()
    if repository.bytes_added and repository.settings.max_size is not None:
        _start()


def _start() -> None:
    command = interpreter.command("regenstore.cli.main", "gc", "--auto")
    environment = {name: value for name, value in os.environ.items() if name not in _OF_ONE_COMMAND}
    try:
        # Nothing of ours is inherited: git waits until the ends of its pipes are closed.
        actions: list[tuple[object, ...]] = [(os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDWR, 0)]
        actions += [(os.POSIX_SPAWN_DUP2, 0, fd) for fd in (1, 2)]
        os.posix_spawn(command[0], command, environment, file_actions=actions, setsid=True)
    except (OSError, AttributeError, NotImplementedError):
        return  # no process, or a system without posix_spawn: the next command tries, and 'regenstore gc' is there
