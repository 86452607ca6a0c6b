"""``--json`` output of finding, comparing and adopting media."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, JsonValue

from regenstore.schemas.parts import Count, Path, Printed, Record
from regenstore.schemas.printed_paths import PastContentRow

FoundValue = bool | int | float | str


class FoundRow(Record):
    path: Path
    blob: Annotated[str, Field(description="The id of the recipe blob in Git.")]
    commit: Annotated[
        str | None, Field(description="With --all: the newest commit that put the recipe there; null if none did yet.")
    ]
    values: Annotated[dict[str, list[FoundValue]], Field(description="The values of each name that was asked for.")]


class FindRecord(Printed):
    type: Literal["regenstore.find"]
    expressions: list[str]
    found: list[FoundRow]
    unreadable: Annotated[Count, Field(description="Recipes that could not be read.")]


class TryRow(PastContentRow):
    number: Annotated[Count, Field(description="Counted from the oldest, which is 1.")]
    values: Annotated[dict[str, JsonValue], Field(description="Its values of the differing fields.")]


class TriesRecord(Printed):
    type: Literal["regenstore.tries"]
    path: Path
    differing: Annotated[list[str], Field(description="Fields in which the tries differ, and the seed.")]
    tries: list[TryRow]
