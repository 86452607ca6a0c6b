"""Measuring a remote keeps to its limit."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from regenstore.objects.content_store import ContentStore
from regenstore.objects.hashing import hash_bytes
from regenstore.remotes.backends.directory import Directory
from regenstore.remotes.backends.opening import open_backend
from regenstore.remotes.check import sample, speed
from regenstore.remotes.remote import Remote
from regenstore.remotes.throttle import Throttle
from tests.conftest import noise
from tests.remotes.web_server import serving


@pytest.mark.parametrize("limit", [1_500_000, 200_000])
@pytest.mark.parametrize("kind", ["folder", "web"])
def test_measuring_keeps_to_the_limit(tmp_path: Path, kind: str, limit: int) -> None:
    store = ContentStore(str(tmp_path / "store"))
    store.prepare()
    with serving(tmp_path / "served") as server:
        folder = Directory(str(tmp_path / "shared"), create=True)
        backend = folder if kind == "folder" else open_backend(server.url, lambda url: None)
        began = time.monotonic()
        there, back = speed(Remote("studio", backend, store, throttle=Throttle(limit)), store)
        assert limit / 2 < there < limit * 1.05 and limit / 2 < back < limit * 1.05
        assert time.monotonic() - began < 6

        data = noise("one", limit // 2)
        digest = hash_bytes(data)
        store.put_bytes(data, digest)
        assert all(moved.error is None for moved in Remote("studio", backend, store).send([digest], lambda *_: None))
        began = time.monotonic()
        found = sample(Remote("studio", backend, store, throttle=Throttle(limit)), [digest], 1)
        assert found.sound == [digest] and time.monotonic() - began > 0.45
        backend.close()
    store.holds.release()


def test_without_a_limit_it_is_as_fast_as_it_is(tmp_path: Path) -> None:
    store = ContentStore(str(tmp_path / "store"))
    backend = Directory(str(tmp_path / "shared"), create=True)
    assert min(speed(Remote("studio", backend, store), store)) > 4_000_000
    assert not [path for path in (tmp_path / "shared").rglob("*") if path.is_file()]
