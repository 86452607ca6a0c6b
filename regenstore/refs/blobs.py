"""What recipe blobs say. A blob never changes, so each is read and parsed once, for ever: the result cache
keeps what it says, or that it is no recipe.

A text that looks like a recipe and cannot be read (a newer format, a conflict committed with its markers) is
read again each time, and all digests that it mentions are given: whoever decides what to keep keeps those.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain

from regenstore.objects import toml
from regenstore.objects.ids import Digest
from regenstore.objects.recipe import Recipe
from regenstore.objects.result import BlobRecord
from regenstore.objects.results.cache import ResultCache
from regenstore.refs.git import BlobReader, Git

_MENTIONED = re.compile(rb"blake3:([0-9a-f]{64})")


@dataclass(frozen=True)
class RecipeBlobs:
    """What some blobs of Git say; what is not there is in none of these."""

    records: dict[bytes, BlobRecord] = field(default_factory=dict)
    unreadable: dict[bytes, frozenset[Digest]] = field(default_factory=dict)
    """Blobs that look like recipes and cannot be read -> the digests they mention."""
    missing: frozenset[bytes] = frozenset()
    """Objects that a partial clone lacks: where there are any, nobody knows all that is live."""

    plain: frozenset[bytes] = frozenset()
    """Blobs that are no recipes and never become any."""

    @property
    def digests(self) -> set[Digest]:
        """Everything that is mentioned: takes, inputs, and what stands in texts that cannot be read."""
        found = {record.named for record in self.records.values() if record.named is not None}
        found.update(digest for record in self.records.values() for digest in record.inputs)
        return found.union(*self.unreadable.values())


def blob_record(oid: bytes, recipe: Recipe) -> BlobRecord:
    """What a recipe blob says, as the database keeps it."""
    output = recipe.output
    digest = None if output.take is None else output.take.digest
    size = 0 if output.named is None else output.named.size
    outdated = None if output.outdated is None else output.outdated.digest
    inputs = tuple(given.digest for given in recipe.inputs.values())
    seconds = None if output.seconds is None else float(output.seconds)
    about = (recipe.generator, recipe.version, output.media_type, seconds)
    return BlobRecord(oid, recipe.key, digest, size, output.name, inputs, *about, outdated, output.key is not None)


def mentioned(text: bytes) -> frozenset[Digest]:
    """All digests that stand in a text, whatever it is."""
    return frozenset(Digest(bytes.fromhex(found.decode())) for found in _MENTIONED.findall(text))


def read_blobs(git: Git, cache: ResultCache, oids: Iterable[bytes], *, remember: bool) -> RecipeBlobs:
    """What blobs say, by object id. With ``remember``, what had to be parsed is kept in the cache. Raises
    FormatError (``git-failed``) when Git cannot be asked."""
    wanted = list(dict.fromkeys(oids))
    found = RecipeBlobs(cache.blobs(wanted))
    unknown = [oid for oid in wanted if oid not in found.records]
    plain_known = cache.plain_blobs(unknown)
    fresh, plain = [], []
    for oid, text in read_texts(git, [oid for oid in unknown if oid not in plain_known]):
        if text is None or not toml.looks_like_recipe(text):
            plain.append(oid)
        elif (recipe := toml.decode_or_none(text)) is not None:
            fresh.append(blob_record(oid, recipe))
        else:
            found.unreadable[oid] = mentioned(text)
    found.records.update((record.oid, record) for record in fresh)
    if remember:
        cache.add_blobs(fresh, plain)
    return replace(found, plain=frozenset(chain(plain_known, plain)))


def read_texts(git: Git, oids: Sequence[bytes]) -> Iterator[tuple[bytes, bytes | None]]:
    """The bytes of blobs, in any number; None for one that is larger than any recipe. An object that is not
    there, or is no blob, is left out. Large blobs are not read."""
    if oids:
        with BlobReader(git, expected=len(oids)) as blobs:
            yield from blobs.texts(oids, toml.MAX_BYTES)
