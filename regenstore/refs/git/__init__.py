"""The door to Git: every process of git starts here, and what it prints is taken apart here. Who asks gets values.

Git is asked by its own commands, whose names the calls have. Blobs have one reader, :class:`BlobReader`.
"""

from __future__ import annotations

from collections.abc import Sequence

from regenstore.refs.git.answers import LINK, SUBMODULE, Header, IndexEntry, TreeChange, TreeEntry
from regenstore.refs.git.blobs import WORTH_IT, BlobReader
from regenstore.refs.git.history import History, ListedBlobs
from regenstore.refs.git.ids import blob_id, file_blob_id
from regenstore.refs.git.listing import Places
from regenstore.refs.git.process import REPOSITORY_VARIABLES

__all__ = (
    "LINK",
    "REPOSITORY_VARIABLES",
    "SUBMODULE",
    "WORTH_IT",
    "BlobReader",
    "Git",
    "Header",
    "IndexEntry",
    "ListedBlobs",
    "Places",
    "TreeChange",
    "TreeEntry",
    "blob_id",
    "blob_source",
    "elsewhere",
    "file_blob_id",
)  # fmt: skip


class Git(History):
    """Git in one folder, with the environment that this process has. What every call raises where git does not do it:
    FormatError (``git-failed``) with git's message, unless it says otherwise; NotFound (``git-missing``,
    ``git-too-old``)."""


def blob_source(git: Git) -> tuple[bool, str]:
    """Whether libgit2 reads blobs of a repository where there are many of them, and what it is or why not."""
    from regenstore.refs.git.cat_file import CatFile
    from regenstore.refs.git.linked import Linked, open_linked, version

    opened = open_linked(git, CatFile(git))
    return (True, version()) if isinstance(opened, Linked) else (False, opened)


def elsewhere(folder: str, git_dir: str | None = None, *, forget: Sequence[str] = REPOSITORY_VARIABLES) -> Git:
    """Git for the repository of a Git folder, else for the one that it finds, whatever the environment says
    of another one."""
    return Git(folder, git_dir=git_dir, forget=forget)
