"""``regenstore hook``, called by the scripts in ``hooks/``."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence

import click

from regenstore import config
from regenstore.cli.console import say
from regenstore.cli.context import show_path
from regenstore.config import GitEnvironment
from regenstore.errors import RegenstoreError
from regenstore.fs import durable, sharing
from regenstore.objects.ids import Digest
from regenstore.refs.registration import own_store
from regenstore.remotes.pre_push import Unshared, at_risk, unshared
from regenstore.remotes.scope import Wanted
from regenstore.repository import Repository
from regenstore.tracked.check import check_index

_SHOWN = 10
_TOLD = "no-remote-told"
"""A file that records that the user was told once about having no remote."""


@click.command()
@click.argument("name", type=click.Choice(["pre-commit", "pre-push"]))
@click.argument("arguments", nargs=-1)
def command(name: str, arguments: tuple[str, ...]) -> None:
    """Run a Git hook's check. Repairs, places and sends nothing.

    pre-commit refuses raw media, invalid recipes and conflict markers. pre-push lists imported media and unproven
    takes that no remote holds; if regenstore.prePush is 'refuse' it stops the push, if 'off' it does nothing.

    \b
    Example:
      exec regenstore hook pre-commit "$@"      # in .git/hooks/pre-commit
    """
    # The index may be locked now, so nothing is repaired or placed here.
    repository = Repository.discover(os.getcwd(), GitEnvironment.read())
    sys.exit(_before_push(repository, arguments) if name == "pre-push" else _before_commit(repository))


def _before_commit(repository: Repository) -> int:
    bench = repository.workbench
    staged = repository.git.staged()
    entries = {path: oid for path, oid in bench.tracked().items() if path in staged}
    found = list(check_index(repository.git, repository.blobs, entries, repository.cache, repository.store))
    for f in found:
        say(f"regenstore: {show_path(f.path)}: {f.message}", err=True)
    return 1 if found else 0


def _before_push(repository: Repository, arguments: Sequence[str]) -> int:
    mode = repository.settings.pre_push
    if mode == config.OFF:
        return 0
    lines = sys.stdin.buffer.read().decode(errors="surrogateescape").splitlines()
    try:
        repository.store.prepare()
        found = at_risk(repository.git, repository.cache, lines, arguments[0] if arguments else "origin")
        if not found:
            return 0
        if not repository.remote_definitions.definitions:
            _tell_once(repository, found)
            return 0
        left = unshared(repository.remotes.values(), found)
    except RegenstoreError as error:
        say(f"regenstore: cannot check whether media are shared: {error.message}", err=True)
        return 1 if mode == config.REFUSE else 0
    if not left.media:
        return 0
    _tell(repository, left)
    if mode == config.REFUSE:
        say("regenstore: the push was stopped (regenstore.prePush is 'refuse')", err=True)
        return 1
    return 0


def _tell(repository: Repository, left: Unshared) -> None:
    problems = {**repository.remote_definitions.unusable, **left.unasked}
    where = "on no reachable remote" if problems else "on no remote"
    say(f"regenstore: media in these commits that are {where}: {len(left.media)}", err=True)
    for each in left.media[:_SHOWN]:
        say(f"  {show_path(each.path)} ({'imported' if each.imported else 'unproven'})", err=True)
    if len(left.media) > _SHOWN:
        say(f"  and {len(left.media) - _SHOWN} more", err=True)
    for name, error in problems.items():
        say(f"  {name}: {error.message}", err=True)
    names = list(repository.remotes)
    if names:
        hint = "Other clones cannot get them. Send them: regenstore push " + (names[0] if len(names) == 1 else "NAME")
    else:
        waiting = ", ".join(repository.untrusted_remotes)
        hint = f"regenstore.toml declares {waiting}: run 'regenstore trust'" if waiting else "regenstore remote check"
    say(f"  hint: {hint}", err=True)


def _tell_once(repository: Repository, found: Mapping[Digest, Wanted]) -> None:
    """A user without remotes may not want any: tell them once, and only about media that nothing can bring back."""
    imported = [each for each in found.values() if each.imported]
    folder = own_store(repository.location.common_dir)
    if not imported or os.path.exists(f"{folder}/{_TOLD}"):
        return
    more = f" and {len(imported) - 1} more" if len(imported) > 1 else ""
    shown = f"{show_path(imported[0].path)}{more}"
    say(f"regenstore: these commits have imported media that only this machine has: {shown}", err=True)
    say("  hint: share them through a remote: regenstore remote add NAME URL; regenstore push (shown once)", err=True)
    sharing.make_folders(folder)
    durable.write_file(f"{folder}/{_TOLD}", b"")
