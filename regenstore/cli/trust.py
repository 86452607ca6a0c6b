"""``regenstore trust``"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import click

from regenstore.cli.console import ask, say
from regenstore.cli.context import dry_run_option, emit_json, json_option, open_repository
from regenstore.cli.presentation import counted
from regenstore.errors import NotFound, TrustRequired
from regenstore.events.declaration import NAME as NOTIFY
from regenstore.events.declaration import read_notify
from regenstore.generators.declared import DeclaredGenerator
from regenstore.generators.registry import describe_files
from regenstore.project.repository_file import FILE, unknown_tables
from regenstore.project.trust import Approval, TrustRecord
from regenstore.remotes.backends.opening import folder_of
from regenstore.repository import Repository


@click.command()
@click.argument("names", nargs=-1)
@click.option("--yes", "-y", is_flag=True, help="Approve without asking, for scripts.")
@click.option("--revoke", is_flag=True, help="Revoke the approval of NAMES.")
@dry_run_option
@json_option
def command(names: tuple[str, ...], yes: bool, revoke: bool, dry_run: bool, as_json: bool) -> None:
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
      regenstore trust --dry-run
    """
    repository = open_repository()
    if revoke:
        _revoke(repository.trust, names, dry_run, as_json)
        return
    unknown = unknown_tables(os.fsdecode(repository.location.top))
    for table, near in unknown.items():
        meant = f"; did you mean [{near}]?" if near else ""
        say(f"Warning: {FILE}: [{table}] is not a known table{meant}", err=True)
    declared = _declared(repository)
    for name in names:
        if name not in declared:
            raise NotFound("no-such-generator", f"this repository declares no '{name}'")
    asked = [declared[name] for name in names or declared if not declared[name].approved]
    if not as_json:
        _show(declared, asked)
    if asked and not (yes or dry_run):
        _ask(as_json)
    for found in () if dry_run else asked:
        repository.trust.approve(found.approval(time.time()))
        if not as_json:
            say(f"Trusted {found.name}")
    if as_json:
        _emit([found.fields() for found in declared.values()], [found.name for found in asked], {}, list(unknown))


def _show(declared: Mapping[str, _Declared], asked: Sequence[_Declared]) -> None:
    if not asked:
        say("Nothing to approve" if declared else "This repository declares nothing")
    for found in asked:
        say(found.title, style="bold")
        for line in found.lines:
            say(f"  {line}")


def _ask(as_json: bool) -> None:
    if as_json or not ask("Allow these to run, or be contacted, from your machine?", default=False):
        hint = "Check with --dry-run, then use --yes." if as_json else ""
        raise TrustRequired("untrusted-generator", "nothing was approved", hint=hint)


def _revoke(record: TrustRecord, names: Sequence[str], dry_run: bool, as_json: bool) -> None:
    given = [approval.generator for approval in record.approvals().values()]
    revoked = {name: given.count(name) if dry_run else record.revoke(name) for name in names}
    if as_json:
        _emit([], [], revoked, [])
        return
    for name, count in revoked.items():
        say(f"{name}: {counted(count, 'approval')} {'would be ' if dry_run else ''}revoked")


def _emit(declared: list[dict[str, object]], approved: list[str], revoked: dict[str, int], unknown: list[str]) -> None:
    emit_json("trust", {"declared": declared, "approved": approved, "revoked": revoked, "unknown_tables": unknown})


class _Declared(NamedTuple):
    """A declaration that the user can approve."""

    name: str
    hash: str
    title: str
    lines: list[str]
    approved: bool
    generator: DeclaredGenerator | None = None

    def fields(self) -> dict[str, object]:
        """For JSON output."""
        return {"name": self.name, "title": self.title, "lines": self.lines, "approved": self.approved}

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
