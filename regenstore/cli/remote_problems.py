"""Report remotes that could not be used."""

from __future__ import annotations

from regenstore.cli.console import say
from regenstore.repository import Repository


def tell_problems(repository: Repository) -> None:
    """Report the remotes that failed during a command, and those that were not contacted because they are not
    trusted."""
    elsewhere = repository.__dict__.get("elsewhere")
    if elsewhere is not None:
        for name, error in elsewhere.problems.items():
            say(f"warning: remote {name}: {error.message}", err=True)
    definitions = repository.__dict__.get("remote_definitions")
    for name in definitions.untrusted if definitions is not None else ():
        say(f"hint: remote {name} was not used: see 'regenstore remote list', then 'regenstore trust'", err=True)
