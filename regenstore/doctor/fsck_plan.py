"""The plan of fsck: what is wrong with a store and what would be done about it, in a form to display. Nothing here
reads or changes anything."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field

from regenstore.doctor.database import Examined, RebuildPlan
from regenstore.doctor.leftovers import Leftovers
from regenstore.doctor.store_scan import Bad, Scan
from regenstore.fs.path_text import path_text
from regenstore.fs.swap import Identity
from regenstore.objects.ids import Digest
from regenstore.objects.recipe import Recipe
from regenstore.objects.result import BlobRecord
from regenstore.planning import RunPlan
from regenstore.quantities import counted

RENAME, COPY, FETCH, GENERATE = "rename", "copy", "fetch", "generate"
UNTRIED, BLOCKED, LOST = "untried", "blocked", "lost"
_HOW = {
    RENAME: "rename it to its correct name",
    COPY: "copy the bytes from",
    FETCH: "fetch it from a remote",
    GENERATE: "make it again",
    UNTRIED: "not tried",
    BLOCKED: "cannot be made now",
    LOST: "lost",
}
_SHOWN = 20


@dataclass(frozen=True)
class Invalid:
    """A blob that should be a recipe but is not, or one with false statements."""

    path: bytes
    kind: str
    message: str
    where: str = ""


@dataclass
class LostContent:
    """A content that is needed but not in the store. ``how`` says what can be done; ``where`` is the last place that
    records it."""

    digest: Digest
    size: int | None
    path: bytes = b""
    where: str = ""
    how: str = LOST
    reason: str = ""
    source: str = ""
    """For RENAME and COPY: the file that holds the bytes."""
    recipe: Recipe | None = None
    roots: tuple[str, ...] = ()
    """The names of the roots that need it, if no worktree has its path."""
    oid: bytes = b""
    """The blob that records it."""
    input_of: bool = False
    damaged: bool = False
    """Whether the store has wrong bytes under its name."""
    here: bool = False
    """Whether the index, HEAD or a pending recipe of this worktree needs it."""

    @property
    def label(self) -> str:
        return os.fsdecode(self.path) or self.digest.short

    def fields(self) -> dict[str, object]:
        return {
            "digest": str(self.digest),
            "size": self.size,
            "path": path_text(self.label),
            "last_seen": self.where,
            "roots": list(self.roots),
            "repair": self.how,
            "source": self.source,
            "reason": self.reason,
        }


@dataclass(frozen=True)
class WrongCopy:
    """A worktree file with the wrong bytes that the store had for the take of the path's recipe. ``oid`` is its blob in
    Git's index; None if the recipe is pending."""

    path: bytes
    oid: bytes | None
    take: Digest
    size: int
    identity: Identity


@dataclass
class Needs:
    """Contents that recipes need and the store lacks."""

    recipes: int = 0
    missing: dict[Digest, LostContent] = field(default_factory=dict)
    again: dict[Digest, BlobRecord] = field(default_factory=dict)
    """Contents that are not in the store but were proven here to come back."""
    trashed: int = 0
    """Number of contents in the trash, which are restored when they are needed."""
    invalid: list[Invalid] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    """Problems outside the store that kept some recipes from being examined."""
    notes: list[str] = field(default_factory=list)
    """What could not be examined here although nothing is wrong."""


@dataclass(frozen=True)
class Done:
    """A step that was done, or failed: then ``ok`` is False and something remains to be done."""

    what: str
    subject: str
    ok: bool
    message: str = ""

    def fields(self) -> dict[str, object]:
        return {"what": self.what, "subject": self.subject, "ok": self.ok, "message": self.message}

    def line(self) -> str:
        """For display."""
        return f"{self.what}: {self.subject}" + (f": {self.message}" if self.message else "")


