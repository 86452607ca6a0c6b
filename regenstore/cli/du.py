"""``regenstore du``"""

from __future__ import annotations

import click

from regenstore.cli.console import say
from regenstore.cli.context import emit_json, json_option, open_repository, size_text
from regenstore.gc import content_names, trash, usage
from regenstore.proof.rules import RULES

_STATES = {
    usage.NEEDED: "kept: not proven to come back here, or needed",
    usage.EVICTABLE: "proven to come back here: 'regenstore gc' may evict it",
    usage.UNREACHABLE: "no root needs it, and nothing can bring it back: 'regenstore gc --unreachable' lists it",
}


@click.command()
@click.option("--by", type=click.Choice(usage.BY), default="state", help="How to group the contents.")
@json_option
def command(by: str, as_json: bool) -> None:
    """Show what the store contains and how much of it is evictable. Grouped by branch, a content counts once for each
    branch that has it.

    \b
    Examples:
      regenstore du
      regenstore du --by type
      regenstore du --by branch --json
    """
    repository = open_repository()
    store = repository.store
    survey = repository.surveyor.survey()
    found = usage.measure(
        store, survey, trash.copies(store), by, lambda: content_names.branches(repository.roots, repository.cache)
    )
    if as_json:
        emit_json("du", {"by": by, **found.fields(), "complete": survey.complete})
        return
    for name, share in found.rows.items():
        meaning = _STATES.get(name) or (RULES.get(name, "") if by == "proof" else "")
        say(f"{size_text(share.bytes):>9} {share.contents:>7}  {name:<20} {meaning}".rstrip())
    say(f"{size_text(found.contents.bytes):>9} {found.contents.contents:>7}  contents")
    if found.trash.contents:
        say(f"{size_text(found.trash.bytes):>9} {found.trash.contents:>7}  in the trash ('regenstore undo --list')")
    say(f"{size_text(found.other):>9}          database, manifests and other files")
    say(f"{size_text(found.total):>9}          total")
