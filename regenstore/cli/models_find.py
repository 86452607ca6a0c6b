"""``regenstore models find``"""

from __future__ import annotations

import sys

import click

from regenstore.cli.console import say
from regenstore.cli.context import emit_json, json_option
from regenstore.cli.model_rows import model_fields, show_models
from regenstore.config import model_index
from regenstore.models.finding import FoundModels
from regenstore.models.index import ModelIndex

_MEANING = {
    "blake3": "the file's BLAKE3",
    "sha256": "the file's SHA-256",
    "tensors": "the SHA-256 of its weights; files with other headers may have the same",
    "autov2": "AutoV2, the first 10 digits of its SHA-256",
    "autov3": "AutoV3, the first 12 digits of the SHA-256 of its weights",
    "autov1": "an 8-digit hash of a part of the file, which different files can share",
    "name": "its name",
    "case": "its name, but for upper and lower case",
    "stem": "its name without the extension",
    "alias": "the name in its header",
}


@click.command("find")
@click.argument("what", metavar="HASH|NAME")
@json_option
def command(what: str, as_json: bool) -> None:
    """Find models of the index by a hash (BLAKE3, SHA-256, AutoV1, AutoV2, AutoV3, SwarmUI's tensor hash, or at least 8
    of their first digits), or by a name as a program writes it.

    Exits with code 1 if nothing is found, or different files are.

    \b
    Examples:
      regenstore models find 31e35c80fc
      regenstore models find 0x2ba7b8f2a3c1
      regenstore models find sdxl/juggernaut_v9
    """
    finder = ModelIndex(model_index()).finder
    found = finder.by_digits(what)
    if not found.models:
        found = finder.named(what)
    one = len({each.hashes.blake3 for each in found.models}) == 1
    if as_json:
        models = [model_fields(each) for each in found.models]
        emit_json("models-find", {"asked": what, "by": found.by or None, "unambiguous": one, "models": models})
    else:
        _tell(what, found, one)
    sys.exit(0 if one else 1)


def _tell(what: str, found: FoundModels, one: bool) -> None:
    if not found.models:
        say(f"No model of the index has the hash or name {what!r}")
        return
    show_models(found.models, paths=True)
    say(f"found by {_MEANING[found.by]}")
    if not one:
        say("These are different files: a recipe that names only this stays unpinned.")
