"""Pushing: how many questions it asks, what it does where a remote breaks off, and trying out what one can do."""

from __future__ import annotations

import os
import shutil
from collections import Counter

import pytest

from regenstore.errors import StorageError
from regenstore.objects.content_store import ContentStore
from regenstore.objects.hashing import hash_bytes
from regenstore.objects.results.cache import ResultCache
from regenstore.remotes import layout
from regenstore.remotes.backends.directory import Directory
from regenstore.remotes.check import NEEDED_TO_PUSH, probe, sample, speed
from regenstore.remotes.push import foresee, load, push
from regenstore.remotes.remote import Remote
from regenstore.remotes.retries import RetryingBackend
from regenstore.remotes.scope import Wanted


class Counting(Directory):
    """A folder that counts what is asked of it, and can break off."""

    def __init__(self, path, **options):
        super().__init__(path, **options)
        self.asked = Counter()
        self.breaks_after = None

    def head(self, name):
        self.asked["head"] += 1
        return super().head(name)

    def names(self, prefix):
        self.asked["names"] += 1
        return super().names(prefix)

    def write_file(self, name, path, told):
        self.asked["write"] += 1
        if self.breaks_after is not None and self.asked["write"] > self.breaks_after:
            raise StorageError("remote-unreachable", "away")
        super().write_file(name, path, told)


@pytest.fixture
def backend(tmp_path):
    return Counting(str(tmp_path / "shared"), create=True)


@pytest.fixture
def store(tmp_path):
    made = ContentStore(str(tmp_path / "store"))
    made.prepare()
    return made


def wanted_of(store, count, size=10):
    found = {}
    for n in range(count):
        data = f"{n}".encode().ljust(size)
        digest = hash_bytes(data)
        store.put_bytes(data, digest)
        found[digest] = Wanted(digest, size, f"{n}.png".encode(), False)
    return found


def pushed(backend, store, wanted):
    remote = Remote("studio", RetryingBackend(backend, 1, first=0.05), store)
    cache = ResultCache(store.root)
    try:
        return push(remote, cache, load(store, wanted), lambda digest, count: None)
    finally:
        cache.close()


def test_many_contents_that_are_there_cost_few_questions(backend, store):
    wanted = wanted_of(store, 2000)
    assert len(pushed(backend, store, wanted).sent) == 2000
    backend.asked.clear()
    done = pushed(backend, store, wanted)
    assert len(done.there) == 2000 and not done.sent
    assert backend.asked["head"] == backend.asked["write"] == 0 and backend.asked["names"] < 300
    backend.asked.clear()
    assert len(foresee(Remote("studio", backend, store), load(store, wanted)).there) == 2000
    assert backend.asked["head"] == 0


def test_a_remote_that_breaks_off_is_given_up_and_taken_up_again(backend, store, tmp_path):
    wanted = wanted_of(store, 200)
    backend.breaks_after = 50
    done = pushed(backend, store, wanted)
    assert 0 < len(done.sent) <= 50 and done.untried > 100 and done.records == 0
    assert len(done.sent) + len(done.failed) + done.untried == 200
    assert backend.asked["write"] < 150  # without giving up: 350
    backend.breaks_after = None
    backend.asked.clear()
    done = pushed(backend, store, wanted)
    assert (len(done.sent), len(done.there), done.failed) == (150, 50, {})
    assert backend.asked["write"] == 150


def test_absent_contents(backend, store):
    wanted = wanted_of(store, 3)
    nowhere, there = hash_bytes(b"nowhere"), hash_bytes(b"there")
    backend.write(layout.content(there), b"there")
    for digest in (nowhere, there):
        wanted[digest] = Wanted(digest, None, b"x.png", True)
    seen = foresee(Remote("studio", backend, store), load(store, wanted))
    done = pushed(backend, store, wanted)
    assert len(seen.sent) == len(done.sent) == 3
    assert [each.digest for each in done.missing] == [each.digest for each in seen.missing] == [nowhere]


def test_what_the_remote_is_about_to_delete_is_sent_again(backend, store):
    wanted = wanted_of(store, 2)
    pushed(backend, store, wanted)
    marked = next(iter(wanted))
    backend.write(layout.tombstone(marked), b"now")
    assert list(foresee(Remote("studio", backend, store), load(store, wanted)).sent) == [marked]
    assert list(pushed(backend, store, wanted).sent) == [marked]


# ------------------------------------------------------------------------------------------- trying out


def test_a_folder_can_do_everything(backend, store):
    found = probe(backend)
    assert all(error is None for error in found.tried.values()) and len(found.tried) == 7
    assert found.can(*NEEDED_TO_PUSH) and found.problem is None
    there, back = speed(Remote("studio", backend, store), store)
    assert there > 0 and back > 0
    assert list(backend.names("v1/")) == [] and not os.listdir(f"{store.root}/tmp")


class Forgetful(Directory):
    def write(self, name, data):
        pass


class Stubborn(Directory):
    """Never replaces anything, and says nothing."""

    def write(self, name, data):
        if self.head(name) is None:
            super().write(name, data)


class Mangling(Directory):
    def write(self, name, data):
        super().write(name, data[:-1])


class FromTheStart(Directory):
    """Ignores where a read is to begin."""

    def read(self, name, start=0):
        return super().read(name)


class Silent(Directory):
    lists = False


@pytest.mark.parametrize(
    ("kind", "cannot", "pushes"),
    [
        (Forgetful, {"read", "list"}, False),
        (Stubborn, {"overwrite"}, True),
        (Mangling, {"read"}, False),
        (FromTheStart, {"range"}, True),
        (Silent, {"list"}, True),
    ],
)
def test_what_a_poor_server_cannot_do_is_found(tmp_path, kind, cannot, pushes):
    backend = kind(str(tmp_path / "shared"), create=True)
    found = probe(backend)
    assert {name for name, error in found.tried.items() if error is not None} == cannot
    assert found.can(*NEEDED_TO_PUSH) == pushes and found.problem is not None


def test_nobody_there(tmp_path):
    found = probe(Directory(str(tmp_path / "none")))
    assert list(found.tried) == ["answer"] and found.problem.kind == "remote-unreachable"


def test_a_sample_finds_wrong_bytes(backend, store):
    wanted = wanted_of(store, 4)
    pushed(backend, store, wanted)
    remote = Remote("studio", backend, store)
    victim = sorted(wanted, key=lambda digest: digest.hex)[0]
    backend.write(layout.content(victim), b"x".ljust(10))
    found = sample(remote, list(wanted), 3)
    assert (found.asked, found.there, len(found.sound), found.wrong) == (4, 4, 2, [victim])
    shutil.rmtree(backend.path)
    with pytest.raises(StorageError):
        sample(remote, list(wanted), 3)
