"""``regenstore fetch``"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click

from regenstore.cli.console import say, say_error
from regenstore.cli.context import emit_json, json_option, open_repository, size_text
from regenstore.cli.push import label, recipes_here
from regenstore.cli.remote_problems import tell_problems
from regenstore.cli.transfers import Transfers
from regenstore.errors import NotFound, RegenstoreError
from regenstore.fs.path_text import path_text
from regenstore.remotes import fetch as fetching
from regenstore.remotes import scope
from regenstore.remotes.fetch import Fetch

_SHOWN = 20


@click.command()
@click.argument("paths", nargs=-1)
@click.option("--inputs", is_flag=True, help="Also fetch the inputs of the media.")
@click.option("--dry-run", "-n", is_flag=True, help="Only show what would be fetched.")
@json_option
def command(paths: tuple[str, ...], inputs: bool, dry_run: bool, as_json: bool) -> None:
    """Fetch contents that others pushed into the store: the media of HEAD and the index, or those at and below PATHS,
    and records of results and proofs. Nothing is made, and the worktree stays unchanged: 'regenstore get' places media.

    Exits with code 0 only if the store then has everything; with 1 if no remote has a content; and with an error's
    code if a content could not be fetched.

    \b
    Examples:
      regenstore fetch
      regenstore fetch shots/ --inputs
      regenstore fetch --dry-run
    """
    repository = open_repository()
    elsewhere = repository.elsewhere
    if elsewhere is None:
        tell_problems(repository)
        raise NotFound("no-such-remote", "there is no remote to fetch from")
    said, known = recipes_here(repository, paths)
    every = scope.wanted(said, known, repository.cache)
    wanted = {digest: each for digest, each in every.items() if inputs or not each.is_input}
    takeless = [(record, known[oid]) for oid, record in said.records.items() if record.digest is None]
    plan = fetching.plan(repository.store, elsewhere, wanted, takeless)
    if not dry_run:
        with Transfers(as_json, "fetching", plan.bring, lambda digest: label(plan.wanted[digest])) as progress:
            fetching.bring(elsewhere, plan, progress.told)
    tell_problems(repository)
    if as_json:
        emit_json("fetch-plan" if dry_run else "fetch", _fields(plan))
    else:
        _tell(plan, dry_run)
    sys.exit(_exit_code(plan, list(elsewhere.problems.values()), dry_run))


def _exit_code(plan: Fetch, problems: Sequence[RegenstoreError], dry_run: bool) -> int:
    """The exit code. Remotes that failed count if they might have what is still missing."""
    if plan.failed:
        return next(iter(plan.failed.values())).exit_code
    if plan.nowhere:
        return problems[0].exit_code if problems else 1
    asked_nobody = bool(problems) and not plan.there and not plan.brought and not (dry_run and plan.bring)
    return problems[0].exit_code if asked_nobody else 0


def _fields(plan: Fetch) -> dict[str, object]:
    def row(each: scope.Wanted) -> dict[str, object]:
        return {"digest": str(each.digest), "path": path_text(each.path) or None, "input": each.is_input}

    contents = [
        {**row(plan.wanted[digest]), "size": size, "error": plan.failed[digest].kind if digest in plan.failed else None}
        for digest, size in plan.bring.items()
    ]
    return {"there": plan.there, "contents": contents, "nowhere": [row(each) for each in plan.nowhere]}


def _tell(plan: Fetch, dry_run: bool) -> None:
    if dry_run:
        for each in scope.in_order([plan.wanted[digest] for digest in plan.bring])[:_SHOWN]:
            say(f"would fetch {label(each)}  {size_text(plan.bring[each.digest])}")
    for digest, error in list(plan.failed.items())[:_SHOWN]:
        say_error(f"regenstore: {label(plan.wanted[digest])}", error)
    for each in plan.nowhere[:_SHOWN]:
        say(f"regenstore: {label(each)}: not in the store, and no remote that answered has it", err=True)
    more = max(0, len(plan.failed) - _SHOWN) + max(0, len(plan.nowhere) - _SHOWN)
    if more:
        say(f"regenstore: and {more} more", err=True)
    size = size_text(sum(plan.bring.values()))
    moved = f"{len(plan.bring)} to fetch ({size})" if dry_run else f"{len(plan.brought)} fetched"
    nowhere = f", {len(plan.nowhere)} on no remote" if plan.nowhere else ""
    say(f"{moved}, {plan.there} in the store{nowhere}")
