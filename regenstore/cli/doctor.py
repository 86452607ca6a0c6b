"""``regenstore doctor``"""

from __future__ import annotations

import os
import shutil
import sys

import click

from regenstore.cli.console import say
from regenstore.cli.context import emit_json, json_option
from regenstore.cli.hints import hint_for
from regenstore.config import GitEnvironment, Settings
from regenstore.doctor import checks, database
from regenstore.doctor.context import OK, PROBLEM, WARNING, Diagnosis, NamedRemote, Patient
from regenstore.doctor.rights import find, mend
from regenstore.errors import InvalidInput
from regenstore.gitfilter.install import git_values
from regenstore.gitfilter.launch import starter
from regenstore.repository import Repository

_NOT_GITS = {"trustfile", "objectformat", "workerenvironment", "remotes", "netrc", "proxies"}


@click.command()
@click.option("--rebuild", is_flag=True, help="Make the result database again from Git's recipes.")
@click.option("--dry-run", "-n", is_flag=True, help="With --rebuild: only show what would be recorded.")
@click.option("--remotes", "ask_remotes", is_flag=True, help="Also ask remotes which imported media they have.")
@click.option("--fix", is_flag=True, help="First let all who share the store use what you made in it.")
@json_option
def command(rebuild: bool, dry_run: bool, ask_remotes: bool, fix: bool, as_json: bool) -> None:
    """Check how everything is set up: Git, filter, attributes, hooks, generators, store, database, the repositories
    that share the store, remotes. Changes nothing without an option; each finding that needs a look says what to
    do. No remote is asked anything without --remotes.

    With --rebuild, the result database is made again: every take that a recipe in Git records, and whose bytes
    the store has, is recorded as a result, and what damaged databases still tell of other results and of proofs
    is taken over. The old database is kept beside. Exit code 1 if there is a problem.

    \b
    Examples:
      regenstore doctor
      regenstore doctor --json
      regenstore doctor --remotes
      regenstore doctor --fix
      regenstore doctor --rebuild --dry-run
    """
    if dry_run and not rebuild:
        raise click.UsageError("--dry-run belongs to --rebuild; without it nothing is changed anyway.")
    try:
        repository = Repository.discover(os.getcwd(), GitEnvironment.read())
    except InvalidInput as error:
        if rebuild:
            raise
        _report([Diagnosis("settings", PROBLEM, error.message, hint_for(error))], as_json)
        sys.exit(1)
    if rebuild:
        _rebuild(repository, dry_run, as_json)
        return
    if fix:
        mended = mend(find(repository.store.root))
        if mended and not as_json:
            say(f"{mended} files and folders have the rights of their folder now")
    findings = list(checks.examine(_patient(repository, ask_remotes)))
    _report(findings, as_json)
    sys.exit(1 if any(found.level == PROBLEM for found in findings) else 0)


def _patient(repository: Repository, ask_remotes: bool = False) -> Patient:
    return Patient(
        repository.git,
        repository.location,
        repository.store,
        repository.registry,
        git_values(starter()),
        repository.settings.reflink,
        repository.settings.store,
        frozenset(name.replace("_", "") for name in Settings._fields) - _NOT_GITS,
        shutil.which("bwrap"),
        lambda: _remotes(repository),
        ask_remotes,
        os.environ,
        shutil.which("regenstore"),
        sys.executable,
    )


def _remotes(repository: Repository) -> list[NamedRemote]:
    named = repository.remote_definitions
    return [
        NamedRemote(name, each.shown, named.remotes.get(name), named.unusable.get(name))
        for name, each in named.definitions.items()
    ]


def _rebuild(repository: Repository, dry_run: bool, as_json: bool) -> None:
    plan = database.plan_rebuild(repository.store, repository.roots)
    if not as_json:
        for line in plan.lines():
            say(line)
    aside = None if dry_run else database.rebuild(repository.store, plan)
    repository.close()
    if as_json:
        emit_json("doctor-rebuild", {**plan.fields(), "done": not dry_run, "old": aside})
    elif aside is not None:
        say(f"the old database is {aside}")


def _report(findings: list[Diagnosis], as_json: bool) -> None:
    if as_json:
        rows = [{"check": f.check, "level": f.level, "message": f.message, "remedy": f.remedy} for f in findings]
        emit_json("doctor", {"findings": rows})
        return
    for found in findings:
        say(f"{found.level:<8} {found.check.replace('_', ' ')}: {found.message}")
        if found.remedy and found.level != OK:
            say(f"           {found.remedy}")
    bad = [found for found in findings if found.level in (WARNING, PROBLEM)]
    say("all is well" if not bad else f"{len(bad)} of {len(findings)} findings need a look")
