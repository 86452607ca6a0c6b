"""``--json`` output about exports and templates."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, JsonValue

from regenstore.schemas.parts import Change, Count, DigestText, DryRun, Path, Printed, Record, Seconds, Text

DatasetVersion = Annotated[str, Field(description="That of the dataset's card: it changes with every export.")]

UNKNOWN = Field(description="Condition -> how many of the media that it dropped lack the number it compares.")


class SidecarRow(Record):
    path: Path
    media: list[Path]
    template: str | None
    writer: str | None
    written: bool


class FailedMedium(Record):
    """A medium that an export left out because it cannot be read or made."""

    path: Path
    kind: str
    message: str


class ExportSidecarRecord(Change):
    type: Literal["regenstore.export-sidecar"]
    files: list[SidecarRow]
    warnings: list[str]
    failed: list[FailedMedium]


class FieldRow(Record):
    target: str
    source: str | None
    value: str | None
    status: str
    note: str | None


class SidecarPreviewRow(Record):
    path: Path
    template: str | None
    writer: str | None
    media: list[Path]
    size: Count | None
    state: Literal["new", "unchanged", "overwrites"]
    fields: list[FieldRow]
    text: str | None
    problems: list[str]
    warnings: list[str]


class ExportSidecarPreviewRecord(Change):
    type: Literal["regenstore.export-sidecar-preview"]
    files: list[SidecarPreviewRow]
    warnings: list[str]
    failed: list[FailedMedium]


class TemplateRow(Record):
    name: str
    built_in: bool
    shadowed: bool
    about: str
    files: list[str]
    problems: list[str]


class TemplatesRecord(Printed):
    type: Literal["regenstore.templates"]
    templates: list[TemplateRow]


class TemplateOutput(Record):
    id: str
    writer: str
    file: str


class TemplateField(Record):
    output: str
    target: str
    source: str | None
    value: str | None
    format: str | None
    when_missing: str
    default: str | None


class TemplateRecord(Printed):
    type: Literal["regenstore.template"]
    name: str
    about: str
    bases: list[str]
    outputs: list[TemplateOutput]
    fields: list[TemplateField]


class MediumFields(Record):
    path: Path
    fields: dict[str, str | None]


class TemplateNewRecord(Change):
    type: Literal["regenstore.template-new"]
    name: str
    base: str
    path: Path


class TemplateDeleteRecord(Change):
    type: Literal["regenstore.template-delete"]
    name: str
    path: Path


class CheckedTemplate(Record):
    name: str
    problems: list[Text]
    warnings: list[Text]


class TemplateCheckRecord(Printed):
    type: Literal["regenstore.template-check"]
    templates: list[CheckedTemplate]


class TemplateFieldsRecord(Printed):
    type: Literal["regenstore.template-fields"]
    media: list[MediumFields]


class DatasetCounts(Record):
    splits: dict[str, Count]
    added: Count
    changed: Count
    removed: Count
    unchanged: Count
    notes: list[str]


class PlannedDataset(DatasetCounts):
    out: Path
    left_out: Count


class ExportDatasetPlanRecord(Change):
    """With one dataset, its fields are here; with several, they are in ``datasets``; with none, they are absent."""

    type: Literal["regenstore.export-dataset-plan"]
    considered: Count
    other: Count
    dropped: dict[str, int]
    kept: Count
    missing: Count
    unknown: Annotated[dict[str, Count], UNKNOWN]
    failed: list[FailedMedium]
    out: Path | None = None
    splits: dict[str, Count] | None = None
    added: Count | None = None
    changed: Count | None = None
    removed: Count | None = None
    unchanged: Count | None = None
    notes: list[str] | None = None
    left_out: Count | None = None
    datasets: list[PlannedDataset] | None = None


class ManifestDigest(Record):
    digest: DigestText


class WrittenDataset(DatasetCounts):
    out: Path
    format: str
    dataset_version: DatasetVersion
    dropped: dict[str, int]
    left_out: dict[str, str]
    manifest: ManifestDigest


class ExportDatasetRecord(Record):
    """With one dataset, its fields are here; several are in ``datasets``."""

    type: Literal["regenstore.export-dataset"]
    version: Literal[2]
    dry_run: DryRun
    out: Path
    format: str | None = None
    dataset_version: DatasetVersion | None = None
    dropped: dict[str, int] | None = None
    splits: dict[str, Count] | None = None
    added: Count | None = None
    changed: Count | None = None
    removed: Count | None = None
    unchanged: Count | None = None
    notes: list[str] | None = None
    left_out: dict[str, str] | None = None
    manifest: ManifestDigest | None = None
    datasets: list[WrittenDataset] | None = None
    unknown: Annotated[dict[str, Count], UNKNOWN]
    failed: list[FailedMedium]


class ScoreRow(Record):
    count: Count
    least: float
    mean: float
    most: float
    histogram: list[Count]


class DriftRow(Record):
    new: list[Path]
    changed: list[Path]
    gone: list[Path]


class ExportShowRecord(Record):
    type: Literal["regenstore.export-show"]
    version: Literal[2]
    format: str
    kind: str
    dataset_version: DatasetVersion
    revision: JsonValue
    splits: dict[str, Count]
    seconds: dict[str, Seconds]
    bytes: dict[str, Count]
    scores: dict[str, dict[str, ScoreRow]]
    labels: dict[str, dict[str, dict[str, Count]]]
    filters: list[str]
    removed: Count
    problems: list[str]
    drift: DriftRow | None
