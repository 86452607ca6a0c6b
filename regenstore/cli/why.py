"""``regenstore why``"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

import click

from regenstore.capture.captured import LEVELS
from regenstore.cli.context import (
    emit_json,
    for_each,
    json_lines_option,
    open_repository,
    show_path,
    size_text,
    worktree_paths,
)
from regenstore.cli.presentation import Heading, counted, headline, show_table, time_text
from regenstore.config import OWN
from regenstore.fs.path_text import path_text
from regenstore.objects.recipe import Recipe
from regenstore.proof.rules import RULES, Judgement
from regenstore.proof.survey import STANDINGS, JudgedContent
from regenstore.repository import Repository
from regenstore.tracked.why import NOT_COVERED, Why, why

_SHOWN = 4


@click.command()
@click.argument("paths", nargs=-1, required=True)
@json_lines_option
def command(paths: tuple[str, ...], as_json: bool) -> None:
    """Explain why the media at PATHS are kept or evictable: the rule, its proof, its cost, what depends on them, and
    which roots hold them. Deletes nothing.

    \b
    Examples:
      regenstore why shots/sh010.mp4
      regenstore why shots/ --json | jq -r '.path + ": " + .rule'
    """
    repository = open_repository()
    named = repository.workbench.named(worktree_paths(repository, paths))

    def show(path: bytes) -> None:
        found = why(repository.workbench, path)
        if as_json:
            emit_json("why", _fields(found))
            return
        finding = found.finding
        detail = f" ({finding.detail})" if finding.detail else ""
        headline(f"{show_path(path)}: {finding.state}: {RULES[finding.rule]}{detail}", first=path == named[0])
        show_table((Heading(""), Heading("")), [(f"  {name}", text) for name, text in _rows(repository, found)])

    for_each(named, show)


def _rows(repository: Repository, found: Why) -> Iterator[tuple[str, str]]:
    """The lines about a medium, each with its name; further lines of the same name have none."""
    take, finding = found.recipe.output.take, found.finding
    if take is not None:
        here = "in the store" if found.stored else "not in the store"
        yield "take", f"{take.digest.short}, {size_text(take.size)}, {here}"
    yield from _about_capture(found.recipe)
    yield from _about_proof(finding)
    if found.unchanged is not None and finding.proof is not None:
        yield "unchanged", "; ".join(found.unchanged.covers)
        if found.unchanged.probed:
            yield "", f"unknown: {', '.join(NOT_COVERED)}; so gc makes a take once more first"
    if (others := _others(repository, found)) and repository.settings.proofs == OWN:
        yield (
            "others",
            f"{counted(others, 'proof')} by others; with regenstore.proofs=shared, those of this environment count",
        )
    if found.entry is not None:
        yield from _about_entry(found.entry)
    if found.pin is not None and finding.rule != "pinned":
        yield "pinned", found.pin.reason or "without a reason"
    yield "input of", _some([show_path(path) for path in found.dependents])
    yield "roots", _some(found.roots)


def _others(repository: Repository, found: Why) -> int:
    """The number of proofs of the take that came from remotes."""
    take, elsewhere = found.recipe.output.take, repository.elsewhere
    if take is None or elsewhere is None:
        return 0
    return sum((proof.key, proof.take) == (found.recipe.key, take.digest) for proof in elsewhere.proofs())


def _about_capture(recipe: Recipe) -> Iterator[tuple[str, str]]:
    level, about = recipe.captured, recipe.about
    if level is None:
        return
    yield "captured", f"{LEVELS.get(level, level)} of {about.get('program', 'an unknown program')}; nothing was run"
    if missing := [str(each) for each in about.get("missing", ())]:
        yield "", "not recorded: " + "; ".join(missing)


def _about_proof(finding: Judgement) -> Iterator[tuple[str, str]]:
    if finding.others:
        yield "varies", "runs in this environment gave other bytes too: " + _some([d.short for d in finding.others])
    proof = finding.proof
    if proof is None:
        return
    score = "" if proof.score is None else f", {proof.metric} {proof.score:g} (at least {proof.threshold:g})"
    day = time.strftime("%Y-%m-%d", time.localtime(proof.created))
    where = "holds in this environment" if finding.holds else "does not hold here now"
    yield "proof", f"{proof.tier}{score}, {day}, {where}"
    for name, (then, now) in finding.differs.items():
        yield "", f"{name}: {then or 'none'} then, {now or 'none'} here"


def _about_entry(entry: JudgedContent) -> Iterator[tuple[str, str]]:
    if entry.recipe_key is not None:
        own = "not known" if entry.own is None else time_text(entry.own)
        if entry.closure != entry.own:
            every = "not known" if entry.closure is None else time_text(entry.closure)
            own += f"; with the inputs that are not in the store: {every}"
        yield "cost", own
    yield "standing", STANDINGS[entry.standing]
    others = entry.referrers[1:]
    if others:
        keys = ["imported media" if r.key is None else f"key:{r.key.short}" for r in others]
        yield "take of", f"{_some(list(dict.fromkeys(keys)))} too"


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
