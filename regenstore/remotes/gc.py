"""Clearing up a remote, by one designated job: what nothing needs is marked, and deleted at a later run.

1. A content that nothing needs, and that was written longer ago than the retention, gets a *tombstone*: the time of
   the mark, and what the remote told of the object.
2. At a run that comes at least the wait after the mark, everything is looked at again. What is still not needed, and
   is the very object that was marked, is deleted; its tombstone goes once nobody else who looked before deletes it.

What is needed: whatever the roots of all repositories that rely on the store reach, and what records speak of that
were sent within the retention. A repository that cannot say all that it holds stops the whole: then nothing is known
not to be needed.

Who sends a content that has a tombstone writes it anew, so that it is another object; and, while a gc is at work,
looks again once no gc can still delete what it looked at before (:meth:`regenstore.remotes.remote.Remote.send`).
So there is never more than :data:`AT_ONCE` seconds between a gc's look and its deleting. All times are the remote's.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from regenstore.errors import Conflict, StorageError
from regenstore.fs import presence
from regenstore.objects.ids import Digest
from regenstore.refs.blobs import mentioned
from regenstore.refs.store_repositories import Holder
from regenstore.remotes import layout
from regenstore.remotes.advisory_lock import AdvisoryLock
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
"""Seconds after which nobody works any more with what lies below ``v1/probe/``: who did was killed."""
_UNSETTLED = 5
"""Deleting is given up after so many looks that took too long, or tries that the server did not answer."""
_AGAIN = 1.0


class RemoteContent(NamedTuple):
    """A content on the remote."""

    digest: Digest
    size: int


@dataclass(frozen=True)
class RetentionRules:
    """How long what nothing needs stays."""

    retention: float = RETENTION
    wait: float = WAIT


@dataclass(frozen=True)
class RemoteGcPlan:
    """What would be done. A value."""

    rules: RetentionRules
    repositories: tuple[str, ...]
    """Those whose needs were asked."""
    now: float
    """By the remote's clock."""
    mark: tuple[RemoteContent, ...] = ()
    delete: tuple[RemoteContent, ...] = ()
    waiting: tuple[RemoteContent, ...] = ()
    """Marked, and not yet due."""
    young: tuple[RemoteContent, ...] = ()
    """Not needed, and not old enough to be marked."""
    unmark: tuple[Digest, ...] = ()
    """Needed again, sent again, or gone: their tombstones go."""
    needed: tuple[int, int] = (0, 0)
    """How many contents there are needed, and their bytes."""
    lines: int = 0
    """Records about contents that are gone."""

    @property
    def empty(self) -> bool:
        return not (self.mark or self.delete or self.unmark or self.lines)

    def fields(self) -> dict[str, object]:
        """For programs."""

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
    """What was done."""

    marked: list[RemoteContent] = field(default_factory=list)
    deleted: list[RemoteContent] = field(default_factory=list)
    unmarked: int = 0
    stayed: int = 0
    """Planned to go, and sent or needed again since."""
    lines: int = 0

    def fields(self) -> dict[str, object]:
        """For programs."""
        return RemoteGcDone(
            marked=len(self.marked),
            deleted=len(self.deleted),
            deleted_bytes=sum(item.size for item in self.deleted),
            unmarked=self.unmarked,
            stayed=self.stayed,
            record_lines=self.lines,
        ).model_dump()


class _Mark(NamedTuple):
    """What a tombstone says."""

    marked: float
    head: Head


