"""Garbage collection on a remote, run by one designated job: unneeded contents are marked, and deleted in a later run.

1. A content that is not needed and was written longer ago than the retention gets a *tombstone*: the time of the
   mark, and the metadata of the object.
2. In a run that comes at least the wait after the mark, everything is checked again. A content that is still not
   needed, and is the very object that was marked, is deleted. Its tombstone is removed once no other job that
   checked earlier can still delete it.

Needed are all contents that the roots of all repositories relying on the store reach, and those named in records that
were sent within the retention. A repository that cannot list all it holds stops the run, as then nothing is known not
to be needed.

A client that sends a content with a tombstone writes it anew, so that it is another object. While a gc is running, it
also checks again once no gc can still delete what it looked at before (:meth:`regenstore.remotes.remote.Remote.send`).
Therefore at most :data:`AT_ONCE` seconds pass between a gc's check and its deletion.

Dates are the remote's. If its clock jumps, retention and wait change by as much, and nothing else: whether an object is
the one that was marked, and whether another gc is running, is not decided by comparing clocks.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

from regenstore.errors import Conflict, StorageError
from regenstore.fs import presence
from regenstore.fs.boot import seconds_since_boot
from regenstore.objects.ids import Digest
from regenstore.refs.blobs import mentioned
from regenstore.refs.store_repositories import Holder
from regenstore.remotes import layout
from regenstore.remotes.advisory_lock import WATCHED, AdvisoryLock
from regenstore.remotes.backends.contract import Absent, Backend, Head, read_small
from regenstore.remotes.check import clock
from regenstore.remotes.records import Records
from regenstore.remotes.remote import Remote
from regenstore.schemas.parts import Amount
from regenstore.schemas.printed_remotes import RemoteContentRow, RemoteGcDone, RemoteGcPlanFields
from regenstore.schemas.stored import TombstoneRecord

RETENTION = 30 * 86400.0
WAIT = 7 * 86400.0
AT_ONCE = 5.0
_LEFT = 86400.0
"""Seconds after which an object below ``v1/probe/`` is a leftover: the process that wrote it was killed."""
_UNSETTLED = 5
"""Deleting is given up after this many checks that took too long, or attempts that the server did not answer."""
_AGAIN = 1.0


class RemoteContent(NamedTuple):
    """A content on the remote."""

    digest: Digest
    size: int


@dataclass(frozen=True)
class RetentionRules:
    """How long unneeded contents are kept."""

    retention: float = RETENTION
    wait: float = WAIT


@dataclass(frozen=True)
class RemoteGcPlan:
    """What a run would do. Immutable."""

    rules: RetentionRules
    repositories: tuple[str, ...]
    """The repositories that were asked what they need."""
    now: float
    """By the remote's clock."""
    mark: tuple[RemoteContent, ...] = ()
    delete: tuple[RemoteContent, ...] = ()
    waiting: tuple[RemoteContent, ...] = ()
    """Marked, and not yet due for deletion."""
    young: tuple[RemoteContent, ...] = ()
    """Not needed, but too young to be marked."""
    unmark: tuple[Digest, ...] = ()
    """Needed again, sent again, or gone: their tombstones are removed."""
    needed: tuple[int, int] = (0, 0)
    """Number of needed contents, and their bytes."""
    lines: int = 0
    """Number of records about contents that are gone."""

    @property
    def empty(self) -> bool:
        return not (self.mark or self.delete or self.unmark or self.lines)

    def fields(self) -> dict[str, object]:
        """For machine-readable output."""

        def rows(contents: tuple[RemoteContent, ...]) -> list[RemoteContentRow]:
            return [RemoteContentRow(digest=str(each.digest), size=each.size) for each in contents]

        return RemoteGcPlanFields(
            retention=self.rules.retention,
            wait=self.rules.wait,
            repositories=list(self.repositories),
            now=self.now,
            needed=Amount(contents=self.needed[0], bytes=self.needed[1]),
            mark=rows(self.mark),
            delete=rows(self.delete),
            waiting=rows(self.waiting),
            young=rows(self.young),
            unmark=[str(digest) for digest in self.unmark],
            record_lines=self.lines,
        ).model_dump()


