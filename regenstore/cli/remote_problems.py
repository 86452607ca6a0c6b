"""Report remotes that could not be used."""

from __future__ import annotations

from regenstore.cli.console import say
from regenstore.repository import Repository


def tell_problems(repository: Repository) -> None:
    """Report the remotes that failed during a command, and those not contacted because they are not trusted."""
    for name, error in repository.remote_problems.items():
        say(f"warning: remote {name}: {error.message}", err=True)
    for name in repository.unasked_remotes:
        say(f"hint: remote {name} was not used: see 'regenstore remote list', then 'regenstore trust'", err=True)
