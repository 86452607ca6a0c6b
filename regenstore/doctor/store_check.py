"""fsck: what is wrong with a store, by its own names, its database, and all that recipes need of it; and what would
be done about it. :func:`plan_check` reads everything and changes nothing; ``repair`` carries the plan out.

Bad bytes go to the quarantine. What is missing then comes from a file of the store that has the wrong name, from
elsewhere on this machine, from a remote, or from running the recipe. Good bytes are never touched, and
nothing is deleted.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from regenstore.doctor import database, leftovers
from regenstore.doctor.missing_contents import (
    BLOCKED,
    COPY,
    FETCH,
    GENERATE,
    LOST,
    RENAME,
    UNTRIED,
    Asked,
    Invalid,
    LostContent,
    Needs,
    NeedsSurvey,
    Scope,
    find_elsewhere,
)
from regenstore.doctor.store_scan import STRAY, WRONG, Bad, Scan, SoundStore, Tell, scan
from regenstore.errors import RegenstoreError, StorageError
from regenstore.fs.path_text import path_text
from regenstore.fs.swap import identity
from regenstore.generators.registry import Registry
from regenstore.objects import durable, evicted, store_format
from regenstore.objects.content_store import ContentStore
from regenstore.objects.ids import Digest
from regenstore.objects.results.cache import ResultCache
from regenstore.planning import RunPlan, Want
from regenstore.realise import Realiser
from regenstore.refs.roots import Roots
from regenstore.remotes.remote_set import RemoteSet
from regenstore.worktree.location import Location

_HOW = {
    RENAME: "put under its right name",
    COPY: "take the bytes from",
    FETCH: "fetch it from a remote",
    GENERATE: "make it again",
    UNTRIED: "not tried",
    BLOCKED: "cannot be made now",
    LOST: "lost",
}
_SHOWN = 20


@dataclass(frozen=True)
class StoreParts:
    """What a check needs. ``realiser`` makes one for a store and a database."""

    store: ContentStore
    location: Location
    oid_size: int
    roots: Roots
    registry: Registry
    asked: Asked
    cache: Callable[[], ResultCache]
    """The result database; asked only when it is sound."""
    realiser: Callable[[ContentStore, ResultCache], Realiser]
    elsewhere: Callable[[], RemoteSet | None] = lambda: None
    """The remotes, asked for what is missing and cannot be made."""
    clock: Callable[[], float] = time.time


@dataclass
class CheckPlan:
    """What was found, and what would be done. A value."""

    scan: Scan
    examined: database.Examined
    leftovers: leftovers.Leftovers
    manifests: list[str] = field(default_factory=list)
    """Lines of gc's manifests that cannot be read: they stay as they are."""
    marker: Bad | None = None
    """The store's format marker, when it cannot be read."""
    rebuild: database.RebuildPlan | None = None
    needs: Needs = field(default_factory=Needs)
    generate: RunPlan = field(default_factory=RunPlan)

    @property
    def missing(self) -> list[LostContent]:
        return list(self.needs.missing.values())

    @property
    def confined(self) -> list[Bad]:
        """What goes to the quarantine."""
        kept = {m.source for m in self.missing if m.how == RENAME}
        marker = [] if self.marker is None else [self.marker]
        return [*marker, *(bad for bad in self.scan.bad if bad.path not in kept and not bad.untold)]

    @property
    def unreadable(self) -> list[Bad]:
        """What stays as it is, since it cannot be read: what it holds may be the only copy."""
        return [bad for bad in self.scan.bad if bad.untold]

    @property
    def hopeless(self) -> list[LostContent]:
        """What carrying the plan out will not bring back."""
        return [m for m in self.missing if m.how in (LOST, BLOCKED, UNTRIED)]

    @property
    def sound(self) -> bool:
        """Whether nothing is wrong (leftovers are not)."""
        needs = self.needs
        wrong = self.scan.bad or needs.missing or needs.invalid or needs.problems or self.rebuild or self.marker
        return not (wrong or self.manifests)

    @property
    def curable(self) -> bool:
        """Whether all would be well when the plan is carried out."""
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
            "problems": needs.problems,
            "notes": needs.notes,
            "leftovers": self.leftovers.count,
            "seconds": self.generate.seconds,
        }

    def lines(self) -> list[str]:
        """For people: what is wrong, and what would be done about it. Of many alike, the first are named."""
        needs = self.needs
        told = _some([f"bad: {bad.path}: {bad.why}; to the quarantine" for bad in self.confined], "more bad files")
        told += _some([f"bad: {bad.path}: {bad.why}; left as it is" for bad in self.unreadable], "more of these")
        if self.rebuild is not None:
            told.append(f"database: {'; '.join(self.examined.problems)}")
            told += self.rebuild.lines()
        for how, what in _HOW.items():
            alike = [m for m in self.missing if m.how == how]
            told += _some([f"missing: {_named(m)}: {what}{_more(m)}" for m in alike], f"more: {what}")
        told += _some([f"recipe: {_shown(i)}: {i.message}" for i in needs.invalid], "more recipes")
        told += _some([f"manifest: {line}: cannot be read; left as it is" for line in self.manifests], "more lines")
        told += [f"problem: {problem}" for problem in needs.problems]
        told += [f"note: {note}" for note in needs.notes]
        if needs.again:
            told.append(f"{len(needs.again)} takes are not in the store and can be made again")
        if needs.trashed:
            told.append(f"{needs.trashed} are in the trash, and come back when they are asked for")
        if self.leftovers.count:
            told.append(f"{self.leftovers.count} leftovers of killed processes; they are cleared away")
        return told


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


