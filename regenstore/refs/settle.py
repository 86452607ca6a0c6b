"""Discards pending recipes once they are committed: from then on the commit is their root, and is superseded like any
other."""

from __future__ import annotations

from regenstore.refs.blobs import read_texts
from regenstore.refs.git import Git
from regenstore.refs.pending import Pending
from regenstore.refs.root_files import RootFiles


def settle(git: Git, files: RootFiles) -> int:
    """Discard each pending recipe that the HEAD of its worktree has at its path, byte for byte; returns how many.
    Raises StorageError for a pending recipe that cannot be read, FormatError (``git-failed``)."""
    settled = 0
    for prefix, folder in files.worktrees():
        pending = Pending(folder)
        known = pending.paths()
        if not known:
            continue
        head = f"{prefix or 'main-worktree/'}HEAD"
        oids = {entry.path: entry.oid for entry in git.ls_tree(head, check=False) if entry.path in known}
        texts = dict(read_texts(git, list(dict.fromkeys(oids.values()))))
        for path, oid in oids.items():
            # Read it again: another process may have replaced it.
            if texts.get(oid) == known[path] == pending.get(path):
                pending.clear(path)
                settled += 1
    return settled
