"""Checks of what repositories need: whether the roots of this one, and of all that use the store, can be read."""

from __future__ import annotations

from regenstore.doctor.check import OK, PROBLEM, WARNING, CheckContext, Findings
from regenstore.errors import StorageError
from regenstore.fs import presence
from regenstore.refs.registration import held_file, registrations
from regenstore.refs.roots import Roots
from regenstore.refs.store_repositories import refusal


def roots(context: CheckContext) -> Findings:
    """Whether everything that determines the needed recipes can be read. Git silently skips much of what cannot."""
    where = context.location
    Roots(context.git, where.git_dir, where.common_dir, where.index).require_readable()
    yield OK, "all refs, reflogs, indexes and object folders can be read", ""


def repositories(context: CheckContext) -> Findings:
    """Repositories that use the store but cannot be asked what they need."""
    root = context.store.root
    known = registrations(root)
    reachable = 0
    for registered in known:
        try:
            why = refusal(registered)
            if not why:
                Roots.of_another(registered.path).require_readable()
                reachable += 1
                continue
        except StorageError as error:
            yield PROBLEM, f"it is unknown what {registered.path} needs: {error.message}", error.hint
            continue
        name = registered.path or f"the registration {registered.name}"
        gone = f"Make it reachable (mount it), or, if it is gone for good: regenstore gc --forget-repository {name}"
        if presence.found(held_file(root, registered.name)):
            yield WARNING, f"{name} uses this store and cannot be reached ({why}): what it last held is kept", gone
        else:
            yield WARNING, f"{name} uses this store, and what it needs is unknown ({why}): nothing can be evicted", gone
    if known:
        yield OK, f"{reachable} of {len(known)} registered repositories can be reached", ""
