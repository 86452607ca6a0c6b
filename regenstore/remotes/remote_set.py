"""All remotes of a repository as one, and before them other stores on this machine: find out which has a content, and
fetch it from there.

A remote that fails is not asked again by the same object; its error is kept for reporting.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from functools import cached_property

from regenstore.errors import RegenstoreError, StorageError
from regenstore.objects.ids import Digest, RecipeKey
from regenstore.objects.result import KnownOutput, Proof
from regenstore.remotes.nearby import Nearby
from regenstore.remotes.records import Records, SharedResult
from regenstore.remotes.remote import Remote, Told, Transfer

HOPELESS = 3
"""After this many contents in a row for which a remote was unreachable, it is not asked for the rest."""


class RemoteSet:
    """A set of remotes. May be used from any thread."""

    def __init__(self, remotes: Sequence[Remote], nearby: Nearby | None = None) -> None:
        """``nearby`` are other stores on this machine, which are asked first."""
        self._remotes = list(remotes)
        self._nearby = nearby
        self._not_nearby: set[Digest] = set()
        self._records = {remote.name: Records(remote) for remote in remotes}
        self._places: dict[Digest, tuple[Remote | Nearby, int]] = {}
        self._asked: set[Digest] = set()
        self._refreshed = False
        self._lock = threading.RLock()
        self.problems: dict[str, RegenstoreError] = {}
        """Name of a remote -> why it is no longer asked."""

    def __bool__(self) -> bool:
        return bool(self._remotes) or bool(self._nearby)

    @cached_property
    def nearby(self) -> RemoteSet:
        """The other stores on this machine alone."""
        return RemoteSet([], self._nearby)

    @contextmanager
    def _using(self, remote: Remote) -> Iterator[None]:
        try:
            yield
        except StorageError as error:
            self.problems[remote.name] = error

    @property
    def answering(self) -> list[str]:
        """The names of the remotes that are still asked."""
        return [remote.name for remote in self._usable()]

    def _usable(self) -> list[Remote]:
        return [remote for remote in self._remotes if remote.name not in self.problems]

    # -------------------------------------------------------------------------------- contents

    def having(self, digests: Collection[Digest]) -> dict[Digest, int]:
        """The contents that some remote has, with their sizes. Each is asked for once."""
        with self._lock:
            left = set(digests) - self._asked
            self._asked |= left
            if self._nearby:
                for digest, size in self._nearby.having(left - self._not_nearby).items():
                    self._places[digest] = self._nearby, size
                left -= self._places.keys()
            for remote in self._usable():
                if not left:
                    break
                with self._using(remote):
                    for digest, head in remote.having(left).items():
                        self._places[digest] = remote, head.size
                    left -= self._places.keys()
            return {digest: self._places[digest][1] for digest in digests if digest in self._places}

    def seconds(self, digest: Digest) -> float:
        """Estimated seconds to fetch a content that :meth:`having` found."""
        remote, size = self._places[digest]
        return remote.estimate([size])

    def bring(self, digests: Collection[Digest], told: Told) -> Iterator[Transfer]:
        """Fetch contents that :meth:`having` found into the store; yields the outcome of each when known.

        If ``digests`` is a mapping, its sizes take precedence over the remotes'. A remote that cannot be reached
        several times in a row is not asked for the rest, which fails with its last error. What other stores on this
        machine turn out not to have is asked of the remotes.
        """
        sizes = digests if isinstance(digests, Mapping) else {}
        places = {digest: self._places[digest] for digest in digests}
        near = {each: sizes.get(each, size) for each, (place, size) in places.items() if place is self._nearby}
        far = places.keys() - near.keys()
        if self._nearby and near:
            failed: dict[Digest, Transfer] = {}
            for moved in self._nearby.bring(near.items(), told):
                if moved.error is None:
                    yield moved
                else:
                    failed[moved.digest] = moved
            with self._lock:
                self._not_nearby |= failed.keys()
                self._asked -= failed.keys()
                for digest in failed:
                    del self._places[digest]
            there = self.having(failed)
            yield from (failed[digest] for digest in failed.keys() - there.keys())
            far |= there.keys()
        if far:
            yield from self._bring([digest for digest in digests if digest in far], sizes, told)

    def _bring(self, digests: Collection[Digest], sizes: Mapping[Digest, int], told: Told) -> Iterator[Transfer]:
        by_remote: dict[str, list[Digest]] = {}
        for digest in digests:
            by_remote.setdefault(self._places[digest][0].name, []).append(digest)
        for remote in self._remotes:
            wanted = {each: sizes.get(each, self._places[each][1]) for each in by_remote.get(remote.name, [])}
            in_a_row = 0
            with closing(remote.bring(wanted.items(), told)) as answers:
                for moved in answers:
                    del wanted[moved.digest]
                    away = moved.error is not None and moved.error.kind == "remote-unreachable"
                    in_a_row = in_a_row + 1 if away else 0
                    if away and moved.error is not None:
                        self.problems.setdefault(remote.name, moved.error)
                    yield moved
                    if in_a_row >= HOPELESS:
                        break
            for digest in wanted:
                yield Transfer(digest, 0, error=self.problems[remote.name])

    def confirm(self, digests: Sequence[Digest]) -> Mapping[Digest, int]:
        """Ask now which contents some remote holds intact; returns them with their sizes."""
        found: dict[Digest, int] = {}
        for remote in self._remotes:
            with self._using(remote):
                found |= remote.confirm(set(digests) - found.keys())
        return found

    # -------------------------------------------------------------------------------- records

    def refresh(self) -> None:
        """Fetch new records, once per object."""
        with self._lock:
            if not self._refreshed:
                self._refreshed = True
                for remote in self._usable():
                    with self._using(remote):
                        self._records[remote.name].fetch()

    def results(self, key: RecipeKey) -> list[SharedResult]:
        """Results that others recorded for a key, newest first."""
        with self._lock:
            found = [shared for records in self._records.values() for shared in records.results(key)]
        return sorted(found, key=lambda shared: -shared.result.created)

    def known_outputs(self, digest: Digest) -> list[KnownOutput]:
        """Recipes that, according to others' records, made a content."""
        with self._lock:
            return [known for records in self._records.values() for known in records.known_outputs(digest)]

    def proofs(self) -> Iterator[Proof]:
        """Proofs by others, as far as they have been fetched."""
        for records in self._records.values():
            yield from records.proofs()


def nobody(digest: Digest, count: int) -> None:
    """A progress callback that does nothing."""


Finder = Callable[[], RemoteSet | None]
"""Returns the remotes, opened on first use; None if there are none."""
