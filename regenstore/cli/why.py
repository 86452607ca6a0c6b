"""``regenstore why``"""

from __future__ import annotations

import time
from collections.abc import Sequence

import click

from regenstore.capture.captured import LEVELS
from regenstore.cli.console import say, visible
from regenstore.cli.context import (
    emit_json,
    json_option,
    open_repository,
    show_path,
    size_text,
    worktree_path,
)
from regenstore.cli.presentation import time_text
from regenstore.config import OWN
from regenstore.fs.path_text import path_text
from regenstore.objects.recipe import Recipe
from regenstore.proof.rules import RULES, Judgement
from regenstore.proof.survey import STANDINGS, JudgedContent
from regenstore.repository import Repository
from regenstore.tracked.why import NOT_COVERED, Why, why

_SHOWN = 4


@click.command()
@click.argument("path")
@json_option
def command(path: str, as_json: bool) -> None:
    """Explain why the medium at PATH is kept or evictable: the rule, its proof, its cost, what depends on it, and which
    roots hold it. Deletes nothing.

    \b
    Examples:
      regenstore why shots/sh010.mp4
      regenstore why shots/sh010.mp4 --json | jq -r .rule
    """
    repository = open_repository()
    found = why(repository.workbench, worktree_path(repository, path))
    if as_json:
        emit_json("why", _fields(found))
        return
    finding = found.finding
    detail = f" ({visible(finding.detail)})" if finding.detail else ""
    say(f"{show_path(found.path)}: {finding.state}: {RULES[finding.rule]}{detail}")
    take = found.recipe.output.take
    if take is not None:
        here = "in the store" if found.stored else "not in the store"
        say(f"  take      {take.digest.short}, {size_text(take.size)}, {here}")
    _tell_captured(found.recipe)
    _tell_proof(finding)
    if found.unchanged is not None and finding.proof is not None:
        say("  unchanged " + "; ".join(found.unchanged.covers))
        if found.unchanged.probed:
            say(f"            unknown: {', '.join(NOT_COVERED)}; so gc makes a take once more first")
    if (others := _others(repository, found)) and repository.settings.proofs == OWN:
        say(f"  others    {others} proofs by others; with regenstore.proofs=shared, those of this environment count")
    if found.entry is not None:
        _tell_entry(found.entry)
    if found.pin is not None and finding.rule != "pinned":
        say("  pinned    " + (found.pin.reason or "without a reason"))
    say("  input of  " + _some([show_path(path) for path in found.dependents]))
    say("  roots     " + _some(found.roots))


def _others(repository: Repository, found: Why) -> int:
    """The number of proofs of the take that came from remotes."""
    take, elsewhere = found.recipe.output.take, repository.elsewhere
    if take is None or elsewhere is None:
        return 0
    return sum((proof.key, proof.take) == (found.recipe.key, take.digest) for proof in elsewhere.proofs())


def _tell_captured(recipe: Recipe) -> None:
    level, about = recipe.captured, recipe.about
    if level is None:
        return
    say(f"  captured  {LEVELS.get(level, level)} of {about.get('program', 'an unknown program')}; nothing was run")
    if missing := [str(each) for each in about.get("missing", ())]:
        say("            not recorded: " + "; ".join(missing))


def _tell_proof(finding: Judgement) -> None:
    if finding.others:
        say("  varies    runs in this environment gave other bytes too: " + _some([d.short for d in finding.others]))
    proof = finding.proof
    if proof is None:
        return
    score = "" if proof.score is None else f", {proof.metric} {proof.score:g} (at least {proof.threshold:g})"
    day = time.strftime("%Y-%m-%d", time.localtime(proof.created))
    where = "holds in this environment" if finding.holds else "does not hold here now"
    say(f"  proof     {proof.tier}{score}, {day}, {where}")
    for name, (then, now) in finding.differs.items():
        say(f"            {name}: {then or 'none'} then, {now or 'none'} here")


def _tell_entry(entry: JudgedContent) -> None:
    if entry.recipe_key is not None:
        own = "not known" if entry.own is None else time_text(entry.own)
        if entry.closure != entry.own:
            every = "not known" if entry.closure is None else time_text(entry.closure)
            own += f"; with the inputs that are not in the store: {every}"
        say(f"  cost      {own}")
    say(f"  standing  {STANDINGS[entry.standing]}")
    others = entry.referrers[1:]
    if others:
        keys = ["imported media" if r.key is None else f"key:{r.key.short}" for r in others]
        say(f"  take of   {_some(list(dict.fromkeys(keys)))} too")


def _some(names: Sequence[str]) -> str:
    """A few of many names, with the number of the others."""
    if not names:
        return "none"
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def _fields(found: Why) -> dict[str, object]:
    finding, take = found.finding, found.recipe.output.take
    proof, entry = finding.proof, found.entry
    return {
        "path": path_text(found.path),
        "state": finding.state,
        "rule": finding.rule,
        "meaning": RULES[finding.rule],
        "detail": finding.detail or None,
        "key": None if found.recipe.key is None else str(found.recipe.key),
        "take": None if take is None else str(take.digest),
        "size": None if take is None else take.size,
        "stored": found.stored,
        "captured": found.recipe.captured,
        "proof": None
        if proof is None
        else {
            "tier": proof.tier,
            "metric": proof.metric or None,
            "score": proof.score,
            "threshold": proof.threshold,
            "created": proof.created,
            "holds": finding.holds,
            "differs": [{"name": n, "then": then, "here": here} for n, (then, here) in finding.differs.items()],
        },
        "unchanged": None
        if found.unchanged is None
        else {
            "covers": list(found.unchanged.covers),
            "not_covered": list(NOT_COVERED) if found.unchanged.probed else [],
            "probed": found.unchanged.probed,
        },
        "others": [str(digest) for digest in finding.others],
        "cost": None
        if entry is None or entry.recipe_key is None
        else {"own": entry.own, "closure": entry.closure, "key": str(entry.recipe_key)},
        "standing": None if entry is None else entry.standing.name.lower(),
        "referrers": []
        if entry is None
        else [
            {"key": None if r.key is None else str(r.key), "standing": r.standing.name.lower(), "where": r.where}
            for r in entry.referrers
        ],
        "input_of": [path_text(path) for path in found.dependents],
        "roots": list(found.roots),
        "pin": None if found.pin is None else {"reason": found.pin.reason or None, "created": found.pin.created},
    }
