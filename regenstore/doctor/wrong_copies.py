"""Media in the worktree that were placed from damaged contents. To Git they look unchanged, and repairing the store
does not affect them."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Mapping, Set

from regenstore.doctor import quarantine
from regenstore.doctor.fsck_context import FsckContext
from regenstore.doctor.fsck_plan import WrongCopy
from regenstore.doctor.store_scan import Bad
from regenstore.fs import presence
from regenstore.fs.swap import identity
from regenstore.objects.hashing import hash_fd
from regenstore.objects.ids import Digest
from regenstore.objects.scan import scan_take
from regenstore.refs.blobs import read_texts
from regenstore.refs.recipes import ATTRIBUTE

Damaged = Mapping[Digest, Set[Digest]]
"""Contents -> the wrong bytes that the store had, or has, under their names."""


def find(context: FsckContext, bad: Iterable[Bad]) -> list[WrongCopy]:
    """Find such files in this worktree, for contents that are ``bad`` now or were put into the quarantine earlier and
    are still there: no bytes are lost when the file is replaced. Raises StorageError (``unreadable``)."""
    damaged: dict[Digest, set[Digest]] = {}
    now = ((one.named, one.found) for one in bad)
    for named, holds in (*now, *quarantine.confined(context.store)):
        if named is not None and holds is not None and named != holds:
            damaged.setdefault(named, set()).add(holds)
    if not damaged:
        return []
    return [copy for path, oid, text in _recipes(context) if (copy := _wrong(context, path, oid, text, damaged))]


def _recipes(context: FsckContext) -> Iterator[tuple[bytes, bytes | None, bytes]]:
    """The recipe of each path, with its blob: the pending one if there is one, else that of Git's index."""
    pending = context.pending.paths()
    for path in pending:
        if (text := context.pending.get(path)) is not None:
            yield path, None, text
    entries = {entry.path: entry.oid for entry in context.git.ls_entries(ATTRIBUTE) if entry.is_file}
    texts = dict(read_texts(context.git, list(dict.fromkeys(entries.values()))))
    for path, oid in entries.items():
        if path not in pending and (text := texts.get(oid)) is not None:
            yield path, oid, text


def _wrong(context: FsckContext, path: bytes, oid: bytes | None, text: bytes, damaged: Damaged) -> WrongCopy | None:
    take = scan_take(text)
    if take is None or (digest := Digest(take[0])) not in damaged:
        return None
    file = os.path.join(context.location.top, path)
    found = presence.lstat(file)
    if found is None or not stat.S_ISREG(found.st_mode) or found.st_size != take[1]:
        return None
    try:
        fd = presence.open_file(file, follow=False)
    except (*presence.ABSENT, presence.NotRegular):
        return None
    except OSError as error:
        raise presence.unreadable(error, file) from error
    try:
        wrong = hash_fd(fd)[0] in damaged[digest]
        return WrongCopy(path, oid, digest, take[1], identity(os.fstat(fd))) if wrong else None
    finally:
        os.close(fd)
