"""Generators that a repository declares in ``regenstore.toml``: a program and its argument list.

::

    [generators.voice]
    version = "1"
    command = ["espeak-ng", "-s", "{speed}", "-w", "{output}", "--", "{text}"]
    media_type = "audio/wav"
    [generators.voice.params.text]
    type = "string"

Reading a declaration runs nothing. Running one needs the user's trust, which is bound to the hash of the
definition and of every file that its command names.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from regenstore.errors import FormatError, RegenstoreError
from regenstore.generators.api import Cost, Declaration, InputSlot
from regenstore.generators.command import placeholders
from regenstore.generators.repository_file import FILE, hash_of, read_file, resolve
from regenstore.generators.schema import Param, ParamSchema

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
    summary: str = ""
    params: dict[str, Param] = {}
    inputs: dict[str, _Input] = {}
    seconds: float | None = Field(default=None, ge=0)
    reproducible: bool = True

    @model_validator(mode="after")
    def _placeholders_are_known(self) -> _Definition:
        for name in self.params:
            if name in ("output", "params") or name.startswith("input."):
                raise ValueError(f"params.{name}: '{{{name}}}' in a command means something else")
        known = {"output", "params", *self.params, *(f"input.{name}" for name in self.inputs)}
        for name in placeholders(self.command):
            if name not in known:
                raise ValueError(f"command: '{{{name}}}' is neither a parameter nor an input")
        return self


@dataclass(frozen=True)
class DeclaredGenerator:
    """A declaration from a repository, with what would run."""

    declaration: Declaration
    argv: tuple[str, ...]
    files: tuple[tuple[str, str], ...]
    """Every file the command names, with its digest (or why there is none)."""
    hash: str


def read_declared(top: str) -> dict[str, DeclaredGenerator]:
    """The generators declared at a worktree's top; raises FormatError (``bad-declaration``)."""
    table = read_file(top).get("generators", {})
    if not isinstance(table, dict):
        raise FormatError("bad-declaration", f"'generators' in {FILE} is no table")
    return {name: _declared(top, name, value) for name, value in table.items()}


def _declared(top: str, name: str, value: object) -> DeclaredGenerator:
    try:
        definition = _Definition.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in ("generators", name, *first["loc"]))
        why = first["msg"].removeprefix("Value error, ")
        raise FormatError("bad-declaration", f"{FILE}: {where}: {why}") from None
    argv, files = resolve(top, definition.command)
    try:
        hashed = hash_of({"name": name, "definition": value, "files": dict(files)}, _HASH_CONTEXT)
    except RegenstoreError as error:
        raise FormatError("bad-declaration", f"{FILE}: generators.{name}: {error.message}") from None
    cost = None if definition.seconds is None else Cost(definition.seconds)
    declaration = Declaration(
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
        options={"argv": list(argv), "hash": hashed},
    )
    return DeclaredGenerator(declaration, argv, files, hashed)
