"""Start ``regenstore gc --auto`` in the background. The Git filter imports this, so it must stay lightweight."""

from __future__ import annotations

import os

from regenstore.fs import interpreter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from regenstore.repository import Repository

_OF_ONE_COMMAND = ("GIT_INDEX_FILE", "GIT_PREFIX", "LD_LIBRARY_PATH")
"""Variables that belong to a single git command, and one that the filter keeps for programs other than Python."""


def end(repository: Repository) -> None:
    """Close a repository at the end of a command. If the command added to the store, and the store has a size limit,
    start gc in the background."""
    repository.close()
    if repository.bytes_added and repository.settings.max_size is not None:
        _start()


def _start() -> None:
    command = interpreter.command("regenstore.cli.main", "gc", "--auto")
    environment = {name: value for name, value in os.environ.items() if name not in _OF_ONE_COMMAND}
    try:
        # Nothing is inherited: git waits until its pipes are closed.
        actions: list[tuple[object, ...]] = [(os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDWR, 0)]
        actions += [(os.POSIX_SPAWN_DUP2, 0, fd) for fd in (1, 2)]
        os.posix_spawn(command[0], command, environment, file_actions=actions, setsid=True)
    except (OSError, AttributeError, NotImplementedError):
        return  # no process, or no posix_spawn: the next command tries again, and 'regenstore gc' remains
