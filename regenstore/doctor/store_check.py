"""fsck: a store against itself and against Git's recipes; plan -> show -> execute.

:func:`plan_check` reads everything and changes nothing. :func:`execute` moves bad bytes into the quarantine,
then brings back what can be had: from a file of the store that has the wrong name, from the worktree, or by
running the recipe. Good bytes are never touched, and nothing is deleted.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from regenstore.doctor import database, git_recipes, leftovers, quarantine
from regenstore.doctor.store_scan import DENIED, STRAY, Bad, Scan, SoundStore, Tell, scan
from regenstore.errors import NotFound, RegenstoreError
from regenstore.objects import durable, store_format, toml
from regenstore.objects.content_store import ContentStore
from regenstore.objects.hashing import hash_fd, hash_file
from regenstore.objects.ids import Digest
from regenstore.objects.recipe import Recipe, Take
from regenstore.objects.result_cache import ResultCache
from regenstore.planning import FindRecipes, Plan, Want
from regenstore.realise import Progress, Realiser
from regenstore.refs.git import BlobReader, Git
from regenstore.worktree.attribution import with_made
from regenstore.worktree.link import Linker
from regenstore.worktree.location import Location
from regenstore.worktree.paths import Folders

RENAME, WORKTREE, GENERATE, BLOCKED, LOST = "rename", "worktree", "generate", "blocked", "lost"
_HOW = {
    RENAME: "put under its right name",
    WORKTREE: "take the bytes from the worktree",
    GENERATE: "make it again",
}


@dataclass(frozen=True)
class Invalid:
    """A blob at a filtered path that is no valid recipe."""

    path: bytes
    kind: str
    message: str


Validate = Callable[[Mapping[bytes, bytes]], Iterable[Invalid]]


@dataclass(frozen=True)
class Parts:
    """What a check needs. ``realiser`` makes one for a store; ``validate`` judges blobs: path -> object id."""

    store: ContentStore
    location: Location
    oid_size: int
    git: Git
    blobs: BlobReader
    find: FindRecipes
    cache: Callable[[], ResultCache]
    """The result database; asked only when it is sound."""
    realiser: Callable[[ContentStore, bool], Realiser]
    """Called with a store, and whether the result database can be read."""
    validate: Validate
    clock: Callable[[], float] = time.time


@dataclass
class Missing:
    """A content that a recipe records and the store does not have. ``how`` says what can be done;
    ``where`` is the path and the last place that records it."""

    digest: Digest
    size: int
    path: bytes
    where: str
    how: str = LOST
    reason: str = ""
    source: str = ""
    """For RENAME: the file that holds the bytes."""
    recipe: Recipe | None = None

    @property
    def label(self) -> str:
        return os.fsdecode(self.path) or self.digest.short

    def fields(self) -> dict[str, object]:
        return {
            "digest": str(self.digest),
            "size": self.size,
            "path": self.label.encode(errors="replace").decode(),
            "last_seen": self.where,
            "repair": self.how,
            "reason": self.reason,
        }


@dataclass
class CheckPlan:
    """What was found, and what would be done. A value."""

    scan: Scan
    examined: database.Examined
    leftovers: leftovers.Leftovers
    rebuild: database.RebuildPlan | None = None
    missing: list[Missing] = field(default_factory=list)
    invalid: list[Invalid] = field(default_factory=list)
    generate: Plan = field(default_factory=Plan)

    @property
    def confined(self) -> list[Bad]:
        """What goes to the quarantine."""
        kept = {m.source for m in self.missing if m.how == RENAME}
        return [bad for bad in self.scan.bad if bad.path not in kept and bad.why != DENIED]

    @property
    def unreadable(self) -> list[Bad]:
        """What stays as it is, since this user may not read it."""
        return [bad for bad in self.scan.bad if bad.why == DENIED]

    @property
    def hopeless(self) -> list[Missing]:
        """What carrying the plan out will not bring back."""
        return [m for m in self.missing if m.how in (LOST, BLOCKED)]

    @property
    def sound(self) -> bool:
        """Whether nothing is wrong (leftovers are not)."""
        return not (self.scan.bad or self.missing or self.invalid or self.rebuild)

    @property
    def curable(self) -> bool:
        """Whether all would be well when the plan is carried out."""
        return not (self.hopeless or self.unreadable or self.invalid)

    def fields(self) -> dict[str, object]:
        return {
            "contents": self.scan.checked,
            "bytes": self.scan.size,
            "bad": [bad.fields() for bad in self.scan.bad],
            "database": self.examined.fields(),
            "missing": [m.fields() for m in self.missing],
            "invalid": [
                {"path": os.fsdecode(i.path).encode(errors="replace").decode(), "kind": i.kind, "message": i.message}
                for i in self.invalid
            ],
            "leftovers": self.leftovers.count,
            "seconds": self.generate.seconds,
        }

    def lines(self) -> list[str]:
        """For people: what is wrong, and what would be done about it."""
        told = [f"bad: {bad.path}: {bad.why}; to the quarantine" for bad in self.confined]
        told += [f"bad: {bad.path}: {bad.why}; left as it is" for bad in self.unreadable]
        if self.rebuild is not None:
            told.append(f"database: {'; '.join(self.examined.problems)}")
            told += self.rebuild.lines()
        for m in self.missing:
            what = _HOW.get(m.how) or f"{'lost' if m.how == LOST else 'cannot be made now'}: {m.reason}"
            told.append(f"missing: {m.label} ({m.digest.short}, last seen in {m.where}): {what}")
        told += [f"recipe: {os.fsdecode(i.path)}: {i.message}" for i in self.invalid]
        if self.leftovers.count:
            told.append(f"{self.leftovers.count} leftovers of killed processes; they are cleared away")
        return told


# ------------------------------------------------------------------------------------------- planning


def plan_check(parts: Parts, tell: Tell) -> CheckPlan:
    """Read all contents, the database and the recipes. Raises FormatError (``newer-store``)."""
    store_format.check(parts.store.root, "write")
    scanned = scan(parts.store, tell)
    sound = SoundStore(parts.store.root, scanned.bad)
    examined = database.examine(sound)
    plan = CheckPlan(scanned, examined, leftovers.find(parts.store, parts.location, parts.clock()))
    if examined.state == database.DAMAGED:
        plan.rebuild = database.plan_rebuild(sound, parts.git, parts.blobs, examined)
    realiser = parts.realiser(sound, examined.state == database.SOUND)
    wanted = _wanted(parts, sound, plan)
    _misnamed(parts, sound, plan, wanted)
    _other_victims(parts, sound, plan, wanted)
    plan.missing = list(wanted.values())
    _choose(parts, sound, plan, realiser)
    return plan


def _wanted(parts: Parts, sound: SoundStore, plan: CheckPlan) -> dict[Digest, Missing]:
    """The takes of index and HEAD that the store does not have; notes the blobs that are no recipes."""
    found: dict[Digest, Missing] = {}
    for seen in git_recipes.current(parts.git):
        plan.invalid += parts.validate({seen.path: bytes.fromhex(seen.oid.decode("ascii"))})
        recipe = toml.decode_or_none(parts.blobs.read(seen.oid, toml.MAX_BYTES))
        take = None if recipe is None else recipe.output.take
        if recipe is None or take is None or take.digest in found:
            continue
        if sound.find(take.digest, take.size) is None:
            if sound.find(take.digest) is not None:
                message = "the size that it records is not that of its content"
                plan.invalid.append(Invalid(seen.path, "bad-recipe", message))
                continue
            places = " and ".join(seen.places)
            found[take.digest] = Missing(take.digest, take.size, seen.path, places, recipe=recipe)
    return found


def _other_victims(parts: Parts, sound: SoundStore, plan: CheckPlan, wanted: dict[Digest, Missing]) -> None:
    """Bad contents that only other branches, or history, record; also those that nothing records."""
    misnamed = {missing.source for missing in wanted.values()}
    for bad in plan.scan.bad:
        if bad.named is None or bad.named in wanted or sound.find(bad.named) is not None:
            continue
        size, recipe, path, where = _origin(parts, plan, bad.named, bad.size)
        if not where:
            another = bad.found is not None and sound.find(bad.found) is not None
            if another or bad.path in misnamed or bad.why == STRAY:
                continue  # nobody knows the name; only the name was wrong, or it never held a content
        wanted[bad.named] = Missing(bad.named, size, path, where or f"{bad.tree}/ of the store", recipe=recipe)


def _origin(parts: Parts, plan: CheckPlan, digest: Digest, size: int) -> tuple[int, Recipe | None, bytes, str]:
    """Size, recipe, path and place of a content that neither index nor HEAD records, from history, else from
    the result database (takes that were not chosen, other repositories); the place is empty for an unknown one."""
    recipe = next(parts.find(digest, None), None)
    path, where = git_recipes.last_seen(parts.git, digest) or (b"", "")
    if recipe is None and plan.examined.state == database.SOUND:
        for made in parts.cache().known_outputs(digest):
            known = toml.decode_or_none(made.recipe)
            if known is not None:
                recipe, where = with_made(known, made, Take(digest, size)), where or "the result database"
                break
    take = None if recipe is None else recipe.output.take
    return size if take is None else take.size, recipe, path, where


def _misnamed(parts: Parts, sound: SoundStore, plan: CheckPlan, wanted: dict[Digest, Missing]) -> None:
    """Files with a wrong name whose bytes some recipe records: they only need their right name."""
    for bad in plan.scan.bad:
        if bad.found is None or sound.find(bad.found) is not None:
            continue
        missing = wanted.get(bad.found)
        if missing is None:
            size, recipe, path, where = _origin(parts, plan, bad.found, bad.size)
            if not where:
                continue
            missing = wanted[bad.found] = Missing(bad.found, size, path, where, recipe=recipe)
        missing.how, missing.source = RENAME, bad.path


def _choose(parts: Parts, sound: SoundStore, plan: CheckPlan, realiser: Realiser) -> None:
    """Decide for each missing content how it comes back."""
    asked: dict[str, Missing] = {}
    for missing in plan.missing:
        if missing.how == RENAME or (missing.path and _in_worktree(parts.location, missing)):
            missing.how = missing.how if missing.source else WORKTREE
            sound.coming.add(missing.digest)
        elif missing.recipe is None:
            missing.reason = "no recipe is known for it"
        elif missing.recipe.imported:
            missing.reason = "it is imported media, and its bytes are nowhere else here"
        else:
            asked[str(missing.digest)] = missing
    wants = [Want(label, m.recipe) for label, m in asked.items() if m.recipe is not None]
    plan.generate = realiser.plan(wants, again=True)
    for want in (want for wants in plan.generate.waiting.values() for want in wants):
        asked[want.label].how = GENERATE
    for step in plan.generate.steps.values():
        if step.label in asked:
            step.label = asked[step.label].label
    for outcome in plan.generate.failed:
        missing = asked[outcome.want.label]
        assert outcome.error is not None
        missing.how, missing.reason = BLOCKED, f"{outcome.error.message}. {outcome.error.hint}"


def _in_worktree(location: Location, missing: Missing) -> bool:
    """Whether the worktree's file holds the missing bytes."""
    try:
        with Folders(location.top) as folders:
            fd = _open(folders, missing.path)
            try:
                return os.fstat(fd).st_size == missing.size and hash_fd(fd)[0] == missing.digest
            finally:
                os.close(fd)
    except (OSError, ValueError):
        return False


