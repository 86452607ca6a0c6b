"""Names on a remote, version 1 (``docs/format.md`` has them).

::

    v1/cas/ab/<64 hex>            a content, under its whole digest
    v1/records/<64 hex>.jsonl     results and proofs, a line each; named by the digest of the file
    v1/records/index.txt          the names of the record files, for servers that cannot list
    v1/tombstones/ab/<64 hex>     a content that the remote's gc may delete later; holds the time of the mark
    v1/probe/<hex>                written and removed by ``remote check``, and to ask what time it is there
    v1/gc.json                    while the remote's gc is at work: whose turn it is
"""

from __future__ import annotations

import re

from regenstore.errors import FormatError
from regenstore.objects.ids import Digest

CONTENTS, RECORDS, TOMBSTONES, PROBE = "v1/cas/", "v1/records/", "v1/tombstones/", "v1/probe/"
INDEX = RECORDS + "index.txt"
TURN = "v1/gc.json"
_RECORD = re.compile(r"v1/records/([0-9a-f]{64})\.jsonl")


def content(digest: Digest) -> str:
    """Where a content is."""
    return f"{CONTENTS}{digest.hex[:2]}/{digest.hex}"


def tombstone(digest: Digest) -> str:
    """Where it is marked for deletion."""
    return f"{TOMBSTONES}{digest.hex[:2]}/{digest.hex}"


def record(digest: Digest) -> str:
    """Where a file of records is, by the digest of its bytes."""
    return f"{RECORDS}{digest.hex}.jsonl"


def digest_of(name: str) -> Digest | None:
    """The digest that a content's or a tombstone's name tells; None for any other name."""
    try:
        found = Digest.parse(Digest.PREFIX + name.rpartition("/")[2])
    except FormatError:
        return None
    return found if name in (content(found), tombstone(found)) else None


def record_digest(name: str) -> Digest | None:
    """The digest that a record file's name tells; None for any other name."""
    found = _RECORD.fullmatch(name)
    return None if found is None else Digest(bytes.fromhex(found[1]))
