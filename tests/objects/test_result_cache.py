"""The result cache: what is kept, in which order, and what happens to a damaged database."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from regenstore.errors import Conflict, FormatError, StorageError
from regenstore.objects import toml
from regenstore.objects.ids import Digest, RecipeKey
from regenstore.objects.recipe import Output, Recipe, Take
from regenstore.objects.result import BlobRecord, Content, Result
from regenstore.objects.results import database
from regenstore.objects.results.cache import ResultCache
from regenstore.objects.results.database import SCHEMA_VERSION


@pytest.fixture
def cache(tmp_path: Path) -> ResultCache:
    made = ResultCache(str(tmp_path))
    yield made
    made.close()


def digest(number: int) -> Digest:
    return Digest(number.to_bytes(32, "big"))


def recipe(seed: int = 0, **about: object) -> Recipe:
    return Recipe("g", "1", Output("image/png"), params={"seed": seed}, about=about)


def result(of: Recipe, *numbers: int, created: float = 1.0, seconds: float = 2.0) -> Result:
    names = ("main", "mask", "depth")
    outputs = {name: Content(digest(n), n, "image/png") for name, n in zip(names, numbers)}
    assert of.key is not None
    return Result(of.key, outputs, seconds, created, {"gpu": "none", "torch": "é"})


def count(cache: ResultCache, table: str) -> int:
    with sqlite3.connect(cache.path) as db:
        return int(db.execute(f"SELECT count(*) FROM {table}").fetchone()[0])


# ------------------------------------------------------------------------------------------- results


def test_reading_creates_nothing(cache, tmp_path):
    assert cache.results(RecipeKey(b"\0" * 32)) == []
    assert cache.known_outputs(digest(1)) == []
    assert cache.made(RecipeKey(b"\0" * 32), digest(1)) is False
    assert cache.typical_seconds("g", "1") is None
    assert cache.blobs([b"\0" * 20]) == {}
    assert os.listdir(tmp_path) == []


def test_a_result_comes_back_whole(cache):
    made = result(recipe(), 1, 2)
    cache.record(recipe(), made)
    assert cache.results(made.key) == [made]
    other = ResultCache(os.path.dirname(cache.path))
    assert other.results(made.key) == [made]
    other.close()


def test_equal_outputs_are_kept_once_as_the_newest(cache):
    of = recipe()
    cache.record(of, result(of, 1, created=1, seconds=9))
    cache.record(of, result(of, 2, created=2))
    cache.record(of, result(of, 1, created=3, seconds=5))
    found = cache.results(of.key)
    assert [(r.outputs["main"].digest, r.created, r.seconds) for r in found] == [
        (digest(1), 3.0, 5.0),
        (digest(2), 2.0, 2.0),
    ]
    assert count(cache, "result") == count(cache, "output") == 2


def test_each_environment_keeps_its_own_word(cache):
    """Also when both gave the same: what one environment gives now and gave before tells whether it varies."""
    of = recipe()
    cache.record(of, result(of, 1))
    cache.record(of, result(of, 1)._replace(fingerprint={"gpu": "other"}))
    assert [r.fingerprint["gpu"] for r in cache.results(of.key)] == ["other", "none"]


def test_every_output_of_every_run(cache):
    assert list(cache.every_output()) == []
    made = result(recipe(), 1, 2)
    cache.record(recipe(), made)
    cache.record(recipe(7), result(recipe(7), 3))
    found = {(o.key, o.name): o for o in cache.every_output()}
    assert len(found) == 3
    one = found[made.key, "mask"]
    assert (one.content, one.seconds, one.generator, one.version) == (made.outputs["mask"], 2.0, "g", "1")
    assert one.fingerprint == made.fingerprint


def test_the_same_main_with_another_side_output_is_another_result(cache):
    of = recipe()
    cache.record(of, result(of, 1, 2))
    cache.record(of, result(of, 1, 3))
    cache.record(of, result(of, 1))
    assert len(cache.results(of.key)) == 3


def test_of_equal_times_the_last_one_written_is_the_newest(cache):
    of = recipe()
    for number in (1, 2, 3):
        cache.record(of, result(of, number))
    assert [r.outputs["main"].digest for r in cache.results(of.key)] == [digest(3), digest(2), digest(1)]


def test_keys_do_not_mix(cache):
    cache.record(recipe(1), result(recipe(1), 1))
    cache.record(recipe(2), result(recipe(2), 2))
    assert cache.made(recipe(1).key, digest(1))
    assert not cache.made(recipe(1).key, digest(2))
    assert len(cache.results(recipe(2).key)) == 1


def test_known_outputs_name_every_recipe_newest_first(cache):
    for seed in (1, 2):
        cache.record(recipe(seed), result(recipe(seed), 7, created=seed))
    found = cache.known_outputs(digest(7))
    assert [toml.decode(k.recipe) for k in found] == [recipe(2), recipe(1)]
    assert {(k.name, k.media_type, k.seconds) for k in found} == {("main", "image/png", 2.0)}


def test_the_newest_text_stands_for_a_key(cache):
    cache.record(recipe(note="first"), result(recipe(), 1))
    cache.remember(recipe(note="second"))
    assert toml.decode(cache.known_outputs(digest(1))[0].recipe).about == {"note": "second"}
    cache.remember(Recipe.of_imported(Take(digest(1), 1), "image/png"))
    assert count(cache, "recipe") == 1


def test_typical_seconds_is_the_median_of_the_last_runs(cache):
    for seed, seconds in enumerate((1.0, 100.0, 3.0, 2.0, 4.0)):
        cache.record(recipe(seed), result(recipe(seed), seed + 1, seconds=seconds))
    assert cache.typical_seconds("g", "1") == 3.0
    assert cache.typical_seconds("g", "2") is None


# ------------------------------------------------------------------------------------------- blobs, runs


def test_blob_records_come_back(cache):
    records = [
        BlobRecord(b"\1" * 20, RecipeKey(b"\2" * 32), digest(3), 4, "main"),
        BlobRecord(b"\5" * 32, None, digest(6), 2**40, ""),
        BlobRecord(b"\7" * 20, RecipeKey(b"\2" * 32), None, 0, "mask", (), "g", "1", "image/png", 2.5),
    ]
    cache.add_blobs(records)
    cache.add_blobs([])
    assert cache.blobs(r.oid for r in records) == {r.oid: r for r in records}
    many = [BlobRecord(n.to_bytes(20, "big"), None, digest(n), n, "main") for n in range(1, 1300)]
    cache.add_blobs(many)
    assert len(cache.blobs([r.oid for r in many])) == 1299


def test_runs_are_journalled(cache):
    run = cache.start_run(recipe().key, recipe(), 5.0)
    rows = "SELECT id, key, recipe, started, process, state, message FROM run"
    with sqlite3.connect(cache.path) as db:
        assert db.execute(rows).fetchall() == [
            (run, recipe().key.raw, toml.encode(recipe()), 5.0, os.getpid(), "running", "")
        ]
    cache.end_run(run, "failed", "odd byte \udcff " + "x" * 10_000)
    with sqlite3.connect(cache.path) as db:
        state, message = db.execute("SELECT state, message FROM run").fetchone()
    assert state == "failed"
    assert message.startswith("odd byte ? xxx")
    assert len(message) == 4000


# ------------------------------------------------------------------------------------------- damage


def filled(cache: ResultCache, rows: int = 200) -> None:
    for seed in range(rows):
        cache.record(recipe(seed, note="n" * 200), result(recipe(seed), seed + 1, created=seed))
    cache.close()


def aside(cache: ResultCache) -> list[str]:
    folder = os.path.dirname(cache.path)
    return [name for name in os.listdir(folder) if name.startswith("results.sqlite.damaged-")]


@pytest.mark.parametrize("content", [b"this is no database at all" * 100, b"SQLite format 3\0" + b"\xff" * 5000])
def test_what_is_no_database_is_moved_aside(cache, content):
    Path(cache.path).write_bytes(content)
    assert cache.results(recipe().key) == []
    cache.record(recipe(), result(recipe(), 1))
    assert len(cache.results(recipe().key)) == 1
    (kept,) = aside(cache)
    assert Path(os.path.dirname(cache.path), kept).read_bytes() == content


def test_an_empty_file_becomes_a_database(cache):
    Path(cache.path).touch()
    cache.record(recipe(), result(recipe(), 1))
    assert len(cache.results(recipe().key)) == 1
    assert aside(cache) == []


@pytest.mark.parametrize("way", ["truncated", "holes", "noise"])
def test_a_database_that_turns_out_to_be_damaged_is_moved_aside(cache, way):
    filled(cache)
    data = bytearray(Path(cache.path).read_bytes())
    if way == "truncated":
        del data[len(data) // 3 :]
    else:
        for page in range(4096, len(data), 4096):
            data[page : page + 4096] = bytes(4096) if way == "holes" else b"\xa5" * 4096
    Path(cache.path).write_bytes(data)
    for seed in range(200):
        cache.results(recipe(seed).key)
        cache.known_outputs(digest(seed))
    cache.record(recipe(1), result(recipe(1), 1))
    assert cache.made(recipe(1).key, digest(1))
    assert len(aside(cache)) == 1


def test_writing_to_a_damaged_database_loses_nothing_of_what_is_written(cache):
    filled(cache)
    data = Path(cache.path).read_bytes()
    Path(cache.path).write_bytes(data[:4096] + b"\xa5" * (len(data) - 4096))
    cache.record(recipe(7), result(recipe(7), 7))
    assert [r.outputs["main"].digest for r in cache.results(recipe(7).key)] == [digest(7)]
    assert len(aside(cache)) == 1


def test_who_comes_second_finds_the_new_database(tmp_path):
    first, second = ResultCache(str(tmp_path)), ResultCache(str(tmp_path))
    Path(first.path).write_bytes(b"no database" * 1000)
    # Both see the damage; the second one must not move away what the first one has begun.
    with pytest.raises(sqlite3.DatabaseError):
        second.database._connect()
    first.record(recipe(1), result(recipe(1), 1))
    second.database._replace_damaged()
    second.record(recipe(2), result(recipe(2), 2))
    assert first.made(recipe(2).key, digest(2))
    assert second.made(recipe(1).key, digest(1))
    assert len(aside(first)) == 1
    first.close()
    second.close()


def test_a_newer_database_is_refused_and_left_alone(cache):
    filled(cache, 1)
    with sqlite3.connect(cache.path) as db:
        db.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    for act in (lambda: cache.results(recipe().key), lambda: cache.record(recipe(), result(recipe(), 1))):
        with pytest.raises(FormatError) as caught:
            act()
        assert caught.value.kind == "newer-store"
    assert aside(cache) == []


def test_a_folder_in_the_way_is_an_error_of_ours(cache):
    os.mkdir(cache.path)
    with pytest.raises(StorageError) as caught:
        cache.results(recipe().key)
    assert caught.value.kind == "store-unwritable"


@pytest.mark.parametrize("column", ["key", "digest", "output", "inputs", "generator", "version", "media_type"])
def test_a_blob_of_wrong_types_is_not_known(cache, column):
    """One bit makes a text bytes, or bytes a text: sound to SQLite."""
    record = BlobRecord(b"o" * 20, recipe().key, digest(1), 9, "main", (digest(2),), "g", "1", "image/png", 0.5)
    other = record._replace(oid=b"p" * 20)
    cache.add_blobs([record, other])
    assert cache.blobs([record.oid, other.oid]) == {record.oid: record, other.oid: other}
    value = "text" if column in ("key", "digest", "inputs") else b"bytes"
    cache.database.write(lambda db: db.execute(f"UPDATE blob SET {column} = ? WHERE oid = ?", (value, record.oid)))
    assert cache.blobs([record.oid, other.oid]) == {other.oid: other}
    cache.add_blobs([record])
    assert cache.blobs([record.oid]) == {record.oid: record}


def test_another_process_that_keeps_the_database_is_told_as_such(cache, monkeypatch):
    filled(cache, 1)
    cache.close()
    monkeypatch.setattr(database, "PATIENCE", 0.1)
    with closing(sqlite3.connect(cache.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(Conflict) as caught:
            cache.record(recipe(2), result(recipe(2), 2))
    assert caught.value.kind == "store-busy"


def test_a_missing_folder_is_an_error_of_ours(tmp_path):
    cache = ResultCache(str(tmp_path / "none"))
    with pytest.raises(StorageError):
        cache.record(recipe(), result(recipe(), 1))


# ------------------------------------------------------------------------------------------- processes

WRITER = """
import sys
from tests.objects.test_result_cache import digest, recipe, result
from regenstore.objects.results.cache import ResultCache
cache = ResultCache(sys.argv[1])
first = int(sys.argv[2])
print("ready", flush=True)
sys.stdin.readline()
for seed in range(first, first + 500):
    cache.record(recipe(seed), result(recipe(seed), seed + 1))
    assert cache.made(recipe(seed).key, digest(seed + 1))
