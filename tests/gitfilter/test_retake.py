"""git add waits for the disk once, at its end. What if it does not come to that?"""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from blake3 import blake3

from regenstore.fs import boot, durable
from regenstore.gitfilter.retake import ASIDE, settle_for_others
from regenstore.objects import unsynced
from regenstore.objects.content_store import ContentStore, identity
from regenstore.objects.hashing import hash_bytes
from regenstore.objects.unsynced import Backing
from regenstore.worktree.location import locate
from tests.conftest import Checkout, noise

MEDIA = {f"shots/{number}.bin": noise(f"retake {number}", 3000) for number in range(4)}
LOST, SHORT, WHOLE, EDITED = MEDIA


def text(data: bytes) -> bytes:
    digest = blake3(data).hexdigest()
    return f'regenstore = 1\n\n[output]\nmedia_type = "a/b"\ndigest = "blake3:{digest}"\nsize = {len(data)}\n'.encode()


class Adding:
    """A worktree as git add leaves it when it is killed before its end."""

    def __init__(self, checkout: Checkout, back: float = 0.0) -> None:
        self.checkout = checkout
        location = locate(str(checkout.path))
        self.store = ContentStore(str(checkout.path.parent / "store"))
        self.store.prepare()
        self.store.put_bytes(b"old and bad", hash_bytes(b"old"))
        old = time.time() - 3600
        self.old = self.store.object_path(hash_bytes(b"old"))
        os.utime(self.old, (old, old))
        for name, data in MEDIA.items():
            checkout.write(name, text(data))
        checkout.commit("recipes")
        if child := os.fork():
            os.waitpid(child, 0)
        else:
            try:
                self.store.defer(Backing(location.top, location.git_dir, location.index, 20))
                for data in MEDIA.values():
                    temp = self.store.temp_path()
                    Path(temp).write_bytes(data)
                    if back:  # the clock is set back just now
                        os.utime(temp, (time.time() - back,) * 2)
                    self.store.put_file(temp, hash_bytes(data), wait=False)
            finally:
                os._exit(0)
        for name, data in MEDIA.items():
            checkout.write(name, data)

    def path(self, name: str) -> Path:
        return Path(self.store.object_path(hash_bytes(MEDIA[name])))

    def marks(self) -> list[str]:
        return os.listdir(f"{self.store.root}/{unsynced.FOLDER}")


@pytest.fixture(params=[0.0, 7200.0], ids=["", "clock-set-back"])
def adding(empty: Checkout, request: pytest.FixtureRequest) -> Adding:
    return Adding(empty, request.param)


def test_what_a_killed_process_put_is_written_down(adding: Adding, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    monkeypatch.setattr(durable, "sync_file_system", lambda path: synced.append(path) or True)
    assert len(adding.marks()) == 1
    assert settle_for_others(adding.store) == []
    assert synced == [adding.store.root]
    assert adding.marks() == []
    assert all(adding.path(name).read_bytes() == data for name, data in MEDIA.items())


def test_after_a_power_cut_it_is_compared_and_taken_from_the_worktree_again(
    adding: Adding, monkeypatch: pytest.MonkeyPatch
) -> None:
    adding.path(LOST).unlink()
    adding.path(SHORT).write_bytes(MEDIA[SHORT][:2048])
    adding.path(EDITED).write_bytes(bytes(3000))
    adding.checkout.write(EDITED, b"edited since")
    before = identity(str(adding.path(WHOLE)))
    monkeypatch.setattr(boot, "_cached", [b"another"])
    assert settle_for_others(adding.store) == []
    for name in (LOST, SHORT, WHOLE):
        assert adding.path(name).read_bytes() == MEDIA[name]
    assert identity(str(adding.path(WHOLE))) == before
    assert adding.store.stored(hash_bytes(MEDIA[EDITED])) is None
    aside = {
        name: (Path(adding.store.root) / ASIDE / name).read_bytes()
        for name in os.listdir(f"{adding.store.root}/{ASIDE}")
    }
    assert sorted(data for name, data in aside.items() if not name.endswith(".txt")) == [
        bytes(3000),
        MEDIA[SHORT][:2048],
    ]
    assert Path(adding.old).read_bytes() == b"old and bad", "fsck's business"
    assert adding.marks() == []


def test_a_living_process_is_left_alone(adding: Adding, monkeypatch: pytest.MonkeyPatch) -> None:
    settle_for_others(adding.store)
    location = locate(str(adding.checkout.path))
    living = ContentStore(adding.store.root)
    living.defer(Backing(location.top, location.git_dir, location.index, 20))
    monkeypatch.setattr(boot, "_cached", [b"another"])
    adding.path(WHOLE).write_bytes(b"not written down yet")
    settle_for_others(adding.store)
    assert adding.path(WHOLE).exists() and len(adding.marks()) == 1
    living.settle()
    assert adding.marks() == []


def test_a_worktree_that_is_gone_keeps_nothing_from_going_on(adding: Adding, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boot, "_cached", [b"another"])
    os.rename(adding.checkout.path, adding.checkout.path.parent / "elsewhere")
    assert settle_for_others(adding.store) == []
    assert adding.marks() == []


def test_what_somebody_else_has_not_waited_for_is_waited_for(adding: Adding, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    monkeypatch.setattr(durable, "fsync_file", synced.append)
    adding.store.wait_for(str(adding.path(WHOLE)))
    assert synced == [str(adding.path(WHOLE))]
    settle_for_others(adding.store)
    adding.store.wait_for(str(adding.path(WHOLE)))
    assert len(synced) == 1


@pytest.mark.parametrize(
    ("count", "dirty", "short"), [(3, 1 << 30, False), (3, 0, True), (40, 20 << 30, False), (50_000, 10 << 30, True)]
)
def test_one_pass_is_chosen_where_it_is_short(
    count: int, dirty: int, short: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(durable, "_dirty", lambda: dirty)
    assert durable.sync_is_short(count, 0) is short
