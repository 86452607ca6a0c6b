"""What a command says of remotes that could not be asked."""

from __future__ import annotations

from regenstore.cli.console import say
from regenstore.repository import Repository


def tell_problems(repository: Repository) -> None:
    """Name the remotes that failed while a command worked, and those that it did not ask for want of trust."""
    for name, error in repository.remote_problems.items():
        say(f"warning: remote {name}: {error.message}", err=True)
    for name in repository.unasked_remotes:
        say(f"hint: remote {name} was not asked: look at 'regenstore remote list', then 'regenstore trust'", err=True)
