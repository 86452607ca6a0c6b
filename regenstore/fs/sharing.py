"""Permissions of new files and folders: a folder that its group may write passes that on to everything made in it.

A store, a repository (``core.sharedRepository``, which Git records in the modes of its folders) or a remote's folder
that several users share says so by its own mode: writable by its group, usually with the setgid bit, or by all. Anyone
who may write there could replace every file anyway. So everything made in such a folder gets the folder's permissions,
whatever the creator's umask; in any other folder the umask decides. Contents stay read-only.

No other code chooses modes within a store. Standard library only: the Git filter imports this.
"""

from __future__ import annotations

import os
import stat

_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_NO_EXECUTE = 0o666
READ_ONLY = 0o444


def create(path: str, flags: int) -> int:
    """Open a file as ``os.open`` does, creating it if need be; a new file gets the permissions of a shared folder."""
    fd = os.open(path, flags | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o666)
    try:
        fit(fd, os.path.dirname(path))
    except BaseException:
        os.close(fd)
        raise
    return fd


def fit(file: int | str, folder: str) -> None:
    """Give a file or folder that we made the permissions of its folder, if that is shared."""
    rights = shared_rights(os.stat(folder or "."))
    if not rights:
        return
    found = os.stat(file)
    if os.geteuid() not in (found.st_uid, 0):
        return  # only the owner may change it
    mode = stat.S_IMODE(found.st_mode)
    wanted = (mode & ~_OTHERS) | rights if stat.S_ISDIR(found.st_mode) else (mode & ~_OTHERS) | rights & _NO_EXECUTE
    if not mode & stat.S_IWUSR:
        wanted &= READ_ONLY
    wanted = _group(file, found, folder, wanted)
    if wanted != mode:
        os.chmod(file, wanted)


def _group(file: int | str, found: os.stat_result, folder: str, wanted: int) -> int:
    """Give the file the folder's group and return ``wanted``; where that fails, grant its present group nothing new."""
    group = os.stat(folder or ".").st_gid
    if found.st_gid == group:
        return wanted
    try:
        os.chown(file, -1, group)
    except OSError:
        return wanted & ~stat.S_IRWXG | stat.S_IMODE(found.st_mode) & stat.S_IRWXG
    return wanted


def shared_rights(folder: os.stat_result) -> int:
    """Return the permissions that a shared folder grants to group and others; 0 if it is not shared."""
    mode = folder.st_mode
    if mode & stat.S_ISVTX and not mode & stat.S_ISGID:
        return 0  # like /tmp: files there belong to their creator alone
    return mode & _OTHERS if mode & (stat.S_IWGRP | stat.S_IWOTH) else 0


def make_folder(path: str) -> bool:
    """Create a folder in an existing one; False if it existed already."""
    try:
        os.mkdir(path)
    except FileExistsError:
        return False
    fit(path, os.path.dirname(path))
    return True


def make_folders(path: str) -> None:
    """Create a folder and its missing parents."""
    if os.path.isdir(path):
        return
    parent = os.path.dirname(path)
    if parent and parent != path:
        make_folders(parent)
    if not make_folder(path) and not os.path.isdir(path):
        raise FileExistsError(f"{path} is not a folder")


def seal(path: str) -> None:
    """Make a finished file of ours read-only, for everyone who may use its folder."""
    os.chmod(path, READ_ONLY)
    fit(path, os.path.dirname(path))
