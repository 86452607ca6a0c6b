"""``regenstore remote check``"""

from __future__ import annotations

import random
import sys
from dataclasses import dataclass, field

import click

from regenstore.cli.console import say, say_error
from regenstore.cli.context import emit_json, json_option, open_repository, size_text
from regenstore.cli.presentation import counted, time_text
from regenstore.cli.push import wanted_here
from regenstore.cli.remote_abilities import abilities_fields, show_abilities
from regenstore.errors import NotFound, RegenstoreError
from regenstore.objects.ids import Digest
from regenstore.remotes.check import NEEDED_TO_PUSH, Abilities, ContentSample, probe, sample, speed
from regenstore.remotes.remote import Remote
from regenstore.repository import Repository

_CANDIDATES = 64
"""Number of contents to ask for, to find some that the remote has."""


@dataclass
class _Checked:
    name: str
    url: str
    abilities: Abilities = field(default_factory=Abilities)
    speed: tuple[float, float] | None = None
    sample: ContentSample | None = None
    error: RegenstoreError | None = None

    @property
    def fine(self) -> bool:
        """Whether it can be used, at least for reading, and has no wrong contents."""
        return self.error is None and not (self.sample and self.sample.wrong)


@click.command()
@click.argument("name", required=False)
@click.option(
    "--sample", "count", type=click.IntRange(0, 1000), default=5, help="Number of contents to read back and verify."
)
@json_option
def command(name: str | None, count: int, as_json: bool) -> None:
    """Test all remotes, or the one with the given NAME: whether they are reachable and accept the credentials, their
    abilities, and their speed.

    Writes a small object and one of up to 8 MiB below v1/probe/ and removes them; reads some contents back and
    verifies their digests, within the remote's bandwidth limit. Exits with code 1 if something is wrong.

    \b
    Examples:
      regenstore remote check
      regenstore remote check studio --sample 50
    """
    repository = open_repository()
    named = repository.remote_definitions
    if name is None and not named.definitions:
        raise NotFound("no-such-remote", "there is no remote yet", hint="Run 'regenstore remote add NAME URL'.")
    found = []
    for each in [name] if name is not None else named.definitions:
        try:
            found.append(_check(repository, named.find(each), count))
        except RegenstoreError as error:
            if name is not None:
                raise
            found.append(_Checked(each, named.definitions[each].shown, error=error))
    if as_json:
        emit_json("remote-check", {"remotes": [_row(each) for each in found]})
    else:
        for checked in found:
            _show(checked)
    sys.exit(0 if all(each.fine for each in found) else 1)


def _check(repository: Repository, remote: Remote, count: int) -> _Checked:
    checked = _Checked(remote.name, remote.url, probe(remote.backend))
    if not checked.abilities.can("answer"):
        checked.error = checked.abilities.problem
        return checked
    try:
        if checked.abilities.can(*NEEDED_TO_PUSH):
            checked.speed = speed(remote, repository.store)
        checked.sample = sample(remote, _candidates(repository), count)
    except RegenstoreError as error:
        checked.error = error
    return checked


def _candidates(repository: Repository) -> list[Digest]:
    """Some contents that HEAD and the index refer to."""
    wanted = list(wanted_here(repository))
    return random.sample(wanted, min(_CANDIDATES, len(wanted)))


def _row(checked: _Checked) -> dict[str, object]:
    rates, taken = checked.speed, checked.sample
    return {
        "name": checked.name,
        "url": checked.url,
        "fine": checked.fine,
        **abilities_fields(checked.abilities),
        "bytes_per_second": None if rates is None else {"to": round(rates[0]), "from": round(rates[1])},
        "sample": None
        if taken is None
        else {
            "asked": taken.asked,
            "there": taken.there,
            "sound": [str(digest) for digest in taken.sound],
            "wrong": [str(digest) for digest in taken.wrong],
        },
        "error": None if checked.error is None else {"kind": checked.error.kind, "message": checked.error.message},
    }


def _show(checked: _Checked) -> None:
    say(f"{checked.name}  {checked.url}", style="bold")
    if checked.abilities.can("answer"):
        show_abilities(checked.abilities)
    if checked.speed is not None:
        there, back = map(size_text, checked.speed)
        say(f"  upload {there}/s, download {back}/s; an answer takes {time_text(checked.abilities.latency)}")
    if checked.sample is not None and checked.sample.asked:
        taken = checked.sample
        read = f"; {len(taken.sound) + len(taken.wrong)} were read back, {len(taken.wrong)} with wrong bytes"
        say(
            f"  has {taken.there} of {counted(taken.asked, 'content')} that HEAD refers to{read if taken.there else ''}"
        )
        for digest in taken.wrong:
            say(
                f"  wrong bytes: {digest}; send it again with 'regenstore push --again' from a machine that has it",
                err=True,
            )
    if checked.error is not None:
        say_error(f"  {checked.name}", checked.error)
