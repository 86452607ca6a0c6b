"""``regenstore events``"""

from __future__ import annotations

import json
import sys

import click

from regenstore.cli.announce import deliver, outbox_of
from regenstore.cli.console import say
from regenstore.cli.context import emit_json, json_option, open_repository


@click.command()
@click.option("--deliver", "now", is_flag=True, help="Deliver now, even right after a failed attempt.")
@click.option("--forget", is_flag=True, help="Discard all pending events without delivering them.")
@json_option
def command(now: bool, forget: bool, as_json: bool) -> None:
    """Show pending events: those that the receivers in regenstore.toml's [notify] have not accepted yet.

    Every command tries to deliver them when it ends. An event may be delivered twice, with the same id.

    \b
    Examples:
      regenstore events
      regenstore events --deliver
    """
    repository = open_repository()
    outbox = outbox_of(repository)
    outbox.settle()
    told = deliver(repository, now=True) if now else None
    waiting = outbox.waiting()
    events = [json.loads(outbox.read(path)) for path in waiting]
    if forget:
        for path in waiting:
            outbox.delivered(path)
    if as_json:
        emit_json("events", {"delivered": told.delivered if told is not None else 0, "waiting": events})
    else:
        if told is not None:
            say(f"{told.delivered} delivered")
        for event in events:
            where = event["manifest"]["path"] if event["manifest"] else ""
            say(f"{event['time']}  {event['event']:<15}  {event['id']}  {where}".rstrip())
        if forget:
            say(f"{len(events)} discarded")
        elif not events and told is None:
            say("Nothing waits")
    if told is not None and told.error is not None:
        raise told.error
    sys.exit(0)
