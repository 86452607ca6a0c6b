"""``regenstore push``"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence

import click

from regenstore.cli.console import say, say_error
from regenstore.cli.context import emit_json, json_option, open_repository, show_path, size_text, worktree_paths
from regenstore.cli.presentation import counted
from regenstore.cli.transfers import Transfers
from regenstore.errors import InvalidInput, NotFound
from regenstore.fs.path_text import path_text
from regenstore.gc.content_names import names
from regenstore.objects.ids import Digest
from regenstore.refs.blobs import RecipeBlobs, read_blobs
from regenstore.remotes import push as pushing
from regenstore.remotes import scope
from regenstore.remotes.push import Pushed
from regenstore.remotes.remote import Remote
from regenstore.remotes.scope import Wanted
from regenstore.repository import Repository
from regenstore.tracked.workbench import select

_SHOWN = 20


@click.command()
@click.argument("arguments", nargs=-1, metavar="[REMOTE] [PATH]...")
@click.option("--all", "everything", is_flag=True, help="Push what all branches, tags, stashes and reflogs refer to.")
@click.option("--again", is_flag=True, help="Also send what is on the remote, after 'remote check' found wrong bytes.")
@click.option("--dry-run", "-n", is_flag=True, help="Show what would be sent; send nothing.")
@json_option
def command(arguments: tuple[str, ...], everything: bool, again: bool, dry_run: bool, as_json: bool) -> None:
    """Send media to a remote, with records of results and proofs: the takes of HEAD and the index, and their inputs.

    PATHS limit this to media at and below them. REMOTE may be omitted if there is only one. Contents that the remote
    has are not sent again; an interrupted push continues with the next. Exits with code 1 if something to be
    pushed is not on the remote in the end.

    \b
    Examples:
      regenstore push
      regenstore push studio shots/
      regenstore push studio --all --dry-run
      regenstore push studio --again refs/photo.png
    """
    repository = open_repository()
    name, rest = _remote_and_paths(repository, arguments)
    if everything and rest:
        raise InvalidInput("bad-parameter", "--all sends everything; it takes no paths", hint="Omit one of them.")
    remote = repository.remote_definitions.find(name)
    wanted = _everything(repository) if everything else wanted_here(repository, rest)
    what = pushing.load(repository.store, wanted)
    if dry_run:
        done = pushing.foresee(remote, what, again=again)
    else:
        with Transfers(as_json, f"to {remote.name}", what.here, lambda digest: label(wanted[digest])) as progress:
            done = pushing.push(remote, repository.cache, what, progress.told, progress.skipped, again=again)
    if as_json:
        emit_json("push", {"remote": remote.name, "url": remote.url, **_fields(done, wanted)})
    else:
        _tell(remote, done, wanted, dry_run)
    sys.exit(1 if done.missing or done.failed or done.untried else 0)


def _remote_and_paths(repository: Repository, arguments: Sequence[str]) -> tuple[str, Sequence[str]]:
    """The first argument is a remote if one has that name, or if it cannot be anything else."""
    named = repository.remote_definitions
    if arguments and arguments[0] in named.definitions:
        return arguments[0], arguments[1:]
    if arguments and not os.path.lexists(arguments[0]) and "/" not in arguments[0]:
        named.find(arguments[0])
    usable = [*named.remotes, *named.unusable] or list(named.untrusted)
    if not usable:
        raise NotFound("no-such-remote", "there is no remote yet", hint="Run 'regenstore remote add NAME URL'.")
    if len(usable) > 1:
        hint = f"Give one of: {', '.join(usable)}."
        raise InvalidInput("bad-parameter", f"there are {len(usable)} remotes: name one", hint=hint)
    return usable[0], arguments


def wanted_here(repository: Repository, arguments: Sequence[str] = ()) -> dict[Digest, Wanted]:
    """The contents that HEAD and the index refer to, at and below the paths."""
    said, paths = recipes_here(repository, arguments)
    return scope.wanted(said, paths, repository.cache)


def recipes_here(repository: Repository, arguments: Sequence[str]) -> tuple[RecipeBlobs, dict[bytes, bytes]]:
    """The recipes of HEAD and the index, at and below the paths, and a path for each."""
    repository.store.prepare()  # a fresh clone has none yet, and the content of blobs is cached there
    repository.roots.files.stamp()  # Git treats a HEAD or branch that it cannot read as missing
    found = scope.here(repository.git, repository.index.oids())
    chosen = select(found, worktree_paths(repository, arguments)) if arguments else list(found)
    paths = {oid: path for path in chosen for oid in found[path]}
    return read_blobs(repository.git, repository.cache, paths, remember=True), paths


def _everything(repository: Repository) -> dict[Digest, Wanted]:
    """The contents that all roots refer to."""
    repository.store.prepare()
    said = repository.roots.recipes(repository.cache, remember=True)
    known = names(repository.git, repository.cache)
    paths = {
        oid: os.fsencode(known[record.digest][0])
        for oid, record in said.records.items()
        if record.digest is not None and record.digest in known
    }
    return scope.wanted(said, paths, repository.cache)


def _fields(done: Pushed, wanted: Mapping[Digest, Wanted]) -> dict[str, object]:
    def row(each: Wanted) -> dict[str, object]:
        return {"digest": str(each.digest), "path": path_text(each.path) or None, "input": each.is_input}

    failed = [{**row(wanted[digest]), "error": e.kind, "message": e.message} for digest, e in done.failed.items()]
    sent = scope.in_order([wanted[digest] for digest in done.sent])
    return {
        "sent": [{**row(each), "size": done.sent[each.digest]} for each in sent],
        "sent_bytes": sum(done.sent.values()),
        "there": len(done.there),
        "missing": [row(each) for each in done.missing],
        "failed": failed,
        "untried": done.untried,
        "records": done.records,
    }


def _tell(remote: Remote, done: Pushed, wanted: Mapping[Digest, Wanted], dry_run: bool) -> None:
    sent = f"{counted(len(done.sent), 'content')} ({size_text(sum(done.sent.values()))})"
    there = f"; {len(done.there)} are already there" if done.there else ""
    if dry_run:
        say(f"Would send {sent} to {remote.name}{there}")
        for each in scope.in_order([wanted[digest] for digest in done.sent])[:_SHOWN]:
            say(f"  {size_text(done.sent[each.digest]):>8}  {label(each)}")
        if len(done.sent) > _SHOWN:
            say(f"  and {len(done.sent) - _SHOWN} more")
    elif done.sent or done.failed:
        say(f"Sent {sent} to {remote.name}{there}")
    elif not wanted:
        say("Nothing to send: no recipe is committed or staged")
    elif done.there or not done.missing:
        say(f"Everything is already on {remote.name} ({counted(len(done.there), 'content')})")
    if done.records:
        say(f"Sent {counted(done.records, 'result or proof', 'results and proofs')}")
    for each in done.missing[:_SHOWN]:
        say(f"regenstore: {label(each)}: not in the store, and not on {remote.name}", err=True)
    if done.missing:
        more = f" (and {len(done.missing) - _SHOWN} more)" if len(done.missing) > _SHOWN else ""
        say(f"  hint: make or fetch them first: regenstore get PATH{more}", err=True)
    for digest, error in list(done.failed.items())[:_SHOWN]:
        say_error(f"regenstore: {label(wanted[digest])}", error)
    left = done.untried + max(0, len(done.failed) - _SHOWN)
    if left:
        more = counted(left, "more content was", "more contents were")
        say(f"regenstore: {more} not sent; run the same command to continue", err=True)


def label(each: Wanted) -> str:
    """The name by which people know a content."""
    if not each.path:
        return str(each.digest)
    return f"an input of {show_path(each.path)}" if each.is_input else show_path(each.path)
