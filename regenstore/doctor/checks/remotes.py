"""Check of remotes: those that cannot be used, and imported media that may exist nowhere else."""

from __future__ import annotations

import os

from regenstore.doctor.check import NOTE, OK, WARNING, CheckContext, Findings
from regenstore.errors import RegenstoreError
from regenstore.objects.ids import Digest
from regenstore.quantities import counted
from regenstore.remotes.backends.opening import folder_of
from regenstore.worktree.location import in_worktree

LATELY = 30 * 86400.0


def _are(number: int) -> str:
    return counted(number, "imported medium is", "imported media are")


def remotes(context: CheckContext) -> Findings:
    """Contacts remotes only if the user asked for it."""
    named = context.remotes
    for each in named:
        if each.error is not None:
            yield WARNING, f"the remote {each.name} ({each.url}) cannot be used: {each.error.message}", each.error.hint
        elif each.remote is None:
            untrusted = f"the repository declares the remote {each.name} ({each.url}), which you have not approved"
            yield WARNING, untrusted, "Check the address, then run 'regenstore trust'."
        folder = folder_of(each.url, os.fsdecode(context.location.top))
        if folder is not None and in_worktree(folder, context.location):
            inside = f"the remote {each.name} ({each.url}) is inside the worktree: 'git clean' would remove it"
            yield WARNING, inside, "Move its folder, then run 'regenstore remote add' with --force."
    imported = _imported(context)
    if not named:
        if imported:
            remedy = "Run 'regenstore remote add NAME URL', then 'regenstore push'."
            yield NOTE, f"{_are(len(imported))} on no remote, because no remote is configured", remedy
    elif context.ask_remotes:
        yield from _asked(context, imported)
    else:
        since = context.now - LATELY
        usable = [each.remote for each in named if each.remote is not None]
        left = [d for d in imported if not any((r.last_confirmed(d) or 0.0) >= since for r in usable)]
        if left:
            what = f"{len(left)} of {len(imported)} imported media were not recently read back from a remote"
            yield (
                NOTE,
                what,
                "'regenstore doctor --remotes' asks whether remotes have them, 'regenstore push' sends them.",
            )
        yield OK, f"{len(usable)} of {len(named)} remotes can be used; none was contacted", ""


def _asked(context: CheckContext, imported: set[Digest]) -> Findings:
    left = set(imported)
    for each in context.remotes:
        if each.remote is None:
            continue
        try:
            found = each.remote.having(imported)
        except RegenstoreError as error:
            yield WARNING, f"the remote {each.name} does not answer: {error.message}", error.hint
            continue
        left -= found.keys()
        yield OK, f"the remote {each.name} has {len(found)} of {len(imported)} imported media", ""
    if left:
        yield WARNING, f"{_are(len(left))} on no remote that answered", "Run 'regenstore push'."


def _imported(context: CheckContext) -> set[Digest]:
    """The imported media that HEAD and the index refer to."""
    takes = (recipe.output.take for recipe in context.recipes.values() if recipe.imported)
    return {take.digest for take in takes if take is not None}
