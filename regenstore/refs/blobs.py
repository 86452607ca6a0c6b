"""The contents of recipe blobs. Blobs never change, so each is parsed once: the result cache keeps what it says, or
that it is not a recipe.

A text that looks like a recipe and cannot be read (a newer format, conflict markers that were committed) is read again
each time, and every digest in it is reported, so that whatever decides what to keep can keep those.
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
    """The parsed contents of some blobs; objects that do not exist appear nowhere."""

    records: dict[bytes, BlobRecord] = field(default_factory=dict)
    unreadable: dict[bytes, frozenset[Digest]] = field(default_factory=dict)
    """Blobs that look like recipes and cannot be read -> the digests in them."""
    missing: frozenset[bytes] = frozenset()
    """Objects that a partial clone lacks: if there are any, what is live is not fully known."""

    plain: frozenset[bytes] = frozenset()
    """Blobs that are not recipes and never will be."""

    @property
    def digests(self) -> set[Digest]:
        """Every digest mentioned: takes, inputs, and digests in texts that cannot be read."""
        found = {record.named for record in self.records.values() if record.named is not None}
        found.update(digest for record in self.records.values() for digest in record.inputs)
        return found.union(*self.unreadable.values())


def blob_record(oid: bytes, recipe: Recipe) -> BlobRecord:
    """Return the content of a recipe blob in the form that the database keeps."""
    output = recipe.output
    digest = None if output.take is None else output.take.digest
    size = 0 if output.named is None else output.named.size
    outdated = None if output.outdated is None else output.outdated.digest
    inputs = tuple(given.digest for given in recipe.inputs.values())
    seconds = None if output.seconds is None else float(output.seconds)
    about = (recipe.generator, recipe.version, output.media_type, seconds)
    told = (outdated, output.key is not None, recipe.captured or "")
    return BlobRecord(oid, recipe.key, digest, size, output.name, inputs, *about, *told)


def mentioned(text: bytes) -> frozenset[Digest]:
    """Return all digests in a text, whatever the text is."""
    return frozenset(Digest(bytes.fromhex(found.decode())) for found in _MENTIONED.findall(text))


def read_blobs(git: Git, cache: ResultCache, oids: Iterable[bytes], *, remember: bool) -> RecipeBlobs:
    """Read and parse blobs by object id. With ``remember``, newly parsed ones are added to the cache. Raises
    FormatError (``git-failed``) if Git fails."""
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
    """Yield the bytes of blobs; None for one larger than any recipe, which is not read. Objects that are missing or are
    not blobs are left out."""
    if oids:
        with BlobReader(git, expected=len(oids)) as blobs:
            yield from blobs.texts(oids, toml.MAX_BYTES)
