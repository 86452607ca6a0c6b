"""Object names on a remote, version 1 (specified in ``docs/format.md``).

::

    v1/cas/ab/<64 hex>            a content, under its whole digest
    v1/records/<64 hex>.jsonl     results and proofs, one per line; named by the digest of the file
    v1/records/index.txt          the names of the record files, for servers that cannot list
    v1/tombstones/ab/<64 hex>     a content that the remote's gc may delete later; holds the time of the mark
    v1/probe/<hex>                written and removed by ``remote check``, and to learn the server's time
    v1/gc.json                    present while the remote's gc runs: its lock
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
    """The name of a content."""
    return f"{CONTENTS}{digest.hex[:2]}/{digest.hex}"


def tombstone(digest: Digest) -> str:
    """The name of a content's tombstone."""
    return f"{TOMBSTONES}{digest.hex[:2]}/{digest.hex}"


def record(digest: Digest) -> str:
    """The name of a record file, by the digest of its bytes."""
    return f"{RECORDS}{digest.hex}.jsonl"


def digest_of(name: str) -> Digest | None:
    """The digest in the name of a content or tombstone; None for other names."""
    try:
        found = Digest.parse(Digest.PREFIX + name.rpartition("/")[2])
    except FormatError:
        return None
    return found if name in (content(found), tombstone(found)) else None


def record_digest(name: str) -> Digest | None:
    """The digest in the name of a record file; None for other names."""
    found = _RECORD.fullmatch(name)
    return None if found is None else Digest(bytes.fromhex(found[1]))
