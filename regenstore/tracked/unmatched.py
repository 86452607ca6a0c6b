"""Files that the patterns of ``track`` do not match, although the user may have meant them."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass

from regenstore.fs import presence
from regenstore.refs.blobs import read_blobs
from regenstore.refs.git import blob_id
from regenstore.tracked.workbench import Workbench

LARGE = 1 << 20
_HEAD = 8000
"""Git looks at as many bytes to tell whether a file is binary."""


@dataclass(frozen=True)
class Unmatched:
    """Files of one suffix to which no pattern applies."""

    pattern: str
    """The pattern that would match them."""
    paths: tuple[bytes, ...]
    bytes: int
    variant: bool
    """Whether a pattern matches the same suffix in other letters."""


def unmatched(bench: Workbench, patterns: Iterable[str]) -> list[Unmatched]:
    """Files that differ from a pattern's suffix in upper and lower case alone, and large binary files that Git does not
    have yet, by suffix."""
    suffixes = {pattern[1:].lower() for pattern in patterns if pattern.startswith("*.")}
    untracked = bench.git.ls_untracked(":/")
    new = set(untracked)
    groups: dict[str, list[tuple[bytes, int]]] = {}
    for path, _, value in bench.git.check_attr([*bench.index.oids(), *untracked], ("filter",)):
        suffix = os.path.splitext(os.fsdecode(path))[1]
        variant = suffix.lower() in suffixes
        if value != "unspecified" or not suffix or not (variant or path in new):
            continue
        whole = os.path.join(bench.location.top, path)
        found = presence.found(whole) if presence.is_file(whole) else None
        if found is not None and (variant or (found.st_size >= LARGE and _binary(whole))):
            groups.setdefault(suffix, []).append((path, found.st_size))
    return [
        Unmatched(f"*{suffix}", tuple(p for p, _ in found), sum(n for _, n in found), suffix.lower() in suffixes)
        for suffix, found in groups.items()
    ]


def raw(bench: Workbench) -> list[bytes]:
    """The paths at which Git's index holds a medium itself, though a pattern matches."""
    tracked = bench.tracked()
    plain = read_blobs(bench.git, bench.cache, tracked.values(), remember=False).plain
    return [path for path, oid in tracked.items() if oid in plain and oid != blob_id(b"", len(oid))]


def _binary(path: bytes) -> bool:
    return b"\0" in (presence.read(path, _HEAD) or b"")