# ------------------------------------------------------------------------------------------- planning


def plan_check(parts: StoreParts, tell: Tell, scope: Scope | None = None) -> CheckPlan:
    """Read all contents, the database and the recipes. Raises FormatError (``newer-store``)."""
    scope = scope or Scope()
    marker = _marker(parts.store.root)
    scanned = scan(parts.store, tell, quick=scope.quick)
    sound = SoundStore(parts.store.root, scanned)
    examined = database.examine(sound)
    found = leftovers.find(parts.store, parts.location, parts.clock())
    manifests = list(evicted.damaged(parts.store.root, quick=scope.quick))
    plan = CheckPlan(scanned, examined, found, manifests, marker)
    if examined.state == database.DAMAGED:
        plan.rebuild = database.plan_rebuild(sound, parts.roots, examined)
    cache = parts.cache()
    if examined.state == database.DAMAGED:
        # Reading it would move it aside: the plan goes without one.
        cache, scope = ResultCache(f"{parts.store.root}/no-database"), replace(scope, remember=False)
    survey = NeedsSurvey(parts.asked, cache, sound, scanned, scope)
    plan.needs = survey.run()
    _add_victims(plan, survey, sound)
    survey.describe()
    _find_misnamed(plan, survey, sound)
    find_elsewhere(plan.missing, sound, scanned, parts.asked.git)
    _choose(parts, plan, sound, cache, scope)
    return plan


def _marker(root: str) -> Bad | None:
    """The store's format marker, if it is damaged. Raises FormatError (``newer-store``)."""
    try:
        store_format.check(root, "write")
    except StorageError as error:
        path = f"{root}/{store_format.FILE}"
        if error.kind != "store-damaged":
            raise
        with durable.storage_errors(path):
            found = os.lstat(path)
        return Bad(path, "", WRONG, None, None, found.st_size, identity(found))
    return None


def _add_victims(plan: CheckPlan, survey: NeedsSurvey, sound: SoundStore) -> None:
    """Contents whose bytes are bad, also those that no recipe in Git records any more."""
    missing = plan.needs.missing
    for bad in plan.scan.bad:
        if bad.named is None or bad.untold or sound.find(bad.named) is not None:
            continue
        if bad.named in missing:
            missing[bad.named].damaged = True
            continue
        recipe = survey.known(bad.named)
        if recipe is None and (bad.why == STRAY or (bad.found is not None and _known(bad.found, plan, survey, sound))):
            continue  # nobody knows the name; only the name was wrong, or it never held a content
        where = f"{bad.tree}/ of the store" if recipe is None else "the result database"
        missing[bad.named] = LostContent(bad.named, None, where=where, recipe=recipe, damaged=True)


