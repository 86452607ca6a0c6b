"""Building blocks of the models."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from regenstore.fs.path_text import utf8_only

Path = Annotated[str, Field(description="A path; docs/json.md describes the form of paths that are not UTF-8.")]
DigestText = Annotated[str, Field(pattern=r"^blake3:[0-9a-f]{64}$", description="BLAKE3 of a content.")]
KeyText = Annotated[str, Field(pattern=r"^key:[0-9a-f]{64}$", description="A recipe key.")]
Count = Annotated[int, Field(ge=0)]
Seconds = Annotated[int | float, Field(ge=0), WithJsonSchema({"type": "number", "minimum": 0})]
Moment = Annotated[int | float, WithJsonSchema({"type": "number", "description": "Seconds since the epoch."})]
Tier = Literal["bytes", "content", "equivalent", "different"]
Standing = Annotated[str, Field(pattern=r"^(dead|superseded|tip|working)$")]
Text = Annotated[str, BeforeValidator(utf8_only, json_schema_input_type=str)]
"""Text of any origin: what UTF-8 cannot encode is quoted as in paths."""


class Record(BaseModel):
    """A JSON object with exactly these fields."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Printed(Record):
    """Output of a command with ``--json``. The version increases when a field is removed or changes its meaning."""

    version: Literal[1]


DryRun = Annotated[bool, Field(description="Whether --dry-run was given, so that nothing was changed.")]


class Change(Printed):
    """Output of a command that has a dry run."""

    dry_run: DryRun


class Amount(Record):
    contents: Count
    bytes: Count


class Failure(Record):
    path: Path
    kind: Annotated[str, Field(description="One of the kinds in docs/errors.md.")]
    message: str
