"""The quarantine for bad bytes. They are moved there, never deleted, with a text file that says where they came
from."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

from regenstore.doctor.store_scan import Bad
from regenstore.errors import FormatError
from regenstore.fs import durable, presence
from regenstore.fs.swap import same_file
from regenstore.objects.content_store import ContentStore
from regenstore.objects.ids import Digest

FOLDER = "quarantine"


def confine(store: ContentStore, bad: Bad, now: float) -> str | None:
    """Move a bad file into the quarantine, durably, and return its new path. None if another program has replaced or
    removed it meanwhile; then nothing was done. Raises StorageError."""
    folder = f"{store.root}/{FOLDER}"
    name = os.path.relpath(bad.path, store.root).replace("/", "-")
    target = f"{folder}/{name}.{int(now * 1000):d}-{os.urandom(3).hex()}"
    with durable.storage_errors(bad.path):
        if not _unchanged(bad.path, bad):
            return None
        durable.make_folder(folder)
        durable.write_file(f"{target}.txt", _text(store, bad, now))
        try:
            durable.rename(bad.path, target)
        except OSError:
            durable.unlink(f"{target}.txt")
            if presence.lstat(bad.path) is None:
                return None
            raise
        if not _unchanged(target, bad):
            # Good bytes appeared under this name between check and rename: move them back.
            durable.rename(target, bad.path)
            durable.unlink(f"{target}.txt")
            target = ""
        durable.fsync_folder(os.path.dirname(bad.path))
        durable.fsync_folder(folder)
    return target or None


def confined(store: ContentStore) -> Iterator[tuple[Digest, Digest]]:
    """Yield, for each content still in the quarantine, the digest that its name promised and that of its bytes. Raises
    StorageError (``unreadable``)."""
    folder = f"{store.root}/{FOLDER}"
    names = set(presence.names(folder))
    for name in sorted(names):
        if name.endswith(".txt") and name.removesuffix(".txt") in names:
            text = (presence.read(f"{folder}/{name}") or b"").decode(errors="replace")
            told = {key: value.strip() for key, _, value in (line.partition(": ") for line in text.splitlines())}
            try:
                yield Digest.parse(told["named"]), Digest.parse(told["holds"])
            except (KeyError, FormatError):
                continue  # not a content, or its bytes could not be read


def _unchanged(path: str, bad: Bad) -> bool:
    try:
        return bad.identity is not None and same_file(os.lstat(path), bad.identity)
    except FileNotFoundError:
        return False


def _text(store: ContentStore, bad: Bad, now: float) -> bytes:
    lines = [
        f"from:  {os.path.relpath(bad.path, store.root)}",
        f"when:  {time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime(now))}",
        f"why:   {bad.why}",
        f"named: {bad.named or 'no digest'}",
        f"holds: {bad.found or 'could not be read'}",
        f"size:  {bad.size}",
    ]
    return "".join(line + "\n" for line in lines).encode(errors="surrogateescape")
