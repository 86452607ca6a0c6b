"""The interface to Git: every git process is started, and all its output parsed, in this package.

The calls are named after Git's commands and return values. Blobs have one reader, :class:`BlobReader`.
"""

from __future__ import annotations

from collections.abc import Sequence

from regenstore.refs.git.answers import LINK, SUBMODULE, Header, IndexEntry, TreeChange, TreeEntry
from regenstore.refs.git.blobs import WORTH_IT, BlobReader
from regenstore.refs.git.history import History, ListedBlobs, PathChange
from regenstore.refs.git.ids import blob_id, file_blob_id
from regenstore.refs.git.listing import Places
from regenstore.refs.git.process import REPOSITORY_VARIABLES
from regenstore.refs.git.rewriting import BACKUP, Rewriter, Rewritten

__all__ = (
    "BACKUP",
    "LINK",
    "REPOSITORY_VARIABLES",
    "SUBMODULE",
    "WORTH_IT",
    "BlobReader",
    "Git",
    "Header",
    "IndexEntry",
    "ListedBlobs",
    "PathChange",
    "Places",
    "Rewriter",
    "Rewritten",
    "TreeChange",
    "TreeEntry",
    "blob_id",
    "blob_source",
    "elsewhere",
    "file_blob_id",
)  # fmt: skip


class Git(History):
    """Git in one folder, with this process's environment. Unless a call says otherwise, it raises FormatError
    (``git-failed``) with git's message if git fails, and NotFound (``git-missing``, ``git-too-old``)."""


def blob_source(git: Git) -> tuple[bool, str]:
    """Return whether libgit2 reads blobs of this repository when there are many, and its version or the reason."""
    from regenstore.refs.git.cat_file import CatFile
    from regenstore.refs.git.linked import Linked, open_linked, version

    opened = open_linked(git, CatFile(git))
    return (True, version()) if isinstance(opened, Linked) else (False, opened)


def elsewhere(folder: str, git_dir: str | None = None, *, forget: Sequence[str] = REPOSITORY_VARIABLES) -> Git:
    """Return Git for the repository with a given Git folder, else for the one found at ``folder``, ignoring any other
    repository set in the environment."""
    return Git(folder, git_dir=git_dir, forget=forget)
