"""``regenstore undo``"""

from __future__ import annotations

import click

from regenstore.cli.console import say
from regenstore.cli.context import dry_run_option, emit_json, json_option, open_repository, size_text
from regenstore.cli.presentation import Heading, show_table
from regenstore.gc import undo


@click.command()
@click.argument("run", required=False)
@click.option("--list", "-l", "only_list", is_flag=True, help="List gc runs, and what each can restore.")
@dry_run_option
@json_option
def command(run: str | None, only_list: bool, dry_run: bool, as_json: bool) -> None:
    """Restore contents that the last gc, or RUN, evicted and has not deleted yet.

    Contents that were deleted are listed: if a recipe makes them, 'regenstore get' brings them back.

    \b
    Examples:
      regenstore undo
      regenstore undo --list
      regenstore undo --dry-run
      regenstore undo 20261104T091500Z-1f2e3d4c
    """
    repository = open_repository(bare=True)
    runs = undo.taken(repository.store)
    if only_list:
        if as_json:
            emit_json("undo-list", {"runs": [one.fields() for one in runs]})
        rows = []
        for one in [] if as_json else runs:
            size = size_text(sum(copy.size for copy in one.trashed)) if one.trashed else ""
            rows.append((one.run, f"{len(one.trashed)} in the trash", size, f"{len(one.gone)} deleted"))
        show_table((Heading("run"), Heading("can be restored"), Heading("size", right=True), Heading("gone")), rows)
        if not runs and not as_json:
            say("no gc has evicted anything yet")
        return
    chosen = undo.choose(runs, run)
    restored = chosen.trashed if dry_run else undo.undo(repository.store, chosen)
    if as_json:
        size_back = sum(copy.size for copy in restored)
        emit_json("undo", {**chosen.fields(), "restored": {"contents": len(restored), "bytes": size_back}})
        return
    done = "would be restored" if dry_run else "restored"
    say(f"{chosen.run}: {len(restored)} {done}, {size_text(sum(copy.size for copy in restored))}")
    for gone in chosen.gone:
        how = "'regenstore get' makes it again" if gone.recipe is not None else "nothing here can bring it back"
        say(f"deleted: {gone.digest.short}, {size_text(gone.size)}: {how}")