def _known(digest: Digest, plan: CheckPlan, survey: NeedsSurvey, sound: SoundStore) -> bool:
    """Whether bytes that lie under a wrong name are those of a content that is here, or that somebody misses."""
    return digest in plan.needs.missing or sound.find(digest) is not None or survey.known(digest) is not None


def _find_misnamed(plan: CheckPlan, survey: NeedsSurvey, sound: SoundStore) -> None:
    """Files with a wrong name whose bytes are missing: they only need their right name."""
    missing = plan.needs.missing
    for bad in plan.scan.bad:
        if bad.found is None or sound.find(bad.found) is not None:
            continue
        if bad.found not in missing and (recipe := survey.known(bad.found)) is not None:
            missing[bad.found] = LostContent(bad.found, None, where="the result database", recipe=recipe)
        if bad.found in missing:
            missing[bad.found].how, missing[bad.found].source = RENAME, bad.path
            sound.coming.add(bad.found)


def _choose(parts: StoreParts, plan: CheckPlan, sound: SoundStore, cache: ResultCache, scope: Scope) -> None:
    """Decide for each missing content how it comes back. Remotes are asked for what cannot be made, first of all for
    that from which others are made."""
    asked: dict[str, LostContent] = {}
    for missing in plan.missing:
        recipe = missing.recipe
        if missing.source:
            continue
        if recipe is None:
            missing.reason = "no recipe is known for it"
        elif recipe.imported:
            missing.reason = "it is imported media, and its bytes are nowhere else on this machine"
        elif missing.damaged or missing.here or scope.regenerate:
            asked[str(missing.digest)] = missing
        else:
            missing.how, missing.reason = _untried(parts.registry, missing)
    _ask_remotes(parts, [m for m in plan.hopeless if str(m.digest) not in asked], plan, sound)
    wants = [Want(label, m.recipe) for label, m in asked.items() if m.recipe is not None]
    plan.generate = parts.realiser(sound, cache).plan(wants, again=True)
    for want in (want for wants in plan.generate.waiting.values() for want in wants):
        asked[want.label].how = GENERATE
    for step in plan.generate.steps.values():
        if step.label in asked:
            step.label = asked[step.label].label
    for outcome in plan.generate.failed:
        missing = asked[outcome.want.label]
        assert outcome.error is not None
        missing.how, missing.reason = BLOCKED, f"{outcome.error.message}. {outcome.error.hint}"
    _ask_remotes(parts, plan.hopeless, plan, sound)


def _ask_remotes(parts: StoreParts, hopeless: list[LostContent], plan: CheckPlan, sound: SoundStore) -> None:
    elsewhere = parts.elsewhere() if hopeless else None
    if elsewhere is None:
        return
    found = elsewhere.having([missing.digest for missing in hopeless])
    for missing in hopeless:
        if missing.digest in found and missing.size in (None, found[missing.digest]):
            missing.how, missing.reason = FETCH, ""
            sound.coming.add(missing.digest)
    for name, error in elsewhere.problems.items():
        note = f"the remote {name} could not be asked: {error.message}"
        if note not in plan.needs.notes:
            plan.needs.notes.append(note)


def _untried(registry: Registry, missing: LostContent) -> tuple[str, str]:
    assert missing.recipe is not None
    try:
        registry.runnable(missing.recipe.generator or "", missing.recipe.version)
    except RegenstoreError as error:
        return BLOCKED, f"{error.message}. {error.hint}"
    return UNTRIED, "nothing proves that it comes back; 'regenstore fsck --regenerate' runs its recipe"
