"""``regenstore pin``"""

from __future__ import annotations

import time

import click

from regenstore.cli.console import say
from regenstore.cli.context import dry_run_option, emit_json, json_option, open_repository, paths_or_keys
from regenstore.refs.pins import pin_name, subject_of
from regenstore.tracked import pinning


@click.command()
@click.argument("what", metavar="PATH|KEY...", nargs=-1, required=True)
@click.option("--reason", default="", metavar="TEXT", help="Reason, shown by 'regenstore pins'.")
@dry_run_option
@json_option
def command(what: tuple[str, ...], reason: str, dry_run: bool, as_json: bool) -> None:
    """Keep all takes of the recipe at PATH, or of KEY, whether or not they are proven.

    A pin is a Git ref below refs/regenstore/pins/; push and fetch it to share it. A folder or pattern stands for its
    media. All are looked up before the first is pinned.

    \b
    Examples:
      regenstore pin shots/sh010.mp4 --reason "approved by the director"
      regenstore pin shots/ 'plates/*.png'
      regenstore pin $(regenstore show --key shots/sh010.mp4)
    """
    repository = open_repository()
    bench = repository.workbench
    targets = paths_or_keys(repository, what)
    recipes = [pinning.pinnable(bench, target) for target in targets]
    if dry_run:
        subjects = list(dict.fromkeys(subject_of(pin_name(recipe)) for recipe in recipes))
    else:
        pinned = [pinning.pin(bench, target, reason, time.time()) for target in targets]
        subjects = list(dict.fromkeys(pin.subject for pin in pinned))
    if as_json:
        emit_json("pin", {"subjects": subjects, "reason": reason or None})
        return
    for each in subjects:
        say(f"{'would pin' if dry_run else 'pinned'} {each}" + (f": {reason}" if reason else ""))
