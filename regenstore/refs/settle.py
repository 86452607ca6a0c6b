"""Forgetting pending recipes that are committed: from then on the commit is the root, and what supersedes it
supersedes them."""

from __future__ import annotations

from regenstore.refs.blobs import read_texts
from regenstore.refs.git import Git
from regenstore.refs.pending import Pending
from regenstore.refs.root_files import RootFiles


def settle(git: Git, files: RootFiles) -> int:
    """Clear what the HEAD of its worktree records at its path, word for word; gives how many. Raises StorageError
    for a pending recipe that cannot be read, FormatError (``git-failed``)."""
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
            # Read once more: another program may have set it anew.
            if texts.get(oid) == known[path] == pending.get(path):
                pending.clear(path)
                settled += 1
    return settled
