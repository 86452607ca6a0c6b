"""Sending contents to a remote, then what is known of them. Interrupted anywhere, the next push goes on: what has
arrived is there by its digest, and records are only sent about contents that are there.
"""

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
"""After so many contents in a row for which the remote could not be reached, the rest is not tried."""


@dataclass(frozen=True)
class Load:
    """What a push has to do with: contents that are in the store, with their sizes, and those that are not."""

    here: Mapping[Digest, int]
    absent: Collection[Wanted]


@dataclass
class Pushed:
    """What became of a push; what a dry run says would."""

    sent: dict[Digest, int] = field(default_factory=dict)
    """With their sizes."""
    there: dict[Digest, int] = field(default_factory=dict)
    """Those that the remote had before."""
    missing: list[Wanted] = field(default_factory=list)
    """Those that neither the store nor the remote has."""
    failed: dict[Digest, RegenstoreError] = field(default_factory=dict)
    untried: int = 0
    """Contents of which nothing is known, because the remote was away."""
    records: int = 0
    """Results and proofs that were sent."""


def load(store: ContentStore, wanted: Mapping[Digest, Wanted]) -> Load:
    """Look which contents the store has; those in the trash come back."""
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
    """What a push would do, as far as the remote tells now. Raises StorageError where it cannot be asked."""
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
    """Send what the remote does not have, then results and proofs about what is there now. Contents that fail are in
    the answer; ``skipped`` is told the sizes of those that were there. ``again`` sends those, too. Raises
    StorageError where the remote cannot be asked at all."""
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
        done.missing = in_order(what.absent)  # as far as can be said
        return done
    elsewhere = remote.having([each.digest for each in what.absent])
    done.missing = in_order([each for each in what.absent if each.digest not in elsewhere])
    records = Records(remote)
    records.fetch()  # what others told already is not told again
    done.records = records.push(cache, {*done.there, *done.sent, *elsewhere})
    return done
