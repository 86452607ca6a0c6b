"""Fetch contents that others pushed into the store. Nothing is made or placed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from regenstore.errors import RegenstoreError
from regenstore.objects.content_store import ContentStore
from regenstore.objects.ids import Digest
from regenstore.objects.result import BlobRecord
from regenstore.remotes.remote import Told
from regenstore.remotes.remote_set import RemoteSet
from regenstore.remotes.scope import Wanted, in_order


@dataclass
class Fetch:
    """A plan of what to fetch and, once it has run, its outcome."""

    there: int = 0
    """Number of contents that the store has already."""
    bring: dict[Digest, int] = field(default_factory=dict)
    """Contents to fetch, with their sizes."""
    wanted: Mapping[Digest, Wanted] = field(default_factory=dict)
    """All contents that are not in the store."""
    nowhere: list[Wanted] = field(default_factory=list)
    """Contents that no remote has."""
    brought: list[Digest] = field(default_factory=list)
    failed: dict[Digest, RegenstoreError] = field(default_factory=dict)


def plan(
    store: ContentStore,
    elsewhere: RemoteSet,
    wanted: Mapping[Digest, Wanted],
    takeless: Iterable[tuple[BlobRecord, bytes]] = (),
) -> Fetch:
    """Find out which wanted contents are missing here, and which remotes have them.

    ``takeless``: recipes without a take, with a path of each; they are satisfied by the newest result that others
    recorded for them. New records are fetched for that.
    """
    elsewhere.refresh()
    missing = {digest: each for digest, each in wanted.items() if store.use(digest, each.size) is None}
    found = Fetch(there=len(wanted) - len(missing), wanted=missing)
    for record, path in takeless:
        shared = [s.result.outputs.get(record.output) for s in elsewhere.results(record.key)] if record.key else []
        content = next((content for content in shared if content is not None), None)
        if content is not None and store.use(content.digest, content.size) is None:
            missing.setdefault(content.digest, Wanted(content.digest, content.size, path, False))
    sizes = {digest: each.size for digest, each in missing.items()}
    # The size in the recipe is authoritative, not the remote's.
    found.bring = {
        digest: size if sizes[digest] is None else sizes[digest] or 0
        for digest, size in elsewhere.having(missing).items()
    }
    found.nowhere = in_order([each for digest, each in missing.items() if digest not in found.bring])
    return found


def bring(elsewhere: RemoteSet, fetch: Fetch, told: Told) -> None:
    """Fetch what the plan says, and record the outcome in it."""
    for moved in elsewhere.bring(fetch.bring, told):
        if moved.error is not None:
            fetch.failed[moved.digest] = moved.error
        else:
            fetch.brought.append(moved.digest)