"""


def test_two_processes_write_at_once(cache):
    folder = os.path.dirname(cache.path)
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, folder, first],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for first in ("0", "400")
    ]
    for writer in writers:
        assert writer.stdout.readline() == b"ready\n"
    for writer in writers:
        writer.stdin.write(b"go\n")
        writer.stdin.flush()
    for writer in writers:
        _, said = writer.communicate(timeout=120)
        assert writer.returncode == 0, said.decode()
    assert count(cache, "result") == count(cache, "recipe") == 900
    assert all(cache.made(recipe(seed).key, digest(seed + 1)) for seed in range(900))


def test_a_failed_transaction_leaves_nothing(cache):
    bad = Result(recipe().key, {"main": Content(digest(1), 2**70, "image/png")}, 1.0, 1.0)
    with pytest.raises(OverflowError):
        cache.record(recipe(), bad)
    assert count(cache, "result") == count(cache, "recipe") == 0
    cache.record(recipe(), result(recipe(), 1))
    assert count(cache, "result") == 1


@pytest.mark.parametrize("before", [None, b"no database" * 3000], ids=["missing", "damaged"])
def test_many_processes_begin_at_once(cache, before):
    if before is not None:
        Path(cache.path).write_bytes(before)
    code = WRITER.replace("first + 500", "first + 1")
    command = [sys.executable, "-c", code, os.path.dirname(cache.path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    writers = [subprocess.Popen([*command, str(first)], **pipes) for first in range(6)]
    for writer in writers:
        assert writer.stdout.readline() == b"ready\n"
    for writer in writers:
        writer.stdin.write(b"go\n")
        writer.stdin.flush()
    for writer in writers:
        _, said = writer.communicate(timeout=120)
        assert writer.returncode == 0, said.decode()
    assert count(cache, "result") == 6
    assert len(aside(cache)) == (0 if before is None else 1)
