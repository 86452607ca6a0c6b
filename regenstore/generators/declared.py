"""Generators declared by a repository in ``regenstore.toml``: a program and its arguments.

::

    [generators.voice]
    version = "1"
    command = ["espeak-ng", "-s", "{speed}", "-w", "{output}", "--", "{text}"]
    media_type = "audio/wav"
    files = ["tools/voice/**"]        # default: the tracked files beside a script of the worktree
    [generators.voice.params.text]
    type = "string"

Reading a declaration runs nothing. Running one needs the user's trust, which is bound to the hash of the
definition, of every file that its command names, and of the files that it stands on (project/definition_files.py).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from regenstore.errors import RegenstoreError
from regenstore.generators.api import Cost, Declaration, InputSlot
from regenstore.generators.command import placeholders
from regenstore.generators.schema import Param, ParamSchema
from regenstore.objects.hash_cache import KnownHashes
from regenstore.project.definition_files import DefinitionFiles, Listing, NoListing
from regenstore.project.repository_file import FILE, bad_declaration, hash_of, read_table, resolve

_HASH_CONTEXT = "regenstore 2026-11 generator definition v1"


class _Input(BaseModel):
    model_config = ConfigDict(extra="forbid")

    description: str = ""
    kinds: tuple[Literal["image", "video", "audio"], ...] = ()
    required: bool = True


class _Definition(BaseModel):
    model_config = ConfigDict(extra="forbid")

    version: str = Field(min_length=1)
    command: list[str] = Field(min_length=1, max_length=1000)
    media_type: str = Field(pattern=r"^[a-z]+/[a-z0-9.+-]+$")
    files: list[str] | None = Field(default=None, max_length=1000)
    summary: str = ""
    params: dict[str, Param] = {}
    inputs: dict[str, _Input] = {}
    seconds: float | None = Field(default=None, ge=0)
    reproducible: bool = True

    @model_validator(mode="after")
    def _placeholders_are_known(self) -> _Definition:
        for name in self.params:
            if name in ("output", "params") or name.startswith("input."):
                raise ValueError(f"params.{name}: '{{{name}}}' is a reserved placeholder in commands")
        known = {"output", "params", *self.params, *(f"input.{name}" for name in self.inputs)}
        for name in placeholders(self.command):
            if name not in known:
                raise ValueError(f"command: '{{{name}}}' is neither a parameter nor an input")
        return self


@dataclass(frozen=True)
class DeclaredGenerator:
    """A generator declared by a repository, with the files that it would run."""

    declaration: Declaration
    argv: tuple[str, ...]
    files: tuple[tuple[str, str], ...]
    """Every file that the command names or the generator stands on, with its digest, or the reason why it has none."""
    hash: str
    definition: str
    """The hash of the definition alone, without its files."""
    beside: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    """Files beside its scripts that will count once Git tracks them; filled in only on request."""


def read_declared(
    top: str, listing: Listing | None = None, hashes: KnownHashes | None = None, *, beside: bool = False
) -> dict[str, DeclaredGenerator]:
    """Read the generators declared at a worktree's top. ``listing`` tells which files Git tracks.

    Raises FormatError (``bad-declaration``), and StorageError (``unreadable``) for a file that cannot be hashed.
    """
    table = read_table(top, "generators") or {}
    known = KnownHashes() if hashes is None else hashes
    found = {}
    for name, value in table.items():
        files = DefinitionFiles(top, f"generators.{name}", listing or NoListing(), known)
        found[name] = _declared(top, name, value, files, beside)
    return found


def _declared(top: str, name: str, value: object, stands_on: DefinitionFiles, beside: bool) -> DeclaredGenerator:
    definition = _definition(name, value)
    argv, files = resolve(top, definition.command)
    files, media = stands_on.recorded(files)
    scripts = [
        path
        for argument, path in zip(definition.command, argv)
        if os.path.isabs(path) and os.path.isfile(path) and _inside(top, path) and argument not in media
    ]
    more = stands_on.by_default(scripts) if definition.files is None else stands_on.named(definition.files)
    known = dict(files)
    files += tuple((path, digest) for path, digest in more if path not in known)
    try:
        alone = hash_of({"name": name, "definition": value}, _HASH_CONTEXT)
        hashed = hash_of({"name": name, "definition": value, "files": dict(files)}, _HASH_CONTEXT)
    except RegenstoreError as error:
        raise bad_declaration(f"generators.{name}", f": {error.message}") from None
    options: dict[str, object] = {"argv": list(argv), "hash": hashed, "top": top, "files": _watched(top, files)}
    untracked = stands_on.untracked(scripts) if beside and definition.files is None else ()
    made = _declaration(name, definition, options)
    return DeclaredGenerator(made, argv, files, hashed, alone, tuple(one for one in untracked if one[0] not in known))


def _definition(name: str, value: object) -> _Definition:
    try:
        return _Definition.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in ("generators", name, *first["loc"]))
        why = first["msg"].removeprefix("Value error, ")
        raise bad_declaration(where, f": {why}") from None


def _inside(top: str, path: str) -> bool:
    return os.path.abspath(path).startswith(os.path.abspath(top).rstrip("/") + "/")


def _watched(top: str, files: Sequence[tuple[str, str]]) -> dict[str, str]:
    """The files that are checked for changes while a program runs: path -> digest."""
    return {path: digest for name, digest in files if os.path.isfile(path := os.path.join(top, name)) and ":" in digest}


def _declaration(name: str, definition: _Definition, options: dict[str, object]) -> Declaration:
    cost = None if definition.seconds is None else Cost(definition.seconds)
    return Declaration(
        name=name,
        version=definition.version,
        summary=definition.summary or f"the program {definition.command[0]}, declared in {FILE}",
        params=ParamSchema(definition.params),
        media_types=(definition.media_type,),
        implementation="regenstore.generators.command:CommandGenerator",
        inputs={
            key: InputSlot(given.description, given.kinds, given.required) for key, given in definition.inputs.items()
        },
        estimate=None if cost is None else lambda params: cost,
        reproducible=definition.reproducible,
        options=options,
    )
