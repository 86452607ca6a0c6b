"""Where blobs of Git were last: the path, and the newest commit that holds them. One walk for any number."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from regenstore.refs.git import Git

_FEW = 500
"""From so many blobs on, Git lists all changes and they are sought here: a command line has its limits."""
_FROM = re.compile(rb"([0-9a-f]{40,64}) \(from ([0-9a-f]{40,64})\) ")


@dataclass(frozen=True)
class Place:
    """Where a blob was last."""

    path: bytes
    commit: str
    """In words: short name and date."""


def last_seen(git: Git, oids: Collection[bytes]) -> dict[bytes, Place]:
    """Path and commit for each blob that any commit holds, whether a ref or only a reflog leads there. A commit
    that a blob came with stands for all later ones that still have it."""
    wanted = {oid.hex().encode(): oid for oid in oids}
    if not wanted:
        return {}
    few = [f"--find-object={name.decode()}" for name in wanted] if len(wanted) <= _FEW else []
    answer = git.run(
        "--no-replace-objects", "log", "--all", "--reflog", "-m", "--raw", "--no-abbrev",
        "--no-renames", "-z", "--pretty=oneline", "--no-abbrev-commit", "--no-color", *few, check=False,
    )  # fmt: skip
    found: dict[bytes, tuple[bytes, str]] = {}
    commit = before = b""
    fields = iter(answer.stdout.split(b"\0"))
    for field in fields:
        if not field.startswith(b":"):
            commit = field.split(b" ", 1)[0]
            merged = _FROM.match(field)
            before = merged[2] if merged else commit + b"^"
            continue
        path = next(fields, b"")
        _, _, old, new, _ = field.split(b" ")
        # Newest first: where a blob goes away, the commit before still had it.
        for name, holder in ((new, commit), (old, before)):
            if name in wanted:
                found.setdefault(name, (path, holder.decode()))
    words = _in_words(git, {holder for _, holder in found.values()})
    return {wanted[name]: Place(path, words.get(holder, holder)) for name, (path, holder) in found.items()}


def _in_words(git: Git, commits: Iterable[str]) -> dict[str, str]:
    asked = list(commits)
    stdin = "".join(f"{commit}\n" for commit in asked).encode()
    names = git.output("cat-file", "--batch-check=%(objectname)", stdin=stdin).splitlines()
    here = b"\n".join([*dict.fromkeys(name for name in names if b" " not in name), b""])
    told = git.output("log", "--no-walk=unsorted", "--format=%H commit %h of %cs", "--stdin", stdin=here)
    said = dict(line.split(" ", 1) for line in os.fsdecode(told).splitlines()) if here.strip() else {}
    return {commit: said.get(os.fsdecode(name), commit) for commit, name in zip(asked, names, strict=True)}
