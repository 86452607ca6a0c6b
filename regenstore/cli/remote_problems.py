"""What a command says of remotes that could not be asked."""

from __future__ import annotations

from regenstore.cli.console import say
from regenstore.repository import Repository


def tell_problems(repository: Repository) -> None:
    """Name the remotes that failed while a command worked, and those that it did not ask for want of trust."""
    elsewhere = repository.__dict__.get("elsewhere")
    if elsewhere is not None:
        for name, error in elsewhere.problems.items():
            say(f"warning: remote {name}: {error.message}", err=True)
    definitions = repository.__dict__.get("remote_definitions")
    for name in definitions.untrusted if definitions is not None else ():
        say(f"hint: remote {name} was not asked: look at 'regenstore remote list', then 'regenstore trust'", err=True)
