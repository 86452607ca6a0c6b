"""JSON records kept in stores, on remotes and beside exports."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, JsonValue

from regenstore.schemas.events import EventRecord
from regenstore.schemas.parts import Count, DigestText, KeyText, Moment, Path, Record, Seconds, Standing, Tier


class OutputContent(Record):
    digest: DigestText
    size: Annotated[int, Field(ge=0, lt=1 << 63)]
    media_type: str


class ResultRecord(Record):
    """A result on a remote: a line in ``v1/records/``."""

    kind: Literal["result"]
    key: KeyText
    recipe: str
    outputs: dict[str, OutputContent]
    seconds: Seconds
    created: Moment
    fingerprint: dict[str, str]


class SecondRun(Record):
    second: DigestText
    tier: Tier
    metric: str
    score: float | None
    threshold: float | None
    seconds: Seconds
    created: Moment
    fingerprint: dict[str, str]


class ProofRecord(SecondRun):
    """A proof on a remote: a line in ``v1/records/``."""

    kind: Literal["proof"]
    key: KeyText
    take: DigestText


class CompactedRecord(Record):
    """The first line of a record file that a remote's gc has merged."""

    kind: Literal["compacted"]
    as_of: Annotated[float, Field(description="When the newest of the merged records was sent, by the remote's clock.")]


class TombstoneRecord(Record):
    """The mark of a content that a remote's gc may delete. Later versions may add fields."""

    model_config = ConfigDict(extra="ignore", strict=True, frozen=True, allow_inf_nan=False)

    marked: Moment
    size: Count
    tag: str
    modified: Moment


class EvictedRecord(Record):
    """A content that a gc took: a line of the run's manifest."""

    digest: DigestText
    size: Count
    media_type: str
    rule: str
    standing: Standing
    seconds: Seconds | None
    key: KeyText | None
    output: str
    recipe: Annotated[str | None, Field(description="The text of the recipe that brings it back.")]
    taken: bool
    proof: SecondRun | None


class SidecarFile(Record):
    path: Path
    digest: DigestText
    size: Count
    media: list[Path]
    template: str | None
    writer: str | None


class SidecarManifest(Record):
    """The list of files in an event about exported sidecars."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, validate_by_name=True, serialize_by_alias=True)

    schema_: Annotated[Literal["regenstore-sidecar-export/1"], Field(alias="schema")]
    files: list[SidecarFile]


class DatasetFile(Record):
    path: str
    size: Count
    digest: DigestText
    inside: Annotated[str, Field(alias="in", description="The dataset's archive that contains it.")] = ""


class DatasetSample(Record):
    source: Path
    digest: DigestText
    row: Annotated[str, Field(description="Hash of the sample's data in tables and in its JSON.")]
    split: Literal["train", "validation", "test"]
    group: str
    files: list[DatasetFile]


class DatasetManifestRecord(Record):
    """``manifest.json`` of a dataset."""

    format: Literal["regenstore.dataset"]
    version: Literal[1]
    layout: Literal["dir", "zip", "zip-splits", "webdataset"]
    kind: str
    export: Count
    revision: str | None
    created: JsonValue
    filters: list[str]
    split: dict[str, JsonValue]
    settings: dict[str, JsonValue]
    counts: dict[str, Count]
    removed: list[str]
    files: list[DatasetFile]
    ledger: dict[str, str]
    samples: dict[str, DatasetSample]


STORED: dict[str, type[Record]] = {
    "event": EventRecord,
    "remote-result": ResultRecord,
    "remote-proof": ProofRecord,
    "remote-compacted": CompactedRecord,
    "remote-tombstone": TombstoneRecord,
    "gc-manifest-line": EvictedRecord,
    "sidecar-manifest": SidecarManifest,
    "dataset-manifest": DatasetManifestRecord,
}
