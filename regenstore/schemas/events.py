"""What receivers of events get."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from regenstore.schemas.parts import Amount, Count, DigestText, KeyText, Path, Record, Seconds, Text


class ManifestPlace(Record):
    """A file that lists what the event is about."""

    path: Path
    digest: DigestText
    size: Count
    member: Annotated[str, Field(description="Its name inside of the archive that path then is.")] = ""


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
    """One event. It may come twice; then its id is the same."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, validate_by_name=True, serialize_by_alias=True)

    schema_: Annotated[Literal["regenstore-event/1"], Field(alias="schema")]
    id: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
    event: Literal["export-sidecar", "export-dataset", "generation", "gc"]
    time: Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$", description="UTC.")]
    repository: Annotated[Path, Field(description="The top of the worktree.")]
    manifest: ManifestPlace | None
    data: SidecarExportData | DatasetExportData | GenerationData | GcDone
