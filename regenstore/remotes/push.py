"""Push contents to a remote, then the records about them. An interrupted push can simply be repeated: what arrived
is there under its digest, and records are only sent about contents that are there."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping
from contextlib import closing
from dataclasses import dataclass, field

from regenstore.errors import RegenstoreError
from regenstore.objects.content_store import ContentStore
from regenstore.objects.ids import Digest
from regenstore.objects.results.cache import ResultCache
from regenstore.remotes.records import Records
from regenstore.remotes.remote import Remote, Told
from regenstore.remotes.scope import Wanted, in_order

_HOPELESS = 3
"""After this many contents in a row for which the remote was unreachable, the rest is skipped."""


@dataclass(frozen=True)
class Load:
    """The contents of a push: those in the store, with their sizes, and those that are missing."""

    here: Mapping[Digest, int]
    absent: Collection[Wanted]


@dataclass
class Pushed:
    """The outcome of a push, or the forecast of a dry run."""

    sent: dict[Digest, int] = field(default_factory=dict)
    """Contents that were sent, with their sizes."""
    there: dict[Digest, int] = field(default_factory=dict)
    """Contents that the remote had already."""
    missing: list[Wanted] = field(default_factory=list)
    """Contents that neither the store nor the remote has."""
    failed: dict[Digest, RegenstoreError] = field(default_factory=dict)
    untried: int = 0
    """Number of contents with unknown state, because the remote was unreachable."""
    records: int = 0
    """Number of results and proofs that were sent."""


def load(store: ContentStore, wanted: Mapping[Digest, Wanted]) -> Load:
    """Find out which contents the store has; those in the trash are restored."""
    here: dict[Digest, int] = {}
    absent = []
    for digest, each in wanted.items():
        path = store.find(digest, each.size)
        if path is None:
            absent.append(each)
        else:
            here[digest] = os.path.getsize(path)
    return Load(here, absent)


def foresee(remote: Remote, what: Load, *, again: bool = False) -> Pushed:
    """Forecast a push, as far as the remote can tell now. Raises StorageError if it cannot be asked."""
    marked = set(remote.tombstones()) if remote.backend.lists else set()
    found = remote.having([*what.here, *(each.digest for each in what.absent)])
    done = Pushed(missing=in_order([each for each in what.absent if each.digest not in found]))
    for digest, size in what.here.items():
        has = digest in found and found[digest].size == size and digest not in marked and not again
        (done.there if has else done.sent)[digest] = size
    return done


def push(
    remote: Remote,
    cache: ResultCache,
    what: Load,
    told: Told,
    skipped: Callable[[int], None] = lambda size: None,
    *,
    again: bool = False,
) -> Pushed:
    """Send what the remote lacks, then results and proofs about the contents that are there.

    Contents that fail are part of the result. ``skipped`` is called with the sizes of those that the remote had;
    ``again`` sends these, too. Raises StorageError if the remote cannot be asked at all.
    """
    done = Pushed()
    in_a_row = 0
    with closing(remote.send(list(what.here), told, again=again)) as answers:
        for moved in answers:
            if moved.error is None:
                (done.there if moved.already else done.sent)[moved.digest] = moved.size
                in_a_row = 0
                if moved.already:
                    skipped(moved.size)
                continue
            done.failed[moved.digest] = moved.error
            in_a_row = in_a_row + 1 if moved.error.kind == "remote-unreachable" else 0
            if in_a_row >= _HOPELESS:
                break
    done.untried = len(what.here) - len(done.there) - len(done.sent) - len(done.failed)
    if in_a_row >= _HOPELESS:
        done.missing = in_order(what.absent)  # as far as is known
        return done
    elsewhere = remote.having([each.digest for each in what.absent])
    done.missing = in_order([each for each in what.absent if each.digest not in elsewhere])
    records = Records(remote)
    records.fetch()  # so that records of others are not sent again
    done.records = records.push(cache, {*done.there, *done.sent, *elsewhere})
    return done
