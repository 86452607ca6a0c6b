"""Who may use what is made in a folder: where the folder lets its group write, so do the files and folders in it.

A store, a repository (``core.sharedRepository``, which Git writes into the modes of its folders) or a remote's folder
that several users share says so by its own mode: writable for its group, mostly with the setgid bit, or for all.
Whoever may write there could replace every file anyhow. So all that is made in such a folder gets the rights of the
folder, whatever the umask of who made it; in any other folder the umask decides. Contents stay read-only.

This is the one door: nothing else below a store chooses a mode. Standard library only: the Git filter imports this.
"""

from __future__ import annotations

import os
import stat

_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_NO_EXECUTE = 0o666
READ_ONLY = 0o444


def create(path: str, flags: int) -> int:
    """Open a file that may be new, as ``os.open`` does; a new one is as open to others as its folder."""
    fd = os.open(path, flags | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o666)
    try:
        fit(fd, os.path.dirname(path))
    except BaseException:
        os.close(fd)
        raise
    return fd


def fit(file: int | str, folder: str) -> None:
    """Give a file or folder of our own the rights of the folder that it is in, where that is shared."""
    rights = shared_rights(os.stat(folder or "."))
    if not rights:
        return
    found = os.stat(file)
    if os.geteuid() not in (found.st_uid, 0):
        return  # only its owner may
    mode = stat.S_IMODE(found.st_mode)
    wanted = (mode & ~_OTHERS) | rights if stat.S_ISDIR(found.st_mode) else (mode & ~_OTHERS) | rights & _NO_EXECUTE
    if not mode & stat.S_IWUSR:
        wanted &= READ_ONLY
    wanted = _group(file, found, folder, wanted)
    if wanted != mode:
        os.chmod(file, wanted)


def _group(file: int | str, found: os.stat_result, folder: str, wanted: int) -> int:
    """The mode once the file has the folder's group; without it, the group it has gets nothing."""
    group = os.stat(folder or ".").st_gid
    if found.st_gid == group:
        return wanted
    try:
        os.chown(file, -1, group)
    except OSError:
        return wanted & ~stat.S_IRWXG | stat.S_IMODE(found.st_mode) & stat.S_IRWXG
    return wanted


def shared_rights(folder: os.stat_result) -> int:
    """The rights of group and others in a folder that they share; 0 for one that is its owner's."""
    mode = folder.st_mode
    if mode & stat.S_ISVTX and not mode & stat.S_ISGID:
        return 0  # as /tmp: whoever makes something there keeps it
    return mode & _OTHERS if mode & (stat.S_IWGRP | stat.S_IWOTH) else 0


def make_folder(path: str) -> bool:
    """Make one folder in a folder that is there; False where it was there already."""
    try:
        os.mkdir(path)
    except FileExistsError:
        return False
    fit(path, os.path.dirname(path))
    return True


def make_folders(path: str) -> None:
    """Make a folder and those above it, where they are not there."""
    if os.path.isdir(path):
        return
    parent = os.path.dirname(path)
    if parent and parent != path:
        make_folders(parent)
    if not make_folder(path) and not os.path.isdir(path):
        raise FileExistsError(f"{path} is no folder")


def seal(path: str) -> None:
    """Make a finished file of our own read-only, for all who may use its folder."""
    os.chmod(path, READ_ONLY)
    fit(path, os.path.dirname(path))
