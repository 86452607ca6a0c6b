"""regenstore's values in Git's configuration, and how they are written.

The values name the interpreter by its absolute path, so that they work for a virtual environment and in GUI clients,
which have a different PATH.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from regenstore.errors import Conflict
from regenstore.fs import durable, presence
from regenstore.gitfilter.launch import EARLIER_SCRIPT_NAME, Starter
from regenstore.refs.git import Git

ATTRIBUTES = "filter=regenstore diff=regenstore merge=regenstore -text"
_XFUNCNAME = r"^(\[.*\])$"
_OURS = "regenstore"
_NAMES = r"^(filter|merge|diff)\.regenstore\."
_SHOWN = 90


def git_values(start: Starter) -> dict[str, str]:
    """Configuration names and values.

    There is no textconv and no external diff: either would make media for every old version that ``git log -p``
    shows.
    """
    return {
        "filter.regenstore.process": start.process(),
        "filter.regenstore.clean": start.single("clean -- %f"),
        "filter.regenstore.smudge": start.single("smudge -- %f"),
        "filter.regenstore.required": "true",
        "merge.regenstore.name": "recipes, field by field",
        "merge.regenstore.driver": start.single("merge-driver %O %A %B %L %P"),
        "diff.regenstore.binary": "false",
        "diff.regenstore.xfuncname": _XFUNCNAME,
    }


@dataclass(frozen=True)
class ConfigChange:
    """One configuration value to write. ``before`` is None if it was not set; ``after`` is None if it is removed."""

    name: str
    before: str | None
    after: str | None

    def __str__(self) -> str:
        value = self.after or ""
        return f"{self.name} = {value if len(value) <= _SHOWN else f'{value[:_SHOWN]}...'}"


def plan_install(git: Git, scope: str, start: Starter, *, force: bool = False) -> list[ConfigChange]:
    """The changes that installing would make. Raises Conflict (``foreign-config``) if a name already has a value that
    regenstore did not write, unless forced."""
    changes = []
    present = git.config(_NAMES, scope)
    for name, value in git_values(start).items():
        before = present.get(name)
        if before == value:
            continue
        if before is not None and not force and not _ours(name, before):
            raise Conflict(
                "foreign-config",
                f"{name} in the {scope} configuration is {before[:_SHOWN]!r}, which regenstore did not write",
            )
        changes.append(ConfigChange(name, before, value))
    return changes


def plan_uninstall(git: Git, scope: str) -> list[ConfigChange]:
    """The values that uninstalling would remove from a scope."""
    present = git.config(_NAMES, scope)
    names = (*git_values(Starter("")), EARLIER_SCRIPT_NAME)
    return [ConfigChange(name, present[name], None) for name in names if name in present]


def apply(git: Git, scope: str, changes: list[ConfigChange]) -> None:
    """Write the changes. Raises FormatError with git's message if git refuses."""
    for change in changes:
        if change.after is None:
            git.unset_config(change.name, scope)
        else:
            git.set_config(change.name, change.after, scope)


HOOKS = ("pre-commit", "pre-push")


def hook_script(name: str) -> bytes:
    """The script of a hook; the source tree has the same text in ``hooks/``."""
    return (
        "#!/bin/sh\n"
        "# Optional: nothing breaks without it. Copy it to .git/hooks/, or call it from your own hook.\n"
        "unset PYTHONHOME PYTHONPATH PYTHONSTARTUP LD_LIBRARY_PATH "
        "# other programs set them for their own Python\n"
        "command -v regenstore >/dev/null || exit 0\n"
        f'exec regenstore hook {name} "$@"\n'
    ).encode()


def install_hooks(folder: str) -> list[tuple[str, bool]]:
    """Write both hooks into a folder; returns their paths, and whether each is ours now. A hook that regenstore did
    not write is kept. Raises StorageError."""
    found = []
    for name in HOOKS:
        path = os.path.join(folder, name)
        there = presence.read(path)
        if there is None:
            with durable.storage_errors(path):
                os.makedirs(folder, exist_ok=True)
                durable.write_file(path, hook_script(name))
                os.chmod(path, 0o755)  # noqa: S103 - Git runs only what is executable
        found.append((path, there is None or f"regenstore hook {name}".encode() in there))
    return found


def _ours(name: str, value: str) -> bool:
    return not name.endswith((".process", ".clean", ".smudge", ".driver")) or _OURS in value


def clone_options(settings: Mapping[str, str]) -> list[str]:
    """The ``-c`` options with which ``git clone`` configures the new repository before the checkout."""
    options = []
    for name, value in settings.items():
        options += ["-c", f"{name}={value}"]
    return options