@dataclass
class RemoteGcReport:
    """What a run did."""

    marked: list[RemoteContent] = field(default_factory=list)
    deleted: list[RemoteContent] = field(default_factory=list)
    unmarked: int = 0
    stayed: int = 0
    """Planned for deletion, but sent or needed again since."""
    lines: int = 0

    def fields(self) -> dict[str, object]:
        """For machine-readable output."""
        return RemoteGcDone(
            marked=len(self.marked),
            deleted=len(self.deleted),
            deleted_bytes=sum(item.size for item in self.deleted),
            unmarked=self.unmarked,
            stayed=self.stayed,
            record_lines=self.lines,
        ).model_dump()


class _Mark(NamedTuple):
    """The content of a tombstone."""

    marked: float
    head: Head


class RemoteGc:
    """The gc of one remote.

    ``holders`` lists the repositories that rely on the store, anew on each call; ``ask_time`` gives the remote's time;
    ``at_once``: see :data:`AT_ONCE`. ``pause``, ``watched`` and ``waits`` are those of the remote's lock.
    """

    def __init__(
        self,
        remote: Remote,
        holders: Callable[[], Iterable[Holder]],
        *,
        ask_time: Callable[[Backend], float] = clock,
        at_once: float = AT_ONCE,
        pause: float = 2 * AT_ONCE,
        watched: float = WATCHED,
        waits: Callable[[float], None] = lambda seconds: None,
    ) -> None:
        self._remote = remote
        self._backend = remote.backend
        self._holders = holders
        self._ask_time = ask_time
        self._at_once = at_once
        self._lock = partial(AdvisoryLock, remote.backend, at_once, pause, watched, waits)

    # -------------------------------------------------------------------------------- planning

    def plan(self, rules: RetentionRules) -> RemoteGcPlan:
        """Find out what to do. Leaves nothing on the remote. Raises Conflict (``needs-unknown``), StorageError."""
        if not self._backend.lists:
            why = "provides no listings, or nothing was pushed to it yet: there is nothing to collect"
            raise StorageError("remote-failed", f"{self._remote.url} {why}")
        names, needed = _needed(self._holders())
        now = self._ask_time(self._backend)
        records = Records(self._remote)
        records.fetch()
        needed |= records.mentioned_since(now - rules.retention)
        marks = {digest: self._read_mark(digest) for digest in self._remote.tombstones()}
        listed = self._backend.names(layout.CONTENTS)
        there = {digest: head for name, head in listed if (digest := layout.digest_of(name)) is not None}
        found: dict[str, list[RemoteContent]] = {name: [] for name in ("needed", "mark", "delete", "waiting", "young")}
        kept = set()
        for digest, head in sorted(there.items(), key=lambda each: each[0].hex):
            mark = marks.get(digest)
            if digest in needed:
                what = "needed"
            elif head.modified is None or head.modified > now - rules.retention:
                what = "young"
            elif mark is None or not self._is_marked(digest, mark, head):
                what = "mark"
            else:
                what = "delete" if mark.marked <= now - rules.wait else "waiting"
                kept.add(digest)
            found[what].append(RemoteContent(digest, head.size))
        counted = found.pop("needed")
        return RemoteGcPlan(
            rules,
            names,
            now,
            **{name: tuple(items) for name, items in found.items()},
            unmark=tuple(sorted(marks.keys() - kept, key=lambda digest: digest.hex)),
            needed=(len(counted), sum(item.size for item in counted)),
            lines=records.compact(now - rules.retention, dry_run=True),
        )

    def _is_marked(self, digest: Digest, mark: _Mark, listed: Head) -> bool:
        """Whether a listed object is the one that was marked. Asks for the object itself if the listing has another
        tag or time."""
        if _same(mark.head, listed):
            return True
        head = self._backend.head(layout.content(digest))
        return head is not None and _same(mark.head, head)

    def _read_mark(self, digest: Digest) -> _Mark | None:
        """Read a tombstone; None if it is gone or unreadable."""
        try:
            told = TombstoneRecord.model_validate_json(read_small(self._backend, layout.tombstone(digest), 1 << 16))
        except (Absent, ValueError):
            return None
        return _Mark(told.marked, Head(told.size, told.tag, told.modified))

    # -------------------------------------------------------------------------------- carrying it out

    def execute(self, plan: RemoteGcPlan) -> RemoteGcReport:
        """Carry out what still holds of a plan. Raises Conflict (``remote-busy``, ``needs-unknown``), StorageError;
        the rest is then left to the next run."""
        report = RemoteGcReport()
        with self._lock() as lock:
            again = self.plan(plan.rules)
            for digest in again.unmark:
                lock.confirm()
                self._backend.delete(layout.tombstone(digest))
                report.unmarked += 1
            shown = set(plan.mark)
            for item in again.mark:
                lock.confirm()
                if item in shown and self._put_mark(item.digest, again):
                    report.marked.append(item)
            shown = set(plan.delete)
            for item in again.delete:
                if item in shown and self._delete(item.digest, again, lock):
                    report.deleted.append(item)
            if report.deleted:
                # Two jobs may hold the lock, and the other be about to delete the same object; a client that sends it
                # meanwhile must see the tombstone.
                time.sleep(self._at_once)
            for item in report.deleted:
                lock.confirm()
                self._backend.delete(layout.tombstone(item.digest))
            report.stayed = len({*plan.mark, *plan.delete} - {*report.marked, *report.deleted})
            records = Records(self._remote)
            records.fetch()
            report.lines = records.compact(again.now - plan.rules.retention)
            for name, head in self._backend.names(layout.PROBE):
                if head.modified is not None and head.modified < again.now - _LEFT:
                    self._backend.delete(name)
        return report

    def _put_mark(self, digest: Digest, plan: RemoteGcPlan) -> bool:
        head = self._backend.head(layout.content(digest))
        if head is None or head.modified is None or head.modified > plan.now - plan.rules.retention:
            return False
        told = TombstoneRecord(marked=plan.now, size=head.size, tag=head.tag, modified=head.modified)
        self._backend.write(layout.tombstone(digest), json.dumps(told.model_dump()).encode())
        return True

    def _delete(self, digest: Digest, plan: RemoteGcPlan, lock: AdvisoryLock) -> bool:
        """Check once more and delete, unless the object changed since, or its mark is gone or newer."""
        name = layout.content(digest)
        failed: StorageError | None = None
        for _ in range(_UNSETTLED):
            mark = self._read_mark(digest)
            if mark is None or mark.marked > plan.now - plan.rules.wait:
                return False
            lock.confirm()
            began = seconds_since_boot()
            head = self._backend.head(name)
            if head is None or not _same(mark.head, head):
                return head is None and failed is not None
            if seconds_since_boot() - began < self._at_once:
                try:
                    self._backend.delete(name)
                    return True
                except StorageError as error:
                    if error.kind != "remote-unreachable":
                        raise
                    failed = error  # some servers lock an object while it is written
                    time.sleep(_AGAIN)
        slow = "answers too slowly for deleting to be safe"
        raise failed or StorageError("remote-unreachable", f"{self._remote.url} {slow}")


def _same(marked: Head, now: Head) -> bool:
    """Whether an object was not written again since it was marked. If either of the two has no tag, time and size
    decide."""
    tags = {marked.tag, now.tag} - {""}
    return (marked.size, marked.modified) == (now.size, now.modified) and len(tags) <= 1


def _needed(holders: Iterable[Holder]) -> tuple[tuple[str, ...], set[Digest]]:
    """The repositories asked, and all contents that they hold. Raises Conflict (``needs-unknown``)."""
    names, found = [], set[Digest]()
    for holder in holders:
        why = "" if holder.reachable else f"it cannot be reached ({holder.reason})"
        if not why and not holder.complete:
            why = "it is a partial clone, which lacks objects"
        if not why and presence.found(f"{holder.path}/shallow"):
            why = "it is a shallow clone, which lacks history"
        if why:
            raise Conflict("needs-unknown", f"the contents that {holder.name} needs are not known: {why}")
        names.append(holder.name)
        for record in holder.records.values():
            found.update(record.inputs if record.named is None else (record.named, *record.inputs))
        found.update(*holder.unreadable.values(), *map(mentioned, holder.pending))
    return tuple(names), found
