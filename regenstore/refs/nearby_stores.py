"""The stores of other repositories on this machine that have to do with this one."""

from __future__ import annotations

import os
import urllib.parse
from collections.abc import Iterable, Iterator

from regenstore.errors import RegenstoreError
from regenstore.objects.content_store import TREES
from regenstore.refs.git import Git, elsewhere
from regenstore.refs.registration import own_store


def nearby_stores(git: Git, repositories: Iterable[str] = ()) -> Iterator[str]:
    """Yield the stores of the repositories that Git's remotes and alternates lead to, and of some others, given by
    their Git folders."""
    top = os.fsdecode(git.cwd)
    folders = list(repositories)
    for place in git.config(r"^remote\..*\.url$").values():
        path = urllib.parse.unquote(place[7:], errors="surrogateescape") if place.startswith("file://") else place
        if "://" not in path:
            folders += [os.path.join(top, path, tail) for tail in (".git", "", "../.git")]
    folders += [os.path.dirname(line.rstrip("/")) for line in _lines(git.git_path("objects/info/alternates"))]
    roots = (root for folder in dict.fromkeys(map(os.path.normpath, folders)) for root in _of(folder))
    for root in dict.fromkeys(roots):
        if any(os.path.isdir(f"{root}/{tree}") for tree in TREES):
            yield root


def _of(folder: str) -> Iterator[str]:
    """The store in a Git folder, and the one that its configuration names."""
    if not os.path.isfile(f"{folder}/config"):
        return
    yield own_store(folder)
    try:
        named = elsewhere(folder, folder).config(r"^regenstore\.store$", "local").get("regenstore.store")
    except RegenstoreError:
        return
    if named:
        yield os.path.abspath(os.path.join(os.path.dirname(folder), os.path.expanduser(named)))


def _lines(path: str) -> list[str]:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return [line.strip() for line in file if line.strip()]
    except OSError:
        return []
