"""Sending, bringing, confirming and recording, with a folder as the remote."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from regenstore.errors import StorageError
from regenstore.objects.content_store import ContentStore
from regenstore.objects.hashing import hash_bytes
from regenstore.objects.ids import Digest
from regenstore.objects.recipe import Output, Recipe
from regenstore.objects.result import Content, Proof, Result
from regenstore.objects.results.cache import ResultCache
from regenstore.remotes import layout
from regenstore.remotes.backends.directory import Directory
from regenstore.remotes.records import Records
from regenstore.remotes.remote import MANY, Remote
from regenstore.remotes.retries import RetryingBackend
from regenstore.schemas.stored import STORED
from tests.conftest import noise


def quiet(digest: Digest, count: int) -> None:
    """Nobody is told."""


class Side:
    """One machine with a store and the shared folder."""

    def __init__(self, folder: Path, shared: Path) -> None:
        self.store = ContentStore(str(folder))
        self.store.prepare()
        self.cache = ResultCache(str(folder))
        self.backend = Directory(str(shared), create=True)
        self.remote = Remote("studio", self.backend, self.store)
        self.records = Records(self.remote)

    def put(self, data: bytes) -> Digest:
        digest = hash_bytes(data)
        self.store.put_bytes(data, digest)
        return digest

    def read(self, digest: Digest) -> bytes:
        path = self.store.stored(digest)
        assert path is not None
        return Path(path).read_bytes()


@pytest.fixture
def sides(tmp_path: Path) -> Iterator[tuple[Side, Side]]:
    one, other = (Side(tmp_path / name, tmp_path / "shared") for name in ("one", "other"))
    yield one, other
    for side in (one, other):
        side.cache.close()
        side.store.holds.release()


def test_there_and_back(sides: tuple[Side, Side]) -> None:
    one, other = sides
    data = [b"", b"x", noise("a", 3_000_000), noise("b", 70_000)]
    digests = [one.put(each) for each in data]
    sent = list(one.remote.send(digests, quiet))
    assert {moved.digest for moved in sent} == set(digests) and not any(m.error or m.already for m in sent)
    assert all(moved.already for moved in one.remote.send(digests, quiet))
    told: dict[Digest, int] = {}
    lock = threading.Lock()

    def count(digest: Digest, more: int) -> None:
        with lock:
            told[digest] = told.get(digest, 0) + more

    brought = list(other.remote.bring([(digest, None) for digest in digests], count))
    assert not any(moved.error for moved in brought)
    assert [other.read(digest) for digest in digests] == data
    assert {digest: told.get(digest, 0) for digest in digests} == dict(zip(digests, map(len, data)))
    assert all(moved.already for moved in other.remote.bring([(digest, None) for digest in digests], quiet))
    assert not os.listdir(f"{other.store.root}/tmp")


def test_many_are_asked_for_by_listing(sides: tuple[Side, Side], monkeypatch: pytest.MonkeyPatch) -> None:
    one, _ = sides
    digests = [one.put(b"%d" % number) for number in range(MANY + 50)]
    list(one.remote.send(digests[:-10], quiet))
    asked: list[str] = []
    head = one.backend.head
    monkeypatch.setattr(one.backend, "head", lambda name: asked.append(name) or head(name))
    assert set(one.remote.having(digests)) == set(digests[:-10])
    assert not asked


def test_what_broke_off_goes_on(sides: tuple[Side, Side], monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = sides
    data = noise("long", 9_000_000)
    digest = one.put(data)
    list(one.remote.send([digest], quiet))
    read, starts = other.backend.read, []

    def breaks(name: str, start: int = 0) -> Iterator[bytes]:
        starts.append(start)
        for block in read(name, start):
            yield block
            break
        else:
            return
        raise StorageError("remote-unreachable", "it broke off")

    monkeypatch.setattr(other.backend, "read", breaks)
    (moved,) = other.remote.bring([(digest, len(data))], quiet)
    assert moved.error is not None and moved.error.kind == "remote-unreachable"
    assert other.store.stored(digest) is None
    other.remote.backend = RetryingBackend(other.backend, 9, first=0.0)
    (moved,) = other.remote.bring([(digest, len(data))], quiet)
    assert moved.error is None and other.read(digest) == data
    assert starts == sorted(set(starts)) and len(starts) >= 3


def test_who_leaves_early_does_not_wait_for_the_rest(sides: tuple[Side, Side], monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = sides
    small, large = one.put(b"small"), one.put(noise("large", 40_000_000))
    list(one.remote.send([small, large], quiet))
    read, blocks = other.backend.read, []

    def slow(name: str, start: int = 0) -> Iterator[bytes]:
        for block in read(name, start):
            for at in range(0, len(block), 100_000):
                blocks.append(at)
                time.sleep(0.01 if len(block) > 100 else 0)
                yield block[at : at + 100_000]

    monkeypatch.setattr(other.backend, "read", slow)
    answers = other.remote.bring([(small, None), (large, None)], quiet)
    assert next(answers).digest == small
    answers.close()
    assert len(blocks) < 300
    monkeypatch.setattr(other.backend, "read", read)
    assert not [moved for moved in other.remote.bring([(large, None)], quiet) if moved.error]


def test_an_old_part_with_wrong_bytes_is_no_obstacle(sides: tuple[Side, Side]) -> None:
    one, other = sides
    data = noise("long", 100_000)
    digest = one.put(data)
    list(one.remote.send([digest], quiet))
    Path(other.store.root, "tmp", f"fetch-{digest.hex}").write_bytes(b"rotten" * 1000)
    (moved,) = other.remote.bring([(digest, len(data))], quiet)
    assert moved.error is None and other.read(digest) == data


@pytest.mark.parametrize("wrong", [b"", b"short", noise("other", 50_000), noise("longer", 50_001)])
def test_wrong_bytes_never_become_a_content(sides: tuple[Side, Side], wrong: bytes) -> None:
    one, other = sides
    digest = one.put(noise("right", 50_000))
    list(one.remote.send([digest], quiet))
    Path(one.backend.path, layout.content(digest)).write_bytes(wrong)
    for size in (50_000, None):
        (moved,) = other.remote.bring([(digest, size)], quiet)
        assert moved.error is not None and moved.error.kind == "remote-wrong-bytes"
        assert other.store.stored(digest) is None


def test_damage_here_does_not_spread(sides: tuple[Side, Side]) -> None:
    one, other = sides
    digest = one.put(noise("right", 50_000))
    path = Path(one.store.stored(digest) or "")
    path.chmod(0o644)
    path.write_bytes(noise("wrong", 50_000))
    (moved,) = one.remote.send([digest], quiet)
    assert moved.error is not None and moved.error.kind == "store-damaged"
    assert other.remote.having([digest]) == {}


def test_a_confirmation_is_of_this_moment(sides: tuple[Side, Side]) -> None:
    one, other = sides
    digests = [one.put(noise(f"c{n}", 10_000)) for n in range(4)]
    list(one.remote.send(digests[:3], quiet))
    assert one.remote.confirm(digests) == dict.fromkeys(digests[:3], 10_000)
    place = Path(one.backend.path, layout.content(digests[0]))
    place.unlink()
    Path(one.backend.path, layout.content(digests[1])).write_bytes(noise("wrong", 10_000))
    assert one.remote.confirm(digests) == {digests[2]: 10_000}
    assert other.remote.confirm(digests) == {digests[2]: 10_000}


def test_a_remote_that_is_not_mounted_is_not_empty(sides: tuple[Side, Side], tmp_path: Path) -> None:
    one, _ = sides
    digest = one.put(b"x")
    list(one.remote.send([digest], quiet))
    os.rename(one.backend.path, tmp_path / "away")
    with pytest.raises(StorageError, match="mounted") as caught:
        one.remote.having([digest])
    assert caught.value.kind == "remote-unreachable"
    with pytest.raises(StorageError, match="mounted"):
        one.remote.confirm([digest])
    (moved,) = one.remote.bring([(hash_bytes(b"y"), None)], quiet)
    assert moved.error is not None
    assert not Path(one.backend.path).exists()


def recorded(side: Side, word: str) -> tuple[Recipe, Result]:
    digest = side.put(noise(word, 1000))
    recipe = Recipe("words", "1", Output("application/octet-stream"), params={"word": word})
    assert recipe.key is not None
    content = Content(digest, 1000, "application/octet-stream")
    result = Result(recipe.key, {"main": content}, 2.5, 100.0, {"machine": "one"})
    side.cache.record(recipe, result, [Proof.again(recipe.key, digest, 2.5, 101.0, {"machine": "one"})])
    return recipe, result


@pytest.mark.parametrize("lists", [True, False])
def test_results_and_proofs_travel(sides: tuple[Side, Side], monkeypatch: pytest.MonkeyPatch, lists: bool) -> None:
    one, other = sides
    for side in sides:
        monkeypatch.setattr(side.backend, "lists", lists, raising=False)
    recipe, result = recorded(one, "first")
    _, unsent = recorded(one, "second")
    there = result.digests
    assert one.records.push(one.cache, there) == 2
    assert one.records.push(one.cache, there) == 0
    (sent,) = Path(one.backend.path, layout.RECORDS).glob("*.jsonl")
    for line, name in zip(sent.read_bytes().splitlines(), ("remote-result", "remote-proof"), strict=True):
        STORED[name].model_validate_json(line)
    assert other.records.fetch() == 1 and other.records.fetch() == 0
    assert recipe.key is not None
    (shared,) = other.records.results(recipe.key)
    assert shared.result == result
    assert other.records.known_outputs(next(iter(there)))[0].key == recipe.key
    assert [proof.key for proof in other.records.proofs()] == [recipe.key]
    assert other.records.results(unsent.key) == []
    mine = recorded(other, "third")[1]
    assert other.records.push(other.cache, {*there, *mine.digests}) == 2
    assert one.records.fetch() == 1 and one.records.results(mine.key)


def test_damaged_records_are_refused_and_odd_lines_passed_over(sides: tuple[Side, Side]) -> None:
    one, other = sides
    lines = b'{"kind": "song"}\n[1]\n{"kind": "result", "key": 3}\nnonsense\n\xff\n'
    name = layout.record(hash_bytes(lines))
    one.backend.write(name, lines)
    assert other.records.fetch() == 1 and list(other.records.proofs()) == []
    one.backend.write(layout.record(hash_bytes(b"a")), b"b")
    with pytest.raises(StorageError) as caught:
        other.records.fetch()
    assert caught.value.kind == "remote-wrong-bytes"


def test_the_estimate_follows_what_was_measured(sides: tuple[Side, Side]) -> None:
    one, _ = sides
    before = one.remote.estimate([100_000_000])
    list(one.remote.send([one.put(noise(f"{n}", 4_000_000)) for n in range(8)], quiet))
    assert one.remote.estimate([100_000_000]) != before
    assert one.remote.estimate([]) == 0
