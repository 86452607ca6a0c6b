"""``regenstore generators``"""

from __future__ import annotations

import os

import click

from regenstore.cli.console import say
from regenstore.cli.context import emit_json, json_option
from regenstore.cli.presentation import Heading, show_table
from regenstore.config import GitEnvironment, load
from regenstore.errors import NotFound
from regenstore.generators.api import Declaration, InputSlot
from regenstore.generators.registry import RegisteredGenerator, Registry
from regenstore.generators.schema import Param
from regenstore.media.types import suffix_for
from regenstore.project.trust import TrustRecord
from regenstore.refs.git import Git
from regenstore.repository import Repository


@click.command()
@click.argument("name", required=False)
@json_option
def command(name: str | None, as_json: bool) -> None:
    """List generators, or show one with its parameters, inputs and media types.

    \b
    Examples:
      regenstore generators
      regenstore generators procedural.video
    """
    registry = _registry()
    known = [registry.find(name)] if name else registry.all()
    if as_json:
        emit_json("generators", {"generators": [_fields(k) for k in known]})
    elif name:
        _show(known[0])
    else:
        rows = []
        for k in known:
            note = "" if k.trusted else " (not trusted yet: 'regenstore trust')"
            rows.append((k.declaration.name, k.source, k.declaration.summary + note))
        show_table((Heading("generator"), Heading("from"), Heading("what it makes")), rows)


def _registry() -> Registry:
    """The repository's generators; outside a repository, the installed ones."""
    try:
        return Repository.discover(os.getcwd(), GitEnvironment.read()).registry
    except NotFound:
        return Registry(os.devnull, TrustRecord(load(Git(os.getcwd())).trust_file))


def _show(known: RegisteredGenerator) -> None:
    declaration = known.declaration
    say(f"{declaration.name}, version {declaration.version} ({known.source})")
    say(declaration.summary)
    say()
    say("Makes: " + ", ".join(f"{t} ({suffix_for(t)})" for t in declaration.media_types))
    say()
    show_table(
        (Heading("parameter"), Heading("type"), Heading("default"), Heading("meaning")),
        [(name, _range(p), _default(p), _meaning(p)) for name, p in declaration.params.params.items()],
    )
    slots = list(declaration.inputs.items())
    if declaration.more_inputs is not None:
        slots.append(("(any name)", declaration.more_inputs))
    if slots:
        say()
    rows = []
    for name, slot in slots:
        need = "required" if slot.required and slot is not declaration.more_inputs else ""
        rows.append((name, " or ".join(slot.kinds) or "any medium", need, slot.description))
    show_table((Heading("input"), Heading("kind"), Heading(""), Heading("meaning")), rows)


def _range(param: Param) -> str:
    words = ["choice" if param.choices else str(param.type)]
    if param.minimum is not None or param.maximum is not None:
        low = "" if param.minimum is None else f"{param.minimum:g}"
        high = "" if param.maximum is None else f"{param.maximum:g}"
        words.append(f"{low}..{high}")
    return " ".join(words)


def _default(param: Param) -> str:
    return "required" if param.required else "" if param.default is None else str(param.default)


def _meaning(param: Param) -> str:
    choices = f"one of {', '.join(map(str, param.choices))}" if param.choices else ""
    return "; ".join(filter(None, (param.description, choices)))


def _fields(known: RegisteredGenerator) -> dict[str, object]:
    declaration: Declaration = known.declaration

    def slot(given: InputSlot) -> dict[str, object]:
        return {"description": given.description, "kinds": list(given.kinds), "required": given.required}

    return {
        "name": declaration.name,
        "version": declaration.version,
        "source": known.source,
        "trusted": known.trusted,
        "summary": declaration.summary,
        "media_types": list(declaration.media_types),
        "params": {name: param.model_dump(exclude_defaults=True) for name, param in declaration.params.params.items()},
        "inputs": {name: slot(given) for name, given in declaration.inputs.items()},
        "more_inputs": None if declaration.more_inputs is None else slot(declaration.more_inputs),
    }
