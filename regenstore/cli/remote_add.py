"""``regenstore remote add``"""

from __future__ import annotations

import os

import click

from regenstore import config
from regenstore.addresses import shown
from regenstore.cli.console import say
from regenstore.cli.context import emit_json, json_option, open_repository
from regenstore.cli.remote_abilities import abilities_fields, show_abilities
from regenstore.errors import Conflict, InvalidInput
from regenstore.remotes.backends.contract import NoPlace
from regenstore.remotes.backends.opening import folder_of
from regenstore.remotes.check import NEEDED_TO_READ, probe
from regenstore.remotes.definitions import GIT_CONFIG, Definition, require_no_password
from regenstore.remotes.settings import MOST_JOBS, NAME, RemoteSetting
from regenstore.repository import Repository
from regenstore.worktree.location import in_worktree


@click.command()
@click.argument("name")
@click.argument("url")
@click.option("--create", is_flag=True, help="Create the folder and its parents.")
@click.option("--jobs", type=click.IntRange(1, MOST_JOBS), help="Number of parallel transfers.")
@click.option("--limit", metavar="SIZE", help="Limit in bytes per second, such as 10m.")
@click.option("--force", is_flag=True, help="Replace an existing remote of that name.")
@click.option("--no-check", is_flag=True, help="Add it without contacting it.")
@click.option("--dry-run", "-n", is_flag=True, help="Check the arguments; contact nothing, and add nothing.")
@json_option
def command(
    name: str,
    url: str,
    create: bool,
    jobs: int | None,
    limit: str | None,
    force: bool,
    no_check: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Add a remote under NAME to this repository's Git configuration.

    URL is a folder (including mounted shares) or the address of a server. The remote is first tested with a small
    object that is removed again: its abilities are printed, and one that cannot be reached is not added. Do
    not put passwords in the URL: they are looked up with Git's credential helpers and in ~/.netrc.

    \b
    Examples:
      regenstore remote add studio /mnt/media/film --create
      regenstore remote add studio https://media.example.org/film --create --limit 10m
      regenstore remote add studio sftp://ada@media.example.org/srv/film --create
    """
    if not NAME.fullmatch(name):
        raise InvalidInput(
            "bad-parameter", f"{name!r} is not a valid remote name", hint="Use letters, digits, '-', '_'."
        )
    named = url if "://" in url else os.fsencode(url).decode(errors="replace")  # a folder's name need not be UTF-8
    if not url or not named.isprintable():
        raise InvalidInput(
            "bad-parameter", f"'{shown(url)}' is not an address", hint="Give a folder, or a server's address."
        )
    require_no_password(url)
    repository = open_repository()
    if name in repository.settings.remotes and not force:
        raise Conflict("exists", f"there is already a remote '{name}'", hint="Choose another name, or use --force.")
    setting = RemoteSetting(_absolute(url), jobs, _limit(limit))
    assert setting.url is not None
    folder = folder_of(setting.url, os.getcwd())
    if folder is not None and in_worktree(folder, repository.location):
        say(
            f"Warning: {shown(url)} is inside the worktree: 'git add' would take its files, 'git clean' remove them",
            err=True,
        )
    remote = repository.open_remote(Definition(name, setting.url, GIT_CONFIG, setting), create=create and not dry_run)
    abilities = None
    if not (no_check or dry_run):
        abilities = probe(remote.backend)
        if not abilities.can(*NEEDED_TO_READ) and abilities.problem is not None:
            raise abilities.problem
        if isinstance(missing := abilities.tried.get("write"), NoPlace):
            raise missing
    if not dry_run:
        _store(repository, name, setting, limit)
    if as_json:
        told = None if abilities is None else abilities_fields(abilities)
        emit_json("remote-added", {"name": name, "url": setting.url, "can": told})
        return
    if dry_run:
        say(f"would add {name}: {setting.url}; it was not contacted")
        return
    say(f"Added {name}: {setting.url}")
    if abilities is not None:
        show_abilities(abilities)
    say(f"Next: regenstore push {name}")


def _absolute(url: str) -> str:
    """Make a folder's path absolute, as commands run in any folder of the worktree."""
    folder = folder_of(url, os.getcwd())
    return url if folder is None or url.startswith("file://") else folder


def _limit(text: str | None) -> int | None:
    if text is None:
        return None
    try:
        return config.parse_size(text) or None
    except ValueError as error:
        raise InvalidInput("bad-parameter", f"--limit: expected {error}, found {text!r}", hint="") from None


def _store(repository: Repository, name: str, setting: RemoteSetting, limit: str | None) -> None:
    for key, value in (("url", setting.url), ("jobs", setting.jobs), ("limit", limit)):
        full = f"regenstore.remote.{name}.{key}"
        if value is None:
            repository.git.unset_config(full, check=False)
        else:
            repository.git.set_config(full, str(value))
