"""Takes brought back from what their recipes give here: making, keeping and applying corrections in a store.

Guarantees: a correction is kept only after the file as it is kept gave the take back; what one gives is put
into the store only under the digest that it was promised to have.
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
"""A correction is kept only where it takes less than this part of the medium."""


class Corrector:
    """Corrections of the contents of one store."""

    def __init__(self, store: ContentStore) -> None:
        self._store = store
        self.kept = Corrections(store.root)

    def usable(self, take: Digest, base: Digest) -> Correction | None:
        """The correction that gives a take from a base, whole and with all that applying it here needs."""
        found = self.kept.find(take, base)
        return found if found is not None and making.usable(found.method, found.needs) else None

    def gives(self, proof: Proof) -> bool:
        """Whether what a proof's second run gave turns into the take here."""
        return self.usable(proof.take, proof.second) is not None

    def find(self, key: RecipeKey, take: Digest, base: Digest) -> Correction | str:
        """A correction that was tried, from a base to a take that both are in the store; or in words why
        there is none. Nothing is kept yet."""
        ours, theirs = self._bytes(base), self._bytes(take)
        if ours is None or theirs is None:
            return "the take, or what the run gave, is too large or not in the store"
        empty = Correction(key, take, len(theirs), base, len(ours), "", "", b"")
        limit = int(len(theirs) * SHARE) - len(encode(empty)) - 32
        found = making.make(ours, theirs, limit) if limit > 0 else None
        if found is None:
            return f"no correction under {SHARE:.0%} of its size gives the take back"
        return replace(empty, method=found.method, needs=found.needs, data=found.data)

    def keep(self, correction: Correction) -> bool:
        """Keep a correction durably, after the very bytes that are kept gave the take back once; False when
        they did not."""
        read = decode(encode(correction))
        if read is None or self._applied(read) is None:
            return False
        self.kept.put(read)
        return True

    def restore(self, take: Digest) -> str | None:
        """Bring a take into the store from a base that is there; gives its path, or None where no correction
        does it. A take that is there already stays as it is."""
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
