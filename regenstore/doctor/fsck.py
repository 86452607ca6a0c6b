"""fsck from top to bottom: :func:`plan_check` reads everything and changes nothing, the plan is shown (``fsck_plan``),
and :func:`execute` carries it out.

Bad bytes go to the quarantine. Missing contents then come from a file of the store with the wrong name, from elsewhere
on this machine, from a remote, or from running the recipe. Good bytes are never touched, and nothing is deleted.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial

from regenstore.doctor import database, leftovers, quarantine, repair_choice, wrong_copies
from regenstore.doctor.fsck_context import FsckContext, Scope
from regenstore.doctor.fsck_plan import (
    BLOCKED,
    COPY,
    FETCH,
    GENERATE,
    LOST,
    RENAME,
    CheckPlan,
    Done,
    LostContent,
    WrongCopy,
)
from regenstore.doctor.missing_contents import NeedsSurvey
from regenstore.doctor.store_scan import WRONG, Bad, SoundStore, Tell, scan
from regenstore.errors import NotFound, RegenstoreError, StorageError
from regenstore.fs import durable
from regenstore.fs.swap import identity
from regenstore.objects import evicted, store_format
from regenstore.objects.content_store import ContentStore
from regenstore.objects.hashing import hash_file
from regenstore.objects.results.cache import ResultCache
from regenstore.planning import RunPlan
from regenstore.quantities import counted
from regenstore.realise import Progress
from regenstore.remotes.remote_set import nobody
from regenstore.worktree.place import Placement

# ------------------------------------------------------------------------------------------- planning


def plan_check(context: FsckContext, scope: Scope, tell: Tell) -> CheckPlan:
    """Read all contents, the database and the recipes; ``tell`` is called with the fraction of contents read. Raises
    FormatError (``newer-store``)."""
    store = context.store
    # The store's contents: each file against its name.
    marker = _marker(store.root)
    scanned = scan(store, tell, quick=scope.quick)
    sound = SoundStore(store.root, scanned)
    examined = database.examine(sound)
    left = leftovers.find(store, context.location, context.clock())
    manifests = list(evicted.damaged(store.root, quick=scope.quick))
    plan = CheckPlan(scanned, examined, left, manifests, marker)
    cache = context.cache()
    if examined.state == database.DAMAGED:
        plan.rebuild = database.plan_rebuild(sound, context.roots, examined)
        # Reading it would move it aside, so the plan is made without one.
        cache, scope = ResultCache(f"{store.root}/no-database"), replace(scope, remember=False)
    # What recipes need but the store lacks; then how each of these comes back.
    survey = NeedsSurvey(context, cache, sound, scanned, scope)
    plan.needs = survey.run()
    repair_choice.choose(context, plan, sound, cache, scope)
    # Media that were placed from what is or was damaged.
    plan.copies = wrong_copies.find(context, scanned.bad)
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


# ------------------------------------------------------------------------------------------- carrying it out


def execute(context: FsckContext, plan: CheckPlan, progress: Progress) -> Iterator[Done]:
    """Carry out a plan. Failures are reported, and the rest is still done."""
    if plan.sound and not plan.leftovers.count:
        return
    store = context.store
    if plan.marker is None:
        store.prepare()
    for missing in (m for m in plan.missing if m.how == RENAME):
        yield _attempt("renamed", missing.label, partial(_rename, store, missing))
    stuck = False
    for bad in plan.confined:
        done = _attempt("quarantined", bad.path, partial(_confine, context, bad))
        stuck = stuck or (not done.ok and bad.named is not None)
        yield done
    if plan.marker is not None:
        yield _attempt("marked", store_format.FILE, lambda: _mark(store))
    for missing in (m for m in plan.missing if m.how == COPY and not stuck):
        yield _attempt("restored", missing.label, partial(_restore, store, missing))
    if plan.rebuild is not None:
        yield _attempt("database", "made again from Git's recipes", lambda: _rebuild(context, plan.examined))
    if stuck:
        # Good bytes under these names would overwrite bad ones that could not be moved away; bad bytes are never
        # deleted.
        for missing in (m for m in plan.missing if m.how in (COPY, FETCH, GENERATE)):
            yield Done(BLOCKED, missing.label, False, _last(missing, "bad bytes could not be moved away first"))
    else:
        yield from _fetch(context, plan)
        yield from _generate(context, plan, progress)
    yield from _replace(context, plan.copies)
    for missing in plan.hopeless:
        if store.stored(missing.digest, missing.size) is None:
            yield Done(missing.how, missing.label, False, _last(missing, missing.reason))
    if plan.leftovers.count:
        leftovers.clear(plan.leftovers, store, context.location, context.oid_size)
        yield Done("cleared", counted(plan.leftovers.count, "leftover") + " of killed processes", True)


def _last(missing: LostContent, reason: str) -> str:
    return f"last seen in {missing.where}; {reason}"


def _mark(store: ContentStore) -> str:
    """Replace the format marker. Contents verify themselves and the database has its own version, so the marker only
    said that the store is not newer than this program supports."""
    store.prepare()
    return "a new format marker was written"


def _attempt(what: str, subject: str, work: Callable[[], str]) -> Done:
    try:
        return Done(what, subject, True, work())
    except RegenstoreError as error:
        return Done(what, subject, False, f"{error.message}. {error.hint}")


def _confine(context: FsckContext, bad: Bad) -> str:
    target = quarantine.confine(context.store, bad, context.clock())
    return "it was replaced or removed meanwhile" if target is None else f"{bad.why}; now {target}"


def _rebuild(context: FsckContext, examined: database.Examined) -> str:
    """Rebuild the database from what the store has by now."""
    aside = database.rebuild(context.store, database.plan_rebuild(context.store, context.roots, examined))
    return f"the old one is {aside}"


def _rename(store: ContentStore, missing: LostContent) -> str:
    with durable.storage_errors(missing.source):
        if store.stored(missing.digest, missing.size) is not None:
            return "it came back meanwhile"
        if os.path.islink(missing.source) or hash_file(missing.source)[0] != missing.digest:
            raise NotFound("content-missing", f"{missing.source} was changed meanwhile")
    store.put_file(missing.source, missing.digest)
    return f"it was found as {missing.source}"


def _restore(store: ContentStore, missing: LostContent) -> str:
    """Copy bytes into the store from elsewhere; the copy is hashed."""
    store.put_copy(missing.source, missing.digest)
    return f"its bytes were in {missing.source}"


def _fetch(context: FsckContext, plan: CheckPlan) -> Iterator[Done]:
    missing = {m.digest: m for m in plan.missing if m.how == FETCH}
    elsewhere = context.elsewhere() if missing else None
    for moved in elsewhere.bring(list(missing), nobody) if elsewhere is not None else ():
        one, error = missing[moved.digest], moved.error
        what = "" if error is None else _last(one, f"{error.message}. {error.hint}")
        yield Done("fetched" if error is None else LOST, one.label, error is None, what)


def _generate(context: FsckContext, plan: CheckPlan, progress: Progress) -> Iterator[Done]:
    if not plan.generate.steps:
        return
    by_label = {str(m.digest): m for m in plan.missing}
    realiser = context.realiser(context.store, context.cache())
    # The plan itself reports what is present or failed.
    steps = RunPlan(steps=plan.generate.steps, waiting=plan.generate.waiting)
    for outcome in realiser.run(steps, progress):
        missing = by_label[outcome.want.label]
        if context.store.stored(missing.digest, missing.size) is not None:
            yield Done("made again", missing.label, True)
            continue
        reason = "the generator gave other bytes; both recipe and new bytes are kept"
        if outcome.error is not None:
            reason = f"{outcome.error.message}. {outcome.error.hint}"
        yield Done(BLOCKED if outcome.error else LOST, missing.label, False, _last(missing, reason))


def _replace(context: FsckContext, copies: Sequence[WrongCopy]) -> Iterator[Done]:
    """Place the right bytes where wrong ones still are, if the store has them by now."""
    wishes = []
    for copy in copies:
        source = context.store.use(copy.take, copy.size)
        if source is None:
            reason = "the store does not have the right bytes; the file is unchanged"
            yield Done("replaced", os.fsdecode(copy.path), False, reason)
        else:
            wishes.append(Placement(copy.path, source, copy.identity, copy.oid))
    report = context.place(wishes)
    for path in report.placed:
        yield Done("replaced", os.fsdecode(path), True, "its bytes are right again")
    for path, error in report.skipped:
        yield Done("replaced", os.fsdecode(path), False, error.message)