class RemoteGc:
    """The gc of one remote. ``holders`` gives everybody who relies on the store, asked anew each time; ``ask_time``
    tells what time it is on the remote; ``pause`` is how long taking the lock waits for somebody else; ``at_once``:
    see :data:`AT_ONCE`."""

    def __init__(
        self,
        remote: Remote,
        holders: Callable[[], Iterable[Holder]],
        *,
        ask_time: Callable[[Backend], float] = clock,
        pause: float = 1.0,
        at_once: float = AT_ONCE,
    ) -> None:
        self._remote = remote
        self._backend = remote.backend
        self._holders = holders
        self._ask_time = ask_time
        self._pause = pause
        self._at_once = at_once

    # -------------------------------------------------------------------------------- planning

    def plan(self, rules: RetentionRules) -> RemoteGcPlan:
        """What there is to do. Changes nothing that stays. Raises Conflict (``needs-unknown``), StorageError."""
        if not self._backend.lists:
            why = "gives no listings, or nothing was pushed there yet: nothing can be cleared up"
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
        """Whether it is the object that was marked; asked for itself where a listing tells another tag or time."""
        if _same(mark.head, listed):
            return True
        head = self._backend.head(layout.content(digest))
        return head is not None and _same(mark.head, head)

    def _read_mark(self, digest: Digest) -> _Mark | None:
        """What a tombstone says; None where there is none any more, or nothing that can be read."""
        try:
            told = TombstoneRecord.model_validate_json(read_small(self._backend, layout.tombstone(digest), 1 << 16))
        except (Absent, ValueError):
            return None
        return _Mark(told.marked, Head(told.size, told.tag, told.modified))

    # -------------------------------------------------------------------------------- carrying it out

    def execute(self, plan: RemoteGcPlan) -> RemoteGcReport:
        """Carry out what of a plan still holds. Raises Conflict (``remote-busy``, ``needs-unknown``), StorageError:
        whatever was not done then is left to the next run."""
        report = RemoteGcReport()
        with AdvisoryLock(self._backend, self._pause) as lock:
            again = self.plan(plan.rules)
            for digest in again.unmark:
                lock.keep()
                self._backend.delete(layout.tombstone(digest))
                report.unmarked += 1
            shown = set(plan.mark)
            for item in again.mark:
                lock.keep()
                if item in shown and self._put_mark(item.digest, again):
                    report.marked.append(item)
            shown = set(plan.delete)
            for item in again.delete:
                lock.keep()
                if item in shown and self._delete(item.digest, again):
                    report.deleted.append(item)
            if report.deleted:
                # Two may have the turn, and the other one be about to delete the same: who sends it meanwhile has to
                # see the tombstone.
                time.sleep(self._at_once)
            for item in report.deleted:
                lock.keep()
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

    def _delete(self, digest: Digest, plan: RemoteGcPlan) -> bool:
        """Look once more and delete, unless the object is another one since, or its mark is gone or newer."""
        name = layout.content(digest)
        failed: StorageError | None = None
        for _ in range(_UNSETTLED):
            mark = self._read_mark(digest)
            if mark is None or mark.marked > plan.now - plan.rules.wait:
                return False
            began = time.monotonic()
            head = self._backend.head(name)
            if head is None or not _same(mark.head, head):
                return head is None and failed is not None
            if time.monotonic() - began < self._at_once:
                try:
                    self._backend.delete(name)
                    return True
                except StorageError as error:
                    if error.kind != "remote-unreachable":
                        raise
                    failed = error  # some servers lock what somebody is writing
                    time.sleep(_AGAIN)
        slow = "answers too slowly for deleting to be safe"
        raise failed or StorageError("remote-unreachable", f"{self._remote.url} {slow}")


def _same(marked: Head, now: Head) -> bool:
    """Whether an object was not written since it was marked. Where one of the two was told without a tag, time and
    size have to do."""
    tags = {marked.tag, now.tag} - {""}
    return (marked.size, marked.modified) == (now.size, now.modified) and len(tags) <= 1


def _needed(holders: Iterable[Holder]) -> tuple[tuple[str, ...], set[Digest]]:
    """Who was asked, and everything that they hold. Raises Conflict (``needs-unknown``)."""
    names, found = [], set[Digest]()
    for holder in holders:
        why = "" if holder.reachable else f"it cannot be reached ({holder.reason})"
        if not why and not holder.complete:
            why = "it is a partial clone, which lacks objects"
        if not why and presence.found(f"{holder.path}/shallow"):
            why = "it is a shallow clone, which lacks history"
        if why:
            raise Conflict("needs-unknown", f"nobody knows all that {holder.name} needs: {why}")
        names.append(holder.name)
        for record in holder.records.values():
            found.update(record.inputs if record.named is None else (record.named, *record.inputs))
        found.update(*holder.unreadable.values(), *map(mentioned, holder.pending))
    return tuple(names), found
