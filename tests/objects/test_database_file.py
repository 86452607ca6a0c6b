"""Replacing a damaged database beside processes that use it: nothing that is written afterwards gets lost."""

from __future__ import annotations

import os
import random
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from regenstore.objects import store_format
from regenstore.objects.results.cache import ResultCache
from regenstore.objects.results.database_file import move_aside, replacing
from tests.conftest import fresh_seed
from tests.objects.test_result_cache import digest, recipe, result


@pytest.fixture
def cache(tmp_path: Path) -> ResultCache:
    store_format.create(str(tmp_path))
    made = ResultCache(str(tmp_path))
    yield made
    made.close()


IDLE = """
import sys
from tests.objects.test_result_cache import digest, recipe, result
from regenstore.objects.results.cache import ResultCache
cache = ResultCache(sys.argv[1])
cache.record(recipe(1), result(recipe(1), 1))
print("open", flush=True)
sys.stdin.readline()
cache.record(recipe(2), result(recipe(2), 2))
print("written", flush=True)
sys.stdin.readline()
"""


def test_who_had_the_damaged_database_open_writes_to_the_new_one(cache):
    """Two processes have it open while a third one replaces it; neither loses what it writes afterwards, also
    not when the other one ends: SQLite removes the log of a database that is closed for the last time."""
    folder = os.path.dirname(cache.path)
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    idle = [subprocess.Popen([sys.executable, "-c", IDLE, folder], **pipes) for _ in range(2)]
    assert all(process.stdout.readline() == b"open\n" for process in idle)
    with open(cache.path, "r+b") as file:
        file.write(b"\xa5" * 100000)
    with replacing(folder):
        move_aside(folder)
    cache.record(recipe(3), result(recipe(3), 3))
    for process in idle:
        process.stdin.write(b"go\n")
        process.stdin.flush()
        assert process.stdout.readline() == b"written\n"
        assert cache.made(recipe(2).key, digest(2)) and cache.made(recipe(3).key, digest(3))
        process.communicate(b"end\n", timeout=60)
    cache.record(recipe(4), result(recipe(4), 4))
    cache.close()
    assert [cache.made(recipe(seed).key, digest(seed)) for seed in (1, 2, 3, 4)] == [False, True, True, True]
    kept = [path.suffix for path in Path(folder).glob("results.sqlite.damaged-*")]
    assert len([suffix for suffix in kept if not suffix.endswith(("-wal", "-shm"))]) == 1


def test_nobody_replaces_it_while_another_works(cache):
    cache.record(recipe(1), result(recipe(1), 1))
    order: list[str] = []

    def replace() -> None:
        with replacing(os.path.dirname(cache.path)):
            order.append("replaced")

    def work(db: sqlite3.Connection) -> None:
        other.start()
        other.join(0.3)
        order.append("worked")

    other = threading.Thread(target=replace)
    cache.database.write(work)
    other.join()
    assert order == ["worked", "replaced"]


TROUBLED = """
import sys
from pathlib import Path
from tests.objects.test_result_cache import digest, recipe, result
from regenstore.errors import StorageError
from regenstore.objects.results.cache import ResultCache
cache, seed = ResultCache(sys.argv[1]), int(sys.argv[2])
print("ready", flush=True)
while not Path(sys.argv[1], "calm").exists():
    try:
        cache.record(recipe(seed), result(recipe(seed), seed + 1))
    except StorageError as error:  # damaged again before it could be written
        if error.kind != "store-damaged":
            raise
    seed += 1
    if seed % 7 == 0:
        cache.close()
for number in range(seed, seed + 40):
    cache.record(recipe(number), result(recipe(number), number + 1))
print(seed, flush=True)
"""


def test_what_many_write_after_the_last_damage_is_all_there(cache):
    seed = fresh_seed()
    print(f"seed {seed}")
    rng = random.Random(seed)
    folder = os.path.dirname(cache.path)
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    command = [sys.executable, "-c", TROUBLED, folder]
    writers = [subprocess.Popen([*command, str(first)], **pipes) for first in (0, 1_000_000, 2_000_000)]
    assert all(writer.stdout.readline() == b"ready\n" for writer in writers)
    for _ in range(8):
        time.sleep(rng.random() * 0.15)
        if os.path.exists(cache.path):
            with open(cache.path, "r+b") as file:
                file.write(b"\xa5" * max(4096, os.path.getsize(cache.path)))
    cache.database._replace_damaged()
    Path(folder, "calm").touch()
    for writer in writers:
        said, wrong = writer.communicate(timeout=120)
        assert writer.returncode == 0, wrong.decode()
        first = int(said)
        assert all(cache.made(recipe(number).key, digest(number + 1)) for number in range(first, first + 40))


def test_threads_of_one_process_share_it(cache):
    """verify records proofs while its workers record results."""
    failed: list[BaseException] = []

    def work(first: int) -> None:
        try:
            for seed in range(first, first + 60):
                cache.record(recipe(seed), result(recipe(seed), seed + 1))
                assert cache.made(recipe(seed).key, digest(seed + 1))
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=work, args=(first,)) for first in (0, 1000, 2000)]
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(before)
    assert failed == []
