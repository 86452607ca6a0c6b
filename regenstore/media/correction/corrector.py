"""Takes brought back from what their recipes give here: making, keeping and applying corrections in a store.

Guarantees: a correction is kept only after the file as it is kept gave the take back; what one gives is put
into the store only under the digest that it was promised to have.
"""

from __future__ import annotations

from dataclasses import dataclass

from regenstore.media.correction import making
from regenstore.objects import durable
from regenstore.objects.content_store import ContentStore
from regenstore.objects.corrections import Correction, Corrections, decode, encode
from regenstore.objects.hashing import hash_bytes
from regenstore.objects.ids import Digest, RecipeKey

SHARE = 0.05
"""A correction is kept only where it takes less than this part of the medium."""


@dataclass(frozen=True)
class Made:
    """A correction that is kept now (or was already), by its size; or in words why there is none."""

    size: int = 0
    share: float = 0.0
    """Its size as a part of the take's."""
    method: str = ""
    reason: str = ""

    @property
    def kept(self) -> bool:
        return self.size > 0


class Corrector:
    """Corrections of the contents of one store."""

    def __init__(self, store: ContentStore) -> None:
        self._store = store
        self.kept = Corrections(store.root)

    def usable(self, take: Digest, base: Digest) -> Correction | None:
        """The correction that gives a take from a base, whole and with all that applying it here needs."""
        found = self.kept.find(take, base)
        return found if found is not None and making.usable(found.method, found.needs) else None

    def make(self, key: RecipeKey, take: Digest, base: Digest) -> Made:
        """Keep a correction for a take and a base that both are in the store, if a small one can be had."""
        found = self.usable(take, base)
        if found is not None:
            return _told(found)
        ours, theirs = self._bytes(base), self._bytes(take)
        if ours is None or theirs is None:
            return Made(reason="the take or what the run gave is not in the store, or too large")
        empty = Correction(key, take, len(theirs), base, len(ours), "", "", b"")
        limit = int(len(theirs) * SHARE) - len(encode(empty)) - 32
        difference = making.make(ours, theirs, limit) if limit > 0 else None
        if difference is None:
            return Made(reason=f"no correction under {SHARE:.0%} of the medium could be found")
        correction = Correction(
            key, take, len(theirs), base, len(ours), difference.method, difference.needs, difference.data
        )
        read = decode(encode(correction))
        if read != correction or self._applied(read) is None:
            return Made(reason="the correction that was found did not give the take back")
        self.kept.put(correction)
        return _told(correction)

    def restore(self, take: Digest) -> str | None:
        """Bring a take into the store from a base that is there; gives its path, or None where no correction
        does it. A take that is there already stays as it is."""
        path = self._store.find(take)
        if path is not None:
            return path
        for correction in self.kept.of(take):
            data = self._applied(correction)
            if data is not None:
                self._store.put_bytes(data, take)
                return self._store.find(take)
        return None

    def _applied(self, correction: Correction) -> bytes | None:
        base = self._bytes(correction.base)
        if base is None or hash_bytes(base) != correction.base:
            return None
        difference = making.Difference(correction.method, correction.needs, correction.data)
        try:
            data = making.apply(difference, base, correction.take_size)
        except ValueError:
            return None
        return data if hash_bytes(data) == correction.take else None

    def _bytes(self, digest: Digest) -> bytes | None:
        path = self._store.find(digest)
        if path is None:
            return None
        with durable.storage_errors(path), open(path, "rb") as file:
            data = file.read(making.LARGEST + 1)
        return data if len(data) <= making.LARGEST else None


def _told(correction: Correction) -> Made:
    size = len(encode(correction))
    return Made(size, size / max(1, correction.take_size), correction.method)