def _open(folders: Folders, path: bytes) -> int:
    folder, name = folders.parent(path)
    return os.open(name, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0), dir_fd=folder)


# ------------------------------------------------------------------------------------------- executing


@dataclass(frozen=True)
class Done:
    """One thing that was done, or could not be: then ``ok`` is False and something is left."""

    what: str
    subject: str
    ok: bool
    message: str = ""

    def fields(self) -> dict[str, object]:
        subject = self.subject.encode(errors="replace").decode()
        return {"what": self.what, "subject": subject, "ok": self.ok, "message": self.message}


def execute(parts: Parts, plan: CheckPlan, progress: Progress) -> Iterator[Done]:
    """Carry out a plan. What fails is told, and the rest is done all the same."""
    if plan.sound and not plan.leftovers.count:
        return
    parts.store.prepare()
    renames = [m for m in plan.missing if m.how == RENAME]
    for missing in renames:
        yield _attempt("renamed", missing.label, lambda m=missing: _rename(parts.store, m))  # type: ignore[misc]
    for bad in plan.confined:
        yield _attempt("quarantined", bad.path, lambda b=bad: _confine(parts, b))  # type: ignore[misc]
    for missing in plan.missing:
        if missing.how == WORKTREE:
            yield _attempt("restored", missing.label, lambda m=missing: _restore(parts, m))  # type: ignore[misc]
    if plan.rebuild is not None:
        yield _attempt("database", "made again from Git's recipes", lambda: _rebuild(parts, plan.examined))
    yield from _generate(parts, plan, progress)
    for missing in plan.hopeless:
        if parts.store.find(missing.digest, missing.size) is None:
            yield Done(missing.how, missing.label, False, f"last seen in {missing.where}; {missing.reason}")
    if plan.leftovers.count:
        leftovers.clear(plan.leftovers, parts.store, parts.location, parts.oid_size)
        yield Done("cleared", f"{plan.leftovers.count} leftovers of killed processes", True)


