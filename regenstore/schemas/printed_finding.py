"""``--json`` output of finding, comparing and adopting media."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, JsonValue

from regenstore.schemas.parts import Amount, Change, Count, DigestText, Failure, Path, Printed, Record
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


class TriesRecord(Change):
    type: Literal["regenstore.tries"]
    path: Path
    differing: Annotated[list[str], Field(description="Fields in which the tries differ, and the seed.")]
    tries: list[TryRow]


class AdoptedRow(Record):
    source: Annotated[Path, Field(description="Below the adopted folder.")]
    path: Annotated[Path, Field(description="Where the repository has the content.")]
    digest: DigestText
    size: Count
    media_type: str
    duplicate: Annotated[
        bool, Field(description="Whether the repository, or another file of the folder, had the content already.")
    ]
    level: Literal["graph", "parameters", "prompt", "provenance"] | None
    program: str | None


class AdoptRecord(Change):
    type: Literal["regenstore.adopt"]
    folder: Path
    files: list[AdoptedRow]
    levels: Annotated[dict[str, Amount], Field(description="New contents, by level; 'none' have no metadata.")]
    provable_bytes: Annotated[Count, Field(description="Bytes of new contents that could go once they are proven.")]
    others: Annotated[Count, Field(description="Files that are no media.")]
    links: Annotated[Count, Field(description="Links, which are not followed.")]
    removed: Count
    placed: Count
    tracked: Annotated[list[str], Field(description="Patterns that --track added.")]
    failed: list[Failure]
