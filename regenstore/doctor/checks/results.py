"""Checks of records about takes: the result database, the takes themselves, the manifests of gc."""

from __future__ import annotations

import os

from regenstore.doctor import database as databases
from regenstore.doctor import salvage
from regenstore.doctor.check import NOTE, OK, PROBLEM, WARNING, CheckContext, Findings
from regenstore.objects import evicted
from regenstore.objects.content_store import VAULT
from regenstore.objects.lfs_pointer import is_lfs_pointer
from regenstore.objects.mismatched_takes import judged
from regenstore.objects.results.cache import ResultCache
from regenstore.quantities import counted


def database(context: CheckContext) -> Findings:
    """Check the result database quickly."""
    root = context.store.root
    found = databases.examine(context.store, quick=True)
    if found.state == databases.DAMAGED:
        yield PROBLEM, f"the result database is damaged: {found.problems[0]}", "Run 'regenstore fsck'."
    elif found.state == databases.SOUND:
        yield OK, "the result database is sound, as far as a quick check shows", ""
    elif any(context.store.contents(VAULT)):
        yield NOTE, "the store has no result database", "Run 'regenstore doctor --rebuild'."
    kept = salvage.asides(root)
    if kept:
        what = f"{len(kept)} damaged databases were set aside, the last as {kept[0]}"
        remedy = "Run 'regenstore doctor --rebuild': it recovers what they still contain. Then they can be removed."
        yield NOTE, what, remedy


def takes(context: CheckContext) -> Findings:
    """Recipes in HEAD and the index whose takes were made with other parameters."""
    paths = {seen.oid: seen.path for seen in context.recipe_blobs}
    recipes = context.recipes
    if databases.examine(context.store).state == databases.SOUND:
        cache = ResultCache(context.store.root)
        try:
            recipes = dict(zip(recipes, judged(cache, list(recipes.values()))))
        finally:
            cache.close()
    found = sorted(paths[oid] for oid, recipe in recipes.items() if recipe.output.outdated is not None)
    if found:
        more = f" and {len(found) - 1} more" if len(found) > 1 else ""
        message = f"{os.fsdecode(found[0])}{more}: the recorded take was made with other parameters"
        yield WARNING, message, "Run 'regenstore get', check the media, then run 'regenstore record' and 'git add'."


def lfs_pointers(context: CheckContext) -> Findings:
    """Git LFS pointers in HEAD and the index that were added as media."""
    paths = {seen.oid: seen.path for seen in context.recipe_blobs}
    found = sorted(paths[oid] for oid, recipe in context.recipes.items() if is_lfs_pointer(context.store, recipe))
    if found:
        more = f" and {len(found) - 1} more" if len(found) > 1 else ""
        remedy = "Put the media there ('git lfs pull' in the original repository brings them), then 'git add' them."
        yield WARNING, f"{os.fsdecode(found[0])}{more} is a pointer of Git LFS, not a medium", remedy


def manifests(context: CheckContext) -> Findings:
    """The manifests of gc, which record how to bring back what it took."""
    root = context.store.root
    bad = list(evicted.damaged(root, quick=True))
    if bad:
        remedy = (
            "Restore the file from a copy if there is one; the result database or Git may also have the lost records."
        )
        more = f" and {len(bad) - 1} more lines" if len(bad) > 1 else ""
        yield WARNING, f"a manifest of gc cannot be read: {bad[0]}{more}", remedy
    elif evicted.runs(root):
        yield OK, f"{counted(len(evicted.runs(root)), 'manifest')} of gc can be read", ""
