"""Disk usage of the store: totals, and breakdowns."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from regenstore.fs import presence
from regenstore.gc.plan import is_unreachable, main_referrer
from regenstore.gc.trash import Copy
from regenstore.objects.content_store import CACHE, TRASH, VAULT, ContentStore
from regenstore.objects.ids import Digest
from regenstore.proof.survey import JudgedContent, Survey

BY = ("state", "type", "generator", "proof", "branch")
EVICTABLE, UNREACHABLE, NEEDED = "evictable", "unreachable", "kept"
_NO_BRANCH = "(no branch)"


@dataclass(frozen=True)
class Share:
    """Part of the store: number of contents, and their bytes."""

    contents: int = 0
    bytes: int = 0

    def with_one(self, size: int) -> Share:
        return Share(self.contents + 1, self.bytes + size)


@dataclass
class StoreUsage:
    """The breakdown of the store's bytes. ``total`` counts every file below the store's folder."""

    total: int = 0
    contents: Share = field(default_factory=Share)
    """In the trees; ``trash`` is counted separately."""
    trash: Share = field(default_factory=Share)
    states: dict[str, Share] = field(default_factory=dict)
    rows: dict[str, Share] = field(default_factory=dict)
    """The requested breakdown, largest first. By branch, a content counts for each branch that has it."""

    @property
    def other(self) -> int:
        """Bytes of files other than contents: the database, manifests, corrections, unfinished files."""
        return self.total - self.contents.bytes - self.trash.bytes

    def fields(self) -> dict[str, object]:
        """Return the machine-readable form."""

        def share(given: Share) -> dict[str, int]:
            return {"contents": given.contents, "bytes": given.bytes}

        return {
            "total_bytes": self.total,
            "contents": share(self.contents),
            "trash": share(self.trash),
            "other_bytes": self.other,
            "states": {name: share(given) for name, given in self.states.items()},
            "rows": {name: share(given) for name, given in self.rows.items()},
        }


def measure(
    store: ContentStore,
    survey: Survey,
    copies: Iterable[Copy],
    by: str,
    branches: Callable[[], Mapping[Digest, Sequence[str]]],
) -> StoreUsage:
    """Compute the usage. ``branches`` returns the refs that reach each content; called only if ``by`` is branch."""
    found = StoreUsage(file_bytes(store.root), states={name: Share() for name in (NEEDED, EVICTABLE, UNREACHABLE)})
    groups = _groups(survey, by, branches)
    for copy in copies:
        if copy.run is not None:
            found.trash = found.trash.with_one(copy.size)
            continue
        found.contents = found.contents.with_one(copy.size)
        entry = survey.entries.get(copy.digest)
        if entry is None:
            continue
        state = state_of(survey, entry)
        found.states[state] = found.states[state].with_one(copy.size)
        for name in groups(entry):
            found.rows[name] = found.rows.get(name, Share()).with_one(copy.size)
    found.rows = dict(sorted(found.rows.items(), key=lambda row: (-row[1].bytes, row[0])))
    return found


def state_of(survey: Survey, entry: JudgedContent) -> str:
    """Return evictable, unreachable or kept."""
    if entry.evictable:
        return EVICTABLE
    return UNREACHABLE if is_unreachable(survey, entry) else NEEDED


def file_bytes(root: str) -> int:
    """Return the total size of all files below a folder, each inode once, like 'du --apparent-size'."""
    inodes: set[tuple[int, int]] = set()
    total = 0
    for folder, _, names in presence.walk(root):
        for name in names:
            try:
                state = os.lstat(f"{folder}/{name}")
            except FileNotFoundError:
                continue
            if (state.st_dev, state.st_ino) not in inodes:
                inodes.add((state.st_dev, state.st_ino))
                total += state.st_size
    return total


def content_bytes(store: ContentStore) -> int:
    """Return the bytes of all contents, including the trash: quickly, to decide whether there is anything to do."""
    total = 0
    for top in (CACHE, VAULT, TRASH):
        for folder, _, names in presence.walk(f"{store.root}/{top}"):
            for name in names:
                try:
                    total += os.stat(f"{folder}/{name}").st_size
                except FileNotFoundError:
                    continue
    return total


def _groups(
    survey: Survey, by: str, branches: Callable[[], Mapping[Digest, Sequence[str]]]
) -> Callable[[JudgedContent], Sequence[str]]:
    if by == "branch":
        reached = branches()
        return lambda entry: reached.get(entry.stored.digest) or (_NO_BRANCH,)
    if by == "state":
        return lambda entry: (state_of(survey, entry),)
    if by == "proof":
        return lambda entry: (entry.finding.rule,)

    def of_referrer(entry: JudgedContent) -> Sequence[str]:
        first = main_referrer(entry)
        if first is None:
            return ("(unknown)",)
        if by == "type":
            return (first.media_type or "(unknown)",)
        return (first.generator or "(imported)",)

    return of_referrer
