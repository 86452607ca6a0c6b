"""Events as receivers get them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from regenstore.schemas.parts import Amount, Count, DigestText, KeyText, Path, Record, Seconds, Text


class ManifestPlace(Record):
    """A file that lists the subjects of the event."""

    path: Path
    digest: DigestText
    size: Count
    member: Annotated[str, Field(description="Name within the archive at path, if path is an archive.")] = ""


class SidecarExportData(Record):
    files: Count


class DatasetExportData(Record):
    dataset: Path


class GeneratedMedium(Record):
    path: Path
    key: KeyText
    seconds: Seconds
    outputs: dict[str, DigestText]


class GenerationData(Record):
    media: list[GeneratedMedium]


class ProbedTake(Record):
    generator: str
    version: str
    path: str
    take: DigestText
    state: str
    reason: Text | None


class GcDone(Record):
    run: str | None
    evicted: Amount
    unreachable: Amount
    restored: Amount
    purged: Amount
    skipped: dict[str, Count]
    probes: list[ProbedTake]


class EventRecord(Record):
    """One event. It may be delivered twice, with the same id."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, validate_by_name=True, serialize_by_alias=True)

    schema_: Annotated[Literal["regenstore-event/1"], Field(alias="schema")]
    id: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
    event: Literal["export-sidecar", "export-dataset", "generation", "gc"]
    time: Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$", description="UTC.")]
    repository: Annotated[Path, Field(description="The top of the worktree.")]
    manifest: ManifestPlace | None
    data: SidecarExportData | DatasetExportData | GenerationData | GcDone