def _attempt(what: str, subject: str, work: Callable[[], str]) -> Done:
    try:
        return Done(what, subject, True, work())
    except RegenstoreError as error:
        return Done(what, subject, False, f"{error.message}. {error.hint}")


def _confine(parts: Parts, bad: Bad) -> str:
    target = quarantine.confine(parts.store, bad, parts.clock())
    return "it was replaced or removed meanwhile" if target is None else f"{bad.why}; now {target}"


def _rebuild(parts: Parts, examined: database.Examined) -> str:
    """With what the store has by now."""
    aside = database.rebuild(parts.store, database.plan_rebuild(parts.store, parts.git, parts.blobs, examined))
    return f"the old one is {aside}"


def _rename(store: ContentStore, missing: Missing) -> str:
    with durable.storage_errors(missing.source):
        if store.find(missing.digest, missing.size) is not None:
            return "it came back meanwhile"
        if os.path.islink(missing.source) or hash_file(missing.source)[0] != missing.digest:
            raise NotFound("content-missing", f"{missing.source} was changed meanwhile")
    store.put_file(missing.source, missing.digest)
    return f"it lay in {missing.source}"


def _restore(parts: Parts, missing: Missing) -> str:
    """Copy the worktree's bytes into the store, hashed after they were copied."""
    temp = parts.store.temp_path("fsck")
    try:
        with durable.storage_errors(temp), Folders(parts.location.top) as folders:
            source = _open(folders, missing.path)
            try:
                target = os.open(temp, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
                try:
                    Linker().fill(source, target)
                finally:
                    os.close(target)
            finally:
                os.close(source)
            if hash_file(temp)[0] != missing.digest:
                raise NotFound("content-missing", f"{missing.label} was changed meanwhile")
        parts.store.put_file(temp, missing.digest)
    finally:
        durable.unlink(temp)
    return "its bytes were in the worktree"


def _generate(parts: Parts, plan: CheckPlan, progress: Progress) -> Iterator[Done]:
    if not plan.generate.steps:
        return
    by_label = {str(m.digest): m for m in plan.missing}
    realiser = parts.realiser(parts.store, True)
    # What is present or failed is told by the plan itself.
    steps = Plan(steps=plan.generate.steps, waiting=plan.generate.waiting)
    for outcome in realiser.run(steps, progress):
        missing = by_label[outcome.want.label]
        if parts.store.find(missing.digest, missing.size) is not None:
            yield Done("made again", missing.label, True)
            continue
        reason = "the generator gave other bytes; both recipe and new bytes are kept"
        if outcome.error is not None:
            reason = f"{outcome.error.message}. {outcome.error.hint}"
        yield Done(BLOCKED if outcome.error else LOST, missing.label, False, f"last seen in {missing.where}; {reason}")
