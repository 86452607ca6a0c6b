"""``regenstore trust``"""

from __future__ import annotations

import os
import time
from typing import NamedTuple

import click

from regenstore.cli.console import ask, say
from regenstore.cli.context import open_repository
from regenstore.errors import NotFound, TrustRequired
from regenstore.events.declaration import NAME as NOTIFY
from regenstore.events.declaration import read_notify
from regenstore.generators.declared import DeclaredGenerator
from regenstore.generators.registry import describe_files
from regenstore.project.repository_file import FILE, unknown_tables
from regenstore.project.trust import Approval
from regenstore.remotes.backends.opening import folder_of
from regenstore.repository import Repository


@click.command()
@click.argument("names", nargs=-1)
@click.option("--yes", "-y", is_flag=True, help="Approve without asking, for scripts.")
@click.option("--revoke", is_flag=True, help="Revoke the approval of NAMES.")
def command(names: tuple[str, ...], yes: bool, revoke: bool) -> None:
    """Approve what this repository declares in regenstore.toml: generators, remotes, and receivers of events; all of
    them, or NAMES.

    Shows what would run and which servers would be contacted before asking. Your approval is kept in your own
    configuration. It ends when the definition changes, or a file that it names or stands on: those listed in
    'files', by default every tracked file beside a script of this repository.

    \b
    Examples:
      regenstore trust
      regenstore trust voice --yes
      regenstore trust remotes.studio
      regenstore trust --revoke voice
    """
    repository = open_repository()
    record = repository.trust
    if revoke:
        for name in names:
            say(f"{name}: {record.revoke(name)} approvals revoked")
        return
    for unknown, near in unknown_tables(os.fsdecode(repository.location.top)).items():
        meant = f"; did you mean [{near}]?" if near else ""
        say(f"Warning: {FILE}: [{unknown}] is not a known table{meant}", err=True)
    declared = _declared(repository)
    for name in names:
        if name not in declared:
            raise NotFound("no-such-generator", f"this repository declares no '{name}'")
    asked = [declared[name] for name in names or declared if not declared[name].approved]
    if not asked:
        say("Nothing to approve" if declared else "This repository declares nothing")
        return
    for found in asked:
        say(found.title)
        for line in found.lines:
            say(f"  {line}")
    if not yes and not ask("Allow these to run, or be contacted, from your machine?", default=False):
        raise TrustRequired("untrusted-generator", "nothing was approved", hint="")
    for found in asked:
        record.approve(found.approval(time.time()))
        say(f"Trusted {found.name}")


class _Declared(NamedTuple):
    """A declaration that the user can approve."""

    name: str
    hash: str
    title: str
    lines: list[str]
    approved: bool
    generator: DeclaredGenerator | None = None

    def approval(self, now: float) -> Approval:
        """The approval to record."""
        given = self.generator
        if given is None:
            return Approval(self.hash, self.name, now)
        return Approval(self.hash, self.name, now, given.definition, dict(given.files), dict(given.beside))


def _declared(repository: Repository) -> dict[str, _Declared]:
    """The repository's declared generators, remotes and receivers of events."""
    registry, found = repository.registry, {}
    approved = repository.trust.approvals()
    for name, each in registry.read_declared(beside=True).items():
        lines = describe_files(each) + [f"changed: {line}" for line in registry.changes(each)]
        title = f"{name}, version {each.declaration.version}"
        found[name] = _Declared(name, each.hash, title, lines, registry.approves_beside(each), each)
    notify = read_notify(os.fsdecode(repository.location.top))
    if notify is not None:
        title = f"{NOTIFY}: receives events about what regenstore does here"
        found[NOTIFY] = _Declared(NOTIFY, notify.hash, title, notify.describe(), notify.hash in approved)
    for remote in repository.remote_definitions.definitions.values():
        if remote.hash is not None:
            title = f"{remote.trust_name}: media are fetched from there, and 'regenstore push' sends them there"
            folder = folder_of(remote.url, os.fsdecode(repository.location.top))
            lines = [f"url:    {remote.shown}"] + ([f"folder: {folder}"] if folder is not None else [])
            name = remote.trust_name
            found[name] = _Declared(name, remote.hash, title, lines, remote.hash in approved)
    return found
