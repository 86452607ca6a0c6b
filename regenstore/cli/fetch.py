"""``regenstore fetch``"""

from __future__ import annotations

import sys

import click

from regenstore.cli.context import emit_json, json_option, open_repository, show_text, size_text, worktree_paths
from regenstore.cli.progress_lines import progress_for
from regenstore.cli.remote_problems import tell_problems
from regenstore.errors import NotFound, RegenstoreError
from regenstore.objects.ids import Digest
from regenstore.tracked import fetching


@click.command()
@click.argument("paths", nargs=-1)
@click.option("--inputs", is_flag=True, help="Also what the media were made from.")
@click.option("--dry-run", "-n", is_flag=True, help="Only show what would be fetched.")
@json_option
def command(paths: tuple[str, ...], inputs: bool, dry_run: bool, as_json: bool) -> None:
    """Bring what others pushed into the store: the media of all recipes, or of those at and below PATHS, and what
    is known of results and proofs. Nothing is made, and the worktree stays as it is: 'regenstore get' places media.

    \b
    Examples:
      regenstore fetch
      regenstore fetch shots/ --inputs
      regenstore fetch --dry-run
    """
    repository = open_repository()
    elsewhere = repository.elsewhere
    if elsewhere is None:
        raise NotFound("no-such-remote", "there is no remote to fetch from")
    bench = repository.workbench
    named = fetching.recipes_here(bench, worktree_paths(repository, paths))
    plan = fetching.plan(bench, elsewhere, named, inputs=inputs)
    failed: dict[Digest, RegenstoreError] = {}
    brought = 0
    if not dry_run:
        with progress_for(as_json, len(plan.bring)) as progress:
            done = dict.fromkeys(plan.bring, 0)

            def told(digest: Digest, count: int) -> None:
                done[digest] += count
                progress.advanced(plan.names[digest], min(1.0, done[digest] / max(1, plan.bring[digest])), "fetching")

            for digest in plan.bring:
                progress.started(plan.names[digest], None)
            for moved in elsewhere.bring(plan.bring, told):
                progress.finished(plan.names[moved.digest], moved.error)
                if moved.error is not None:
                    failed[moved.digest] = moved.error
                else:
                    brought += 1
    tell_problems(repository)
    if as_json:
        rows = [
            {"path": plan.names[d], "digest": str(d), "size": size, "error": failed[d].kind if d in failed else None}
            for d, size in plan.bring.items()
        ]
        nowhere = [{"path": plan.names[digest], "digest": str(digest)} for digest in plan.nowhere]
        emit_json("fetch-plan" if dry_run else "fetch", {"present": plan.there, "contents": rows, "nowhere": nowhere})
    else:
        _tell(plan, failed, brought, dry_run)
    sys.exit(next((error.exit_code for error in failed.values()), 0))


def _tell(plan: fetching.FetchPlan, failed: dict[Digest, RegenstoreError], brought: int, dry_run: bool) -> None:
    if dry_run:
        for digest, size in plan.bring.items():
            click.echo(f"would fetch {show_text(plan.names[digest])}  {size_text(size)}")
    for digest, error in failed.items():
        click.echo(f"regenstore: {show_text(plan.names[digest])}: {error.message}\n  hint: {error.hint}", err=True)
    moved = f"{len(plan.bring)} to fetch ({size_text(sum(plan.bring.values()))})" if dry_run else f"{brought} fetched"
    nowhere = f", {len(plan.nowhere)} on no remote" if plan.nowhere else ""
    click.echo(f"{moved}, {plan.there} in the store{nowhere}")
