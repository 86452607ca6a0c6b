"""Taking in a stream that is stored already: the store goes on having the bytes, whatever gc does meanwhile."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from regenstore.gitfilter.spool import Spooled, StreamSource, take_in
from regenstore.objects.content_store import CACHE, VAULT, ContentStore, identity
from regenstore.objects.hashing import hash_bytes
from regenstore.objects.holds import held

DATA = os.urandom(3_000_000)
DIGEST = hash_bytes(DATA)


@pytest.fixture
def store(tmp_path: Path) -> ContentStore:
    made = ContentStore(str(tmp_path / "store"))
    made.prepare()
    made.put_bytes(DATA, DIGEST, tree=CACHE)
    made.holds.release()
    return made


def spooled(store: ContentStore) -> Spooled:
    path = store.object_path(DIGEST, CACHE)
    return take_in(store, [DATA[:1000], DATA[1000:]], StreamSource(path, temp=False))


def test_a_stored_content_is_claimed(store):
    before = identity(store.object_path(DIGEST, CACHE))
    taken = spooled(store)
    taken.keep(wait=True)
    assert identity(store.object_path(DIGEST, CACHE)) != before
    assert held(store.root) == {DIGEST}
    assert list(store.contents(VAULT)) == []
    assert os.listdir(f"{store.root}/tmp") == []


@pytest.mark.parametrize("purged", [False, True])
def test_a_content_that_gc_took_after_it_was_compared(store, purged):
    taken = spooled(store)
    trashed = store.object_path(DIGEST, "trash/run/cache")
    os.makedirs(os.path.dirname(trashed))
    os.replace(store.object_path(DIGEST, CACHE), trashed)
    if purged:
        os.unlink(trashed)
    taken.keep(wait=True)
    tree = VAULT if purged else CACHE
    assert Path(store.object_path(DIGEST, tree)).read_bytes() == DATA
    assert held(store.root) == {DIGEST}
    assert os.listdir(f"{store.root}/tmp") == []


def test_another_users_content_is_put_again(store, monkeypatch):
    def refuse(*args: object, **named: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "utime", refuse)
    spooled(store).keep(wait=True)
    assert Path(store.object_path(DIGEST, VAULT)).read_bytes() == DATA