@dataclass
class CheckPlan:
    """What was found, and what would be done. Immutable."""

    scan: Scan
    examined: Examined
    leftovers: Leftovers
    manifests: list[str] = field(default_factory=list)
    """Unreadable lines in gc's manifests; they stay as they are."""
    marker: Bad | None = None
    """The store's format marker, if it cannot be read."""
    rebuild: RebuildPlan | None = None
    needs: Needs = field(default_factory=Needs)
    generate: RunPlan = field(default_factory=RunPlan)
    copies: list[WrongCopy] = field(default_factory=list)
    """Worktree files with wrong bytes that the store had."""

    @property
    def missing(self) -> list[LostContent]:
        return list(self.needs.missing.values())

    @property
    def confined(self) -> list[Bad]:
        """Files that go to the quarantine."""
        kept = {m.source for m in self.missing if m.how == RENAME}
        marker = [] if self.marker is None else [self.marker]
        return [*marker, *(bad for bad in self.scan.bad if bad.path not in kept and not bad.untold)]

    @property
    def unreadable(self) -> list[Bad]:
        """Files that stay in place because they cannot be read: they may be the only copy."""
        return [bad for bad in self.scan.bad if bad.untold]

    @property
    def hopeless(self) -> list[LostContent]:
        """Contents that the plan will not bring back."""
        return [m for m in self.missing if m.how in (LOST, BLOCKED, UNTRIED)]

    @property
    def sound(self) -> bool:
        """Whether nothing is wrong (leftovers do not count)."""
        needs = self.needs
        wrong = self.scan.bad or needs.missing or needs.invalid or needs.problems or self.rebuild or self.marker
        return not (wrong or self.manifests or self.copies)

    @property
    def curable(self) -> bool:
        """Whether carrying out the plan would repair everything."""
        return not (self.hopeless or self.unreadable or self.needs.invalid or self.needs.problems or self.manifests)

    def fields(self) -> dict[str, object]:
        needs = self.needs
        return {
            "contents": self.scan.checked,
            "bytes": self.scan.size,
            "recipes": needs.recipes,
            "bad": [bad.fields() for bad in ([] if self.marker is None else [self.marker]) + self.scan.bad],
            "database": self.examined.fields(),
            "missing": [m.fields() for m in self.missing],
            "can_be_made_again": len(needs.again),
            "in_trash": needs.trashed,
            "invalid": [
                {
                    "path": path_text(i.path),
                    "kind": i.kind,
                    "message": i.message,
                    "last_seen": i.where,
                }
                for i in needs.invalid
            ],
            "manifests": self.manifests,
            "wrong_copies": [path_text(os.fsdecode(copy.path)) for copy in self.copies],
            "problems": needs.problems,
            "notes": needs.notes,
            "leftovers": self.leftovers.count,
            "seconds": self.generate.seconds,
        }

    def lines(self) -> list[str]:
        """For display: what is wrong, and what would be done. Long lists are abbreviated."""
        needs = self.needs
        told = _some(
            [f"bad: {bad.path}: {bad.why}; moved to the quarantine" for bad in self.confined], "more bad files"
        )
        told += _some([f"bad: {bad.path}: {bad.why}; left unchanged" for bad in self.unreadable], "more of these")
        if self.rebuild is not None:
            told.append(f"database: {'; '.join(self.examined.problems)}")
            told += self.rebuild.lines()
        for how, what in _HOW.items():
            alike = [m for m in self.missing if m.how == how]
            told += _some([f"missing: {_named(m)}: {what}{_more(m)}" for m in alike], f"more: {what}")
        wrong = [f"worktree: {os.fsdecode(each.path)}: wrong bytes from the store; replaced" for each in self.copies]
        told += _some(wrong, "more files of the worktree")
        told += _some([f"recipe: {_shown(i)}: {i.message}" for i in needs.invalid], "more recipes")
        told += _some([f"manifest: {line}: cannot be read; left unchanged" for line in self.manifests], "more lines")
        told += [f"problem: {problem}" for problem in needs.problems]
        told += [f"note: {note}" for note in needs.notes]
        if needs.again:
            what = counted(len(needs.again), "take is", "takes are")
            told.append(f"{what} not in the store and can be made again")
        if needs.trashed:
            told.append(f"in the trash, and restored when needed: {needs.trashed}")
        if self.leftovers.count:
            told.append(f"leftovers of killed processes, which are removed: {self.leftovers.count}")
        return told

    def summary(self, done: Sequence[Done] | None, *, quick: bool) -> str:
        """The summary line for display; ``done`` is what was carried out, or None if the plan was only shown."""
        one, many = ("exists", "exist") if quick else ("matches its name", "match their names")
        contents = counted(self.scan.checked, f"content {one}", f"contents {many}")
        checked = f"{contents}, {counted(self.needs.recipes, 'recipe')} checked"
        if self.sound:
            return f"{checked}; all is well"
        if done is None:
            bad, missing, hopeless = len(self.scan.bad), len(self.missing), len(self.hopeless)
            return f"{checked}; {bad} bad, {missing} missing, {hopeless} of which cannot be restored now"
        back = sum(one.ok and one.what in ("renamed", "restored", "fetched", "made again") for one in done)
        left = sum(not one.ok for one in done) + len(self.needs.invalid) + len(self.needs.problems)
        left += len(self.unreadable) + len(self.manifests)
        return f"{checked}; {back} brought back, {left} lost or left"


def _some(lines: list[str], more: str) -> list[str]:
    return lines if len(lines) <= _SHOWN else [*lines[:_SHOWN], f"and {len(lines) - _SHOWN} {more}"]


def _named(m: LostContent) -> str:
    roots = [root for root in m.roots[:3] if root != m.where]
    more = f" and {len(m.roots) - 3} more" if len(m.roots) > 3 else ""
    held = f"; held by {', '.join(roots)}{more}" if roots else ""
    return f"{m.label} ({m.digest.short}, last seen in {m.where}{held})"


def _more(m: LostContent) -> str:
    return f" {m.source}" if m.how == COPY else f": {m.reason}" if m.reason else ""


def _shown(i: Invalid) -> str:
    return os.fsdecode(i.path) + (f" in {i.where}" if i.where else "")
