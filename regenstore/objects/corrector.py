"""Make, keep and apply corrections in a content store.

Guarantees: a correction is kept only once its stored form has reproduced the take; what applying one gives enters the
store only under the digest recorded for it.
"""

from __future__ import annotations

from dataclasses import replace

from regenstore.fs import durable
from regenstore.media.correction import making
from regenstore.objects.content_store import ContentStore
from regenstore.objects.corrections import Correction, Corrections, decode, encode
from regenstore.objects.hashing import hash_bytes
from regenstore.objects.ids import Digest, RecipeKey
from regenstore.objects.result import Proof

SHARE = 0.05
"""A correction is kept only if it is smaller than this fraction of the medium."""


class Corrector:
    """The corrections of one content store."""

    def __init__(self, store: ContentStore) -> None:
        self._store = store
        self.kept = Corrections(store.root)

    def usable(self, take: Digest, base: Digest) -> Correction | None:
        """The intact correction from ``base`` to ``take``, if everything needed to apply it is available here."""
        found = self.kept.find(take, base)
        return found if found is not None and making.usable(found.method, found.needs) else None

    def gives(self, proof: Proof) -> bool:
        """Whether a correction turns the result of a proof's second run into the take."""
        return self.usable(proof.take, proof.second) is not None

    def find(self, key: RecipeKey, take: Digest, base: Digest) -> Correction | str:
        """Make a correction from one content of the store to another and verify it, without keeping it. Returns the
        reason as text when none can be made."""
        ours, theirs = self._bytes(base), self._bytes(take)
        if ours is None or theirs is None:
            return "the take or the result of the second run is too large, or not in the store"
        empty = Correction(key, take, len(theirs), base, len(ours), "", "", b"")
        limit = int(len(theirs) * SHARE) - len(encode(empty)) - 32
        found = making.make(ours, theirs, limit) if limit > 0 else None
        if found is None:
            return f"no correction smaller than {SHARE:.0%} of the take reproduces it"
        return replace(empty, method=found.method, needs=found.needs, data=found.data)

    def keep(self, correction: Correction) -> bool:
        """Keep a correction durably, once its encoded form has reproduced the take. Returns False if it did not."""
        read = decode(encode(correction))
        if read is None or self._applied(read) is None:
            return False
        self.kept.put(read)
        return True

    def restore(self, take: Digest) -> str | None:
        """Bring a take back into the store from any base that is present, and return its path; None if no correction
        can. A take already in the store is left as it is."""
        path = self._store.use(take)
        if path is not None:
            return path
        for correction in self.kept.of(take):
            data = self._applied(correction)
            if data is not None:
                self._store.put_bytes(data, take)
                return self._store.use(take)
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
        path = self._store.use(digest)
        if path is None:
            return None
        with durable.storage_errors(path), open(path, "rb") as file:
            data = file.read(making.LARGEST + 1)
        return data if len(data) <= making.LARGEST else None
