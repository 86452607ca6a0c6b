"""``--json`` output about a store (its space, health and events), and progress."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from regenstore.schemas.events import EventRecord, GcDone
from regenstore.schemas.parts import (
    Amount,
    Change,
    Count,
    DigestText,
    KeyText,
    Path,
    Printed,
    Record,
    Seconds,
    Standing,
    Text,
)

# ------------------------------------------------------------------------------------------- space


class PlannedContent(Record):
    digest: DigestText
    size: Count
    paths: list[Path]
    media_type: str | None
    key: KeyText | None
    rule: str
    standing: Standing
    seconds: Seconds | None


class TrashedCopy(Record):
    digest: DigestText
    size: Count
    run: str | None


class TrashPlan(Record):
    restore: list[TrashedCopy]
    purge: list[TrashedCopy]
    waiting: list[TrashedCopy]


class ProbeRow(Record):
    generator: str
    version: str
    take: DigestText
    key: KeyText
    paths: list[str]
    seconds: Seconds | None


class GcPlanFields(Record):
    evict: list[PlannedContent]
    unreachable: list[PlannedContent]
    trash: TrashPlan
    kept: dict[str, Amount]
    probes: list[ProbeRow]
    probe_seconds: Seconds
    probe_budget: Seconds
    evictable_and_kept: Amount
    bytes: Count
    seconds: Seconds | None
    total_bytes: Count
    freed_at_once: Count
    asked: Count
    short: Count
    complete: bool
    problems: list[Text]


class GcPlanRecord(Change, GcPlanFields):
    type: Literal["regenstore.gc-plan"]


class GcRecord(Change):
    type: Literal["regenstore.gc"]
    plan: GcPlanFields
    done: GcDone


class DeletedContent(Record):
    digest: DigestText
    size: Count
    recipe: bool


class GcRun(Record):
    run: str
    in_trash: Amount
    deleted: list[DeletedContent]


class UndoListRecord(Change):
    type: Literal["regenstore.undo-list"]
    runs: list[GcRun]


class UndoRecord(Change, GcRun):
    type: Literal["regenstore.undo"]
    restored: Amount


class DuRecord(Printed):
    type: Literal["regenstore.du"]
    by: str
    total_bytes: Count
    contents: Amount
    trash: Amount
    other_bytes: Count
    states: dict[str, Amount]
    rows: dict[str, Amount]
    complete: bool


# ------------------------------------------------------------------------------------------- looking after a store


class BadFile(Record):
    path: Path
    why: str
    named: DigestText | None
    found: DigestText | None
    size: Count | None


class DatabaseState(Record):
    state: str
    problems: list[str]
    outputs_without_bytes: Count


class MissingContent(Record):
    digest: DigestText
    size: Count | None
    path: Path
    last_seen: str
    roots: list[str]
    repair: str
    source: str | None
    reason: str


class InvalidBlob(Record):
    path: Path
    kind: str
    message: str
    last_seen: str


class RepairStep(Record):
    what: str
    subject: str
    ok: bool
    message: str


class FsckRecord(Change):
    type: Literal["regenstore.fsck"]
    well: bool
    contents: Count
    bytes: Count
    recipes: Count
    bad: list[BadFile]
    database: DatabaseState
    missing: list[MissingContent]
    can_be_made_again: Count
    in_trash: Count
    invalid: list[InvalidBlob]
    manifests: list[str]
    wrong_copies: Annotated[list[str], Field(description="Worktree files with wrong bytes that the store had.")]
    problems: list[str]
    notes: list[str]
    leftovers: Count
    seconds: Seconds | None
    done: list[RepairStep]


class DoctorFinding(Record):
    check: str
    level: str
    message: str
    remedy: str


class DoctorRecord(Change):
    type: Literal["regenstore.doctor"]
    findings: list[DoctorFinding]


class DoctorRebuildRecord(Change):
    type: Literal["regenstore.doctor-rebuild"]
    database: DatabaseState
    recipe_blobs: Count
    results: Count
    takes_without_bytes: int
    evicted: Count
    salvaged_results: Count
    salvaged_proofs: Count
    not_whole: list[str]
    done: bool
    old: str | None


class EventsRecord(Printed):
    type: Literal["regenstore.events"]
    delivered: Count
    waiting: list[EventRecord]


class ProgressRecord(Printed):
    """A progress line on standard error."""

    type: Literal["regenstore.progress"]
    what: Literal["started", "advanced", "finished"]
    item: Path
    done: Count
    total: Count
    seconds: Seconds | None = None
    fraction: float | None = None
    note: str | None = None
    error: str | None = None
