"""``regenstore du``"""

from __future__ import annotations

import click

from regenstore.cli.context import emit_json, json_option, open_repository, size_text
from regenstore.cli.presentation import Cell, Heading, show_table
from regenstore.gc import content_names, trash, usage
from regenstore.proof.rules import RULES

_STATES = {
    usage.NEEDED: "not proven to come back here, or needed",
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
    repository = open_repository(bare=True)
    store = repository.store
    survey = repository.surveyor.survey()
    found = usage.measure(
        store, survey, trash.copies(store), by, lambda: content_names.branches(repository.roots, repository.cache)
    )
    if as_json:
        emit_json("du", {"by": by, **found.fields(), "complete": survey.complete})
        return
    rows: list[tuple[str | Cell, ...]] = []
    for name, share in found.rows.items():
        meaning = _STATES.get(name) or (RULES.get(name, "") if by == "proof" else "")
        rows.append((size_text(share.bytes), f"{share.contents:,}", name, meaning))
    rows.append((size_text(found.contents.bytes), f"{found.contents.contents:,}", "contents", ""))
    if found.trash.contents:
        rows.append(
            (size_text(found.trash.bytes), f"{found.trash.contents:,}", "in the trash", "'regenstore undo' restores it")
        )
    rows.append((size_text(found.other), "", "other files", "database, manifests and other records"))
    rows.append((Cell(size_text(found.total), "bold"), "", Cell("total", "bold"), ""))
    show_table((Heading("size", right=True), Heading("number", right=True), Heading(by), Heading("meaning")), rows)
