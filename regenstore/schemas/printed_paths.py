"""``--json`` output about paths, recipes and generators."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, JsonValue

from regenstore.schemas.parts import (
    Change,
    Count,
    DigestText,
    Failure,
    KeyText,
    Moment,
    Path,
    Printed,
    Record,
    Seconds,
    Standing,
    Text,
    Tier,
)

# ------------------------------------------------------------------------------------------- paths and recipes


CaptureLevel = Literal["graph", "parameters", "prompt", "provenance"]


class StatusPath(Record):
    path: Path
    state: str
    size: Count | None
    digest: DigestText | None
    stored: bool
    eviction: str | None
    rule: str | None
    captured: CaptureLevel | None
    problem: str | None


class SuggestionRow(Record):
    disk_free_bytes: int
    lacking_bytes: int
    contents: Count
    bytes: Count
    seconds: Seconds | None
    command: str | None


class StatusRecord(Printed):
    type: Literal["regenstore.status"]
    paths: list[StatusPath]
    totals: Annotated[dict[str, Count], Field(description="paths, media_bytes, not_stored, evictable_bytes; states.")]
    suggestion: SuggestionRow | None


class CheckFinding(Record):
    commit: str
    path: Path
    kind: str
    message: str


class CheckRecord(Printed):
    type: Literal["regenstore.check"]
    findings: list[CheckFinding]


class GetRecord(Change):
    type: Literal["regenstore.get"]
    placed: list[Path]
    drifted: list[Path]
    failed: list[Failure]
    excluded: Count


class KeptPath(Record):
    path: Path
    reason: str


class DropRecord(Change):
    type: Literal["regenstore.drop"]
    dropped: Annotated[list[Path], Field(description="With --dry-run: what would be dropped.")]
    kept: list[KeptPath]
    failed: list[Failure]


class TrackRecord(Change):
    type: Literal["regenstore.track"]
    patterns: Annotated[list[str], Field(description="Those added; without arguments, all.")]


class UntrackRecord(Change):
    type: Literal["regenstore.untrack"]
    patterns: Annotated[list[str], Field(description="Those removed.")]


class InstallRecord(Change):
    type: Literal["regenstore.install"]
    scope: str
    changed: Annotated[list[str], Field(description="Names of the settings in Git's configuration.")]
    hooks: Annotated[list[str], Field(description="Paths of the hooks that run regenstore.")]


class InitRecord(Change):
    type: Literal["regenstore.init"]
    top: Annotated[Path, Field(description="The worktree.")]
    store: Path
    changed: Annotated[list[str], Field(description="Names of the settings in Git's configuration.")]


class CloneRecord(Change):
    type: Literal["regenstore.clone"]
    arguments: Annotated[list[str], Field(description="Those of git clone, except its settings.")]
    settings: Annotated[dict[str, str], Field(description="The settings that the new repository gets.")]
    code: Annotated[int | None, Field(description="The exit code of git.")]
    complete: Annotated[bool | None, Field(description="Whether git's checkout has all media that it should have.")]


class DeclaredRow(Record):
    name: str
    title: str
    lines: Annotated[list[str], Field(description="What would run, and what would be contacted.")]
    approved: Annotated[bool, Field(description="Whether it was approved before this command.")]


class TrustedRecord(Change):
    type: Literal["regenstore.trust"]
    declared: list[DeclaredRow]
    approved: Annotated[list[str], Field(description="Names that this command approved, or would.")]
    revoked: Annotated[
        dict[str, Count], Field(description="Name -> number of approvals that were revoked, or would be.")
    ]
    unknown_tables: list[str]


class LsFilesRecord(Printed):
    type: Literal["regenstore.ls-files"]
    paths: list[Path]


class UninstallRecord(Change):
    type: Literal["regenstore.uninstall"]
    scope: str
    removed: Annotated[list[str], Field(description="Names of the settings in Git's configuration.")]


class MakeStep(Record):
    path: Path
    key: KeyText
    seconds: Seconds | None


class FetchStep(Record):
    path: Path | None
    digest: DigestText
    size: Count


class GetPlanRecord(Change):
    type: Literal["regenstore.get-plan"]
    present: Count
    seconds: Seconds | None
    make: list[MakeStep]
    fetch: list[FetchStep]
    excluded: Count


class RecipeInput(Record):
    path: str | None
    digest: DigestText


class RecipeOutput(Record):
    name: str
    media_type: str
    digest: DigestText | None
    size: Count | None
    seconds: Seconds | None
    outdated: DigestText | None


class RecipeRecord(Printed):
    type: Literal["regenstore.recipe"]
    path: Path
    key: KeyText | None
    generator: str | None
    generator_version: str | None
    model: JsonValue
    params: JsonValue
    inputs: dict[str, RecipeInput]
    output: RecipeOutput
    about: JsonValue


class WrittenPath(Record):
    path: Path
    digest: DigestText | None
    size: Count | None
    seconds: Seconds | None
    note: Annotated[str | None, Field(description="What was done instead of writing a recipe.")]


class WrittenRecord(Change):
    type: Literal["regenstore.written"]
    paths: list[WrittenPath]
    failed: list[Failure]


class TagRecord(Change):
    type: Literal["regenstore.tag"]
    changed: list[Path]


class TagsRecord(Change):
    type: Literal["regenstore.tags"]
    labels: dict[str, dict[str, JsonValue]]


class KnownTakeRow(Record):
    digest: DigestText
    size: Count
    made: Moment | None
    seconds: Seconds | None
    recorded: bool
    stored: bool
    tier: Tier | None


class TakesRecord(Printed):
    type: Literal["regenstore.takes"]
    path: Path
    takes: list[KnownTakeRow]


class CapturedFile(Record):
    path: Path
    level: CaptureLevel | None
    program: str | None
    program_version: str | None
    missing: Annotated[list[str], Field(description="What a run needs and the metadata do not tell.")]
    embedded: Annotated[list[str], Field(description="Carrier and name of each piece of metadata: png:prompt.")]
    recipe: Annotated[Text | None, Field(description="Null for a file outside the worktree.")]
    changes: Annotated[bool, Field(description="Whether imported media get a recipe by it.")]


class CaptureRecord(Change):
    type: Literal["regenstore.capture"]
    files: list[CapturedFile]
    failed: list[Failure]


class MigratedFile(Record):
    path: Path
    size: Count
    present: Annotated[bool, Field(description="Whether the other tool has the file on this machine.")]


class LeftFile(Record):
    path: Path
    why: str


class MigratedStageRow(Record):
    file: Path
    name: str
    generator: Annotated[str | None, Field(description="Null if its outputs become imported media; why says why.")]
    why: str | None


class RewrittenRefRow(Record):
    name: str
    before: str
    after: str


class MigrateFromRecord(Change):
    type: Literal["regenstore.migrate-from"]
    source: Literal["lfs", "dvc", "git"]
    files: list[MigratedFile]
    patterns: list[str]
    refs: Annotated[list[RewrittenRefRow], Field(description="Empty unless history was rewritten.")]
    commits: Count
    map: Annotated[Path | None, Field(description="File with the old and the new id of each commit.")]
    left: Annotated[list[LeftFile], Field(description="Files of DVC whose outputs stay with DVC.")]
    stages: Annotated[list[MigratedStageRow], Field(description="Stages of DVC with outputs that migrate.")]
    failed: list[Failure]


class FieldChangeRow(Record):
    name: str
    before: JsonValue
    after: JsonValue


class PastContentRow(Record):
    digest: DigestText
    size: Count
    media_type: str
    key: KeyText | None
    when: Moment | None
    source: Annotated[
        Literal["commit", "index", "pending", "worktree", "replaced", "result", "gc"], Field(alias="from")
    ]
    commit: str | None
    subject: Text | None
    state: Literal["placed", "stored", "trash", "gone"]
    changes: Annotated[
        list[FieldChangeRow] | None, Field(description="Compared with the next content; null for the last.")
    ]


class HistoryRecord(Change):
    type: Literal["regenstore.history"]
    path: Path
    contents: list[PastContentRow]


class HistoryTakeRecord(Change):
    type: Literal["regenstore.history-take"]
    path: Path
    to: Path
    digest: DigestText
    size: Count
    state: Annotated[str, Field(description="Where the content was before.")]


class CorrectionRow(Record):
    size: Count
    share: float
    method: str
    reason: str


class VerifiedPath(Record):
    path: Path
    tier: Tier
    take: DigestText
    second: DigestText
    metric: str | None
    score: float | None
    threshold: float | None
    difference: str | None
    correction: CorrectionRow | None
    comes_back: bool
    gave: list[DigestText]
    seconds: Seconds
    fingerprint: dict[str, str]


class VerifyRecord(Change):
    type: Literal["regenstore.verify"]
    paths: list[VerifiedPath | Failure]


class VerifyPlanRecord(Change):
    type: Literal["regenstore.verify-plan"]
    run: list[MakeStep]
    seconds: Seconds | None
    failed: list[Failure]


class DifferenceRow(Record):
    name: str
    then: str | None
    here: str | None


class ProofRow(Record):
    tier: Tier
    metric: str | None
    score: float | None
    threshold: float | None
    created: Moment
    holds: bool
    differs: list[DifferenceRow]


class UnchangedRow(Record):
    covers: list[str]
    not_covered: list[str]
    probed: bool


class ReturnCost(Record):
    own: Seconds | None
    closure: Seconds | None
    key: KeyText


class ReferrerRow(Record):
    key: KeyText | None
    standing: Standing
    where: str


class PinNote(Record):
    reason: str | None
    created: Moment


class WhyRecord(Printed):
    type: Literal["regenstore.why"]
    path: Path
    state: str
    rule: str
    meaning: str
    detail: str | None
    key: KeyText | None
    take: DigestText | None
    size: Count | None
    stored: bool
    captured: CaptureLevel | None
    proof: ProofRow | None
    unchanged: UnchangedRow | None
    others: list[DigestText]
    cost: ReturnCost | None
    standing: Standing | None
    referrers: list[ReferrerRow]
    input_of: list[Path]
    roots: list[str]
    pin: PinNote | None


class PinRecord(Change):
    type: Literal["regenstore.pin"]
    subjects: Annotated[list[str], Field(description="Keys, and digests of imported media.")]
    reason: str | None


class UnpinRecord(Change):
    type: Literal["regenstore.unpin"]
    unpinned: Annotated[list[Path | str], Field(description="The paths, keys and digests that were given.")]


class PinRow(Record):
    subject: str
    blob: str
    reason: str | None
    created: Moment | None
    """None if the ref was created by hand and no reflog records it."""
    paths: list[Path]


class PinsRecord(Printed):
    type: Literal["regenstore.pins"]
    pins: list[PinRow]


# ------------------------------------------------------------------------------------------- generators


class SlotRow(Record):
    description: str
    kinds: list[str]
    required: bool


class GeneratorRow(Record):
    name: str
    version: str
    source: str
    trusted: bool
    summary: str
    media_types: list[str]
    params: dict[str, dict[str, JsonValue]]
    inputs: dict[str, SlotRow]
    more_inputs: SlotRow | None


class GeneratorsRecord(Printed):
    type: Literal["regenstore.generators"]
    generators: list[GeneratorRow]
