"""Check of permissions in a shared store: files and folders that others cannot use, created by an earlier version,
by hand or by copying. Finding them changes nothing."""

from __future__ import annotations

import os
import shlex
import stat
from collections.abc import Iterator
from dataclasses import dataclass

from regenstore.doctor.check import NOTE, OK, PROBLEM, CheckContext, Findings
from regenstore.fs import presence, sharing

_SHOWN = 3
_WALK = 200_000
"""Number of entries to examine: a store with wrong permissions shows it early."""


@dataclass(frozen=True)
class Wrong:
    """A file or folder that only its owner can use."""

    path: str
    owner: int
    mode: int

    @property
    def is_mine(self) -> bool:
        """Whether this user may change it."""
        return os.geteuid() in (self.owner, 0)


def find(root: str) -> list[Wrong]:
    """Entries whose permissions differ from what their shared folder implies. Raises OSError."""
    found = []
    for path, folder, there in _entries(root):
        rights = sharing.shared_rights(folder)
        if not rights or stat.S_ISLNK(there.st_mode):
            continue
        mode = stat.S_IMODE(there.st_mode)
        wanted = rights
        if not stat.S_ISDIR(there.st_mode):
            wanted &= 0o666 if mode & stat.S_IWUSR else sharing.READ_ONLY
        if wanted & ~mode or there.st_gid != folder.st_gid:
            found.append(Wrong(path, there.st_uid, mode))
    return found


def mend(wrong: list[Wrong]) -> int:
    """Give one's own entries the permissions of their folder; returns how many were changed."""
    done = 0
    for each in wrong:
        if each.is_mine:
            sharing.fit(each.path, os.path.dirname(each.path))
            done += 1
    return done


def rights(context: CheckContext) -> Findings:
    """Whether everyone who may use the store can use everything in it."""
    root = context.store.root
    if not presence.is_folder(root):
        return
    there = os.stat(root)
    told = context.git.config_value("core.sharedRepository") or ""
    wants = told.lower() not in ("", "umask", "false", "0", "no", "off")
    quoted = shlex.quote(root)
    open_up = f"chmod -R g+rwX {quoted} && find {quoted} -type d -exec chmod g+s {{}} +"
    if not sharing.shared_rights(there):
        strangers = {found.st_uid for _, _, found in _entries(root)} - {there.st_uid, 0}
        if wants or strangers:
            why = f"core.sharedRepository is {told}" if wants else "it contains files of several users"
            remedy = f"Its owner ({_name(there.st_uid)}) runs, after 'chgrp -R GROUP {quoted}': {open_up}"
            yield PROBLEM, f"the store {root} can be used only by its owner, but {why}", remedy
        return
    wrong = find(root)
    mine = [each for each in wrong if each.owner == os.geteuid()]
    if mine:
        message = f"{_some(mine)} cannot be used by others who share the store"
        yield PROBLEM, message, "Run 'regenstore doctor --fix': they are yours."
    for owner in sorted({each.owner for each in wrong} - {os.geteuid()}):
        theirs = [each for each in wrong if each.owner == owner]
        remedy = f"{_name(owner)} runs 'regenstore doctor --fix' there, or: {open_up}"
        yield PROBLEM, f"{_some(theirs)} of {_name(owner)} cannot be used by others who share the store", remedy
    if not wrong:
        yield OK, f"the store is shared by the group {_group(there.st_gid)}, which can use all of it", ""
    if not os.access(root, os.W_OK | os.X_OK):
        yield NOTE, "you may only read the store: commands that need to write to it are refused", ""


def _entries(root: str) -> Iterator[tuple[str, os.stat_result, os.stat_result]]:
    """Path, parent folder and entry for everything below, as far as it can be read."""
    left = _WALK
    for base, folders, names in os.walk(root):
        try:
            folder = os.stat(base)
        except FileNotFoundError:
            continue
        for name in (*folders, *names):
            left -= 1
            if not left:
                return
            try:
                yield f"{base}/{name}", folder, os.lstat(f"{base}/{name}")
            except OSError:
                continue  # just removed, or unreadable


def _some(wrong: list[Wrong]) -> str:
    shown = ", ".join(f"{each.path} ({each.mode:04o})" for each in wrong[:_SHOWN])
    return shown if len(wrong) <= _SHOWN else f"{shown} and {len(wrong) - _SHOWN} more"


def _name(owner: int) -> str:
    import pwd

    try:
        return pwd.getpwuid(owner).pw_name
    except KeyError:
        return f"user {owner}"


def _group(group: int) -> str:
    import grp

    try:
        return grp.getgrgid(group).gr_name
    except KeyError:
        return str(group)
