"""``regenstore doctor``"""

from __future__ import annotations

import os
import shutil
import sys

import click

from regenstore.cli.console import say
from regenstore.cli.context import emit_json, json_option
from regenstore.cli.hints import hint_for
from regenstore.cli.presentation import Cell, Heading, counted, show_table
from regenstore.config import GitEnvironment, Settings
from regenstore.doctor import database
from regenstore.doctor.check import NOTE, OK, PROBLEM, WARNING, CheckContext, Diagnosis, NamedRemote, examine
from regenstore.doctor.checks import CHECKS
from regenstore.doctor.checks.rights import find, mend
from regenstore.errors import InvalidInput
from regenstore.gitfilter.install import git_values
from regenstore.gitfilter.launch import starter
from regenstore.repository import Repository

_STYLES = {OK: "good", NOTE: "", WARNING: "warn", PROBLEM: "error"}
_NOT_GITS = {"trustfile", "objectformat", "workerenvironment", "remotes", "netrc", "proxies"}


@click.command()
@click.option("--rebuild", is_flag=True, help="Rebuild the result database from Git's recipes.")
@click.option("--dry-run", "-n", is_flag=True, help="With --rebuild or --fix: only show what would be done.")
@click.option("--remotes", "ask_remotes", is_flag=True, help="Also ask remotes which imported media they have.")
@click.option("--fix", is_flag=True, help="First fix the permissions of your files in a shared store.")
@json_option
def command(rebuild: bool, dry_run: bool, ask_remotes: bool, fix: bool, as_json: bool) -> None:
    """Check the setup: Git, filter, attributes, hooks, generators, store, database, the repositories that share the
    store, and remotes. Changes nothing without an option. Each problem comes with a remedy. Remotes are contacted only
    with --remotes.

    --rebuild makes the result database again: every take that a recipe in Git records, and whose bytes the store
    has, is recorded as a result, and further results and proofs are recovered from damaged databases. The old
    database is kept. Exits with code 1 if there is a problem.

    \b
    Examples:
      regenstore doctor
      regenstore doctor --json
      regenstore doctor --remotes
      regenstore doctor --fix
      regenstore doctor --rebuild --dry-run
    """
    if dry_run and not (rebuild or fix):
        raise click.UsageError("--dry-run requires --rebuild or --fix; without them nothing is changed.")
    try:
        repository = Repository.discover(os.getcwd(), GitEnvironment.read(), bare=True)
    except InvalidInput as error:
        if rebuild:
            raise
        _report([Diagnosis("settings", PROBLEM, error.message, hint_for(error))], as_json)
        sys.exit(1)
    if rebuild:
        _rebuild(repository, dry_run, as_json)
        return
    if fix:
        wrong = find(repository.store.root)
        mended = sum(each.is_mine for each in wrong) if dry_run else mend(wrong)
        if mended and not as_json:
            have = "would get" if dry_run else "now have"
            say(f"{counted(mended, 'file or folder', 'files and folders')} {have} the permissions of their folder")
    findings = list(examine(CHECKS, _context(repository, ask_remotes)))
    _report(findings, as_json)
    sys.exit(1 if any(found.level == PROBLEM for found in findings) else 0)


def _context(repository: Repository, ask_remotes: bool = False) -> CheckContext:
    return CheckContext(
        git=repository.git,
        location=repository.location,
        store=repository.store,
        shared=repository.settings.store,
        registry=repository.registry,
        git_values=git_values(starter()),
        setting_names=frozenset(name.replace("_", "") for name in Settings._fields) - _NOT_GITS,
        reflink=repository.settings.reflink,
        find_remotes=lambda: _remotes(repository),
        ask_remotes=ask_remotes,
        environ=os.environ,
        python=sys.executable,
        on_path=shutil.which("regenstore"),
        bubblewrap=shutil.which("bwrap"),
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
        emit_json("doctor", {"findings": [found.fields() for found in findings]})
        return
    rows: list[tuple[str | Cell, ...]] = []
    for found in findings:
        rows.append((Cell(f"{found.level:<7}", _STYLES[found.level]), found.title))
        rows += [("", found.remedy)] if found.level != OK and found.remedy else []
    show_table((Heading(""), Heading("")), rows)
    bad = [found for found in findings if found.level in (WARNING, PROBLEM)]
    say("all is well" if not bad else f"{len(bad)} of {len(findings)} findings need a look")
