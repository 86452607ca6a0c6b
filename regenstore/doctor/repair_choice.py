"""Choose how each missing content comes back in fsck: from a file of the store with the wrong name, from elsewhere
on this machine, from a remote, or by running its recipe. Reads only."""

from __future__ import annotations

from regenstore.doctor import recovery_sources
from regenstore.doctor.fsck_context import FsckContext, Scope
from regenstore.doctor.fsck_plan import BLOCKED, COPY, FETCH, GENERATE, RENAME, UNTRIED, CheckPlan, LostContent
from regenstore.doctor.store_scan import SoundStore
from regenstore.errors import RegenstoreError
from regenstore.generators.registry import Registry
from regenstore.objects.results.cache import ResultCache
from regenstore.planning import Want


def choose(context: FsckContext, plan: CheckPlan, sound: SoundStore, cache: ResultCache, scope: Scope) -> None:
    """Choose for each missing content how it comes back. Contents that will come back are ``coming`` in the sound
    store, so that those made from them can be planned."""
    _find_misnamed(plan, sound)
    _find_on_this_machine(context, plan, sound)
    made = _which_to_make(context, plan, scope)
    # Ask remotes for what cannot be made, first for contents from which others are made.
    _ask_remotes(context, [m for m in plan.hopeless if str(m.digest) not in made], plan, sound)
    _plan_runs(context, plan, sound, cache, made)
    _ask_remotes(context, plan.hopeless, plan, sound)


def _find_misnamed(plan: CheckPlan, sound: SoundStore) -> None:
    """Missing contents whose bytes are in a file with the wrong name; they only need renaming."""
    for bad in plan.scan.bad:
        missing = None if bad.found is None else plan.needs.missing.get(bad.found)
        if missing is not None and sound.find(missing.digest) is None:
            missing.how, missing.source = RENAME, bad.path
            sound.coming.add(missing.digest)


def _find_on_this_machine(context: FsckContext, plan: CheckPlan, sound: SoundStore) -> None:
    """Look for missing bytes elsewhere on this machine; what is found is ``coming``."""
    wanted = [one for one in plan.missing if not one.source]
    sought = [recovery_sources.Sought(one.digest, one.size, {one.path} if one.path else set()) for one in wanted]
    found = recovery_sources.search(sound, context.git, sought)
    for one in wanted:
        if one.digest in found:
            one.how, one.source = COPY, found[one.digest]
            sound.coming.add(one.digest)


def _which_to_make(context: FsckContext, plan: CheckPlan, scope: Scope) -> dict[str, LostContent]:
    """The contents whose recipes will be run, by digest; for the others, the reason why not."""
    made: dict[str, LostContent] = {}
    for missing in plan.missing:
        recipe = missing.recipe
        if missing.source:
            continue
        if recipe is None:
            missing.reason = "no recipe is known for it"
        elif recipe.imported:
            missing.reason = "it is imported media, and its bytes are nowhere else on this machine"
        elif missing.damaged or missing.here or scope.regenerate:
            made[str(missing.digest)] = missing
        else:
            missing.how, missing.reason = _untried(context.registry, missing)
    return made


def _plan_runs(
    context: FsckContext, plan: CheckPlan, sound: SoundStore, cache: ResultCache, made: dict[str, LostContent]
) -> None:
    wants = [Want(label, m.recipe) for label, m in made.items() if m.recipe is not None]
    plan.generate = context.realiser(sound, cache).plan(wants, again=True)
    for want in (want for wants in plan.generate.waiting.values() for want in wants):
        made[want.label].how = GENERATE
    for step in plan.generate.steps.values():
        if step.label in made:
            step.label = made[step.label].label
    for outcome in plan.generate.failed:
        missing = made[outcome.want.label]
        assert outcome.error is not None
        missing.how, missing.reason = BLOCKED, f"{outcome.error.message}. {outcome.error.hint}"


def _ask_remotes(context: FsckContext, hopeless: list[LostContent], plan: CheckPlan, sound: SoundStore) -> None:
    elsewhere = context.elsewhere() if hopeless else None
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
