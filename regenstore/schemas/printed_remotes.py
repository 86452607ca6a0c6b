"""``--json`` output about remotes."""

from __future__ import annotations

from typing import Literal

from regenstore.schemas.parts import Amount, Change, Count, DigestText, Moment, Path, Printed, Record, Seconds, Text


class NamedRemoteRow(Record):
    name: str
    url: str
    source: str
    state: Literal["trusted", "untrusted", "unusable"]
    jobs: Count | None
    limit: Count | None
    error: str | None


class RemotesRecord(Printed):
    type: Literal["regenstore.remotes"]
    remotes: list[NamedRemoteRow]


class AbilitiesRow(Record):
    can: dict[str, bool]
    wrong: dict[str, str]
    push: bool
    latency: Seconds


class RemoteAddedRecord(Change):
    type: Literal["regenstore.remote-added"]
    name: str
    url: str
    can: AbilitiesRow | None


class RemoteRemovedRecord(Change):
    type: Literal["regenstore.remote-removed"]
    name: str
    url: str


class ReadBackRow(Record):
    asked: Count
    there: Count
    sound: list[DigestText]
    wrong: list[DigestText]


class KindAndMessage(Record):
    kind: str
    message: str


class CheckedRemote(AbilitiesRow):
    name: str
    url: str
    fine: bool
    bytes_per_second: dict[Literal["to", "from"], Count] | None
    sample: ReadBackRow | None
    error: KindAndMessage | None


class RemoteCheckRecord(Printed):
    type: Literal["regenstore.remote-check"]
    remotes: list[CheckedRemote]


class ContentRow(Record):
    digest: DigestText
    path: Path | None
    input: bool


class SentContent(ContentRow):
    size: Count


class FailedContent(ContentRow):
    error: str
    message: str


class PushRecord(Change):
    type: Literal["regenstore.push"]
    remote: str
    url: str
    sent: list[SentContent]
    sent_bytes: Count
    there: Count
    missing: list[ContentRow]
    failed: list[FailedContent]
    untried: Count
    records: Count


class FetchedContent(ContentRow):
    size: Count
    error: str | None


class FetchFields(Record):
    there: Count
    contents: list[FetchedContent]
    nowhere: list[ContentRow]


class FetchRecord(Change, FetchFields):
    type: Literal["regenstore.fetch"]


class FetchPlanRecord(Change, FetchFields):
    type: Literal["regenstore.fetch-plan"]


class RemoteContentRow(Record):
    digest: DigestText
    size: Count


class RemoteGcPlanFields(Record):
    retention: Seconds
    wait: Seconds
    repositories: list[Text]
    now: Moment
    needed: Amount
    mark: list[RemoteContentRow]
    delete: list[RemoteContentRow]
    waiting: list[RemoteContentRow]
    young: list[RemoteContentRow]
    unmark: list[DigestText]
    record_lines: Count


class RemoteGcPlanRecord(Change):
    type: Literal["regenstore.remote-gc-plan"]
    remote: str
    plan: RemoteGcPlanFields


class RemoteGcDone(Record):
    marked: Count
    deleted: Count
    deleted_bytes: Count
    unmarked: Count
    stayed: Count
    record_lines: Count


class RemoteGcRecord(Change):
    type: Literal["regenstore.remote-gc"]
    remote: str
    plan: RemoteGcPlanFields
    done: RemoteGcDone | None = None
