"""The content store: what is found, what is put, and what a crash leaves."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest

from regenstore.errors import FormatError, StorageError
from regenstore.fs import file_lock
from regenstore.objects import store_format
from regenstore.objects.content_store import CACHE, STALE_TEMP, VAULT, ContentStore, identity
from regenstore.objects.hashing import hash_bytes
from regenstore.objects.holds import held
from regenstore.objects.ids import Digest

DATA = b"some media"
DIGEST = hash_bytes(DATA)


@pytest.fixture
def store(tmp_path: Path) -> ContentStore:
    made = ContentStore(str(tmp_path / "store"))
    made.prepare()
    return made


def temp_file(store: ContentStore, data: bytes = DATA) -> str:
    path = store.temp_path()
    Path(path).write_bytes(data)
    return path


def temps(store: ContentStore) -> list[str]:
    return sorted(os.listdir(f"{store.root}/tmp"))


# ------------------------------------------------------------------------------------------- putting


def test_constructing_touches_nothing(tmp_path):
    store = ContentStore(str(tmp_path / "store"))
    assert store.find(DIGEST) is None
    assert list(store.contents(VAULT)) == []
    assert store.clean_temp() == 0
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize("tree", [VAULT, CACHE])
def test_adopt_moves_a_file_in(store, tree):
    source = temp_file(store)
    assert store.adopt(source, tree=tree) == (DIGEST, len(DATA))
    found = store.find(DIGEST, len(DATA))
    assert found == store.object_path(DIGEST, tree)
    assert Path(found).read_bytes() == DATA
    assert stat.S_IMODE(os.stat(found).st_mode) == 0o444
    assert not os.path.exists(source)
    assert list(store.contents(tree)) == [(DIGEST, len(DATA))]
    assert store.size(DIGEST) == len(DATA)


def test_put_bytes(store):
    store.put_bytes(DATA, DIGEST)
    assert Path(store.find(DIGEST)).read_bytes() == DATA
    assert temps(store) == []


def test_putting_again_makes_the_content_young(store):
    store.put_bytes(DATA, DIGEST)
    path = store.find(DIGEST)
    os.utime(path, (1, 1))
    before = os.stat(path).st_ino
    store.put_bytes(DATA, DIGEST)
    assert os.stat(path).st_mtime > 1
    assert os.stat(path).st_ino != before


def test_an_empty_content_is_a_content(store):
    store.put_bytes(b"", hash_bytes(b""))
    assert store.size(hash_bytes(b"")) == 0


@pytest.mark.parametrize("kind", ["link", "folder", "fifo"])
def test_only_regular_files_are_adopted(store, tmp_path, kind):
    path = store.temp_path()
    if kind == "link":
        (tmp_path / "target").write_bytes(DATA)
        os.symlink(tmp_path / "target", path)
    elif kind == "folder":
        os.mkdir(path)
    else:
        os.mkfifo(path)
    with pytest.raises(StorageError) as caught:
        store.adopt(path)
    assert caught.value.kind == "io-error"
    assert list(store.contents(VAULT)) == []


def test_a_failed_put_leaves_the_file_where_it_was(store):
    source = temp_file(store)
    shard = os.path.dirname(store.object_path(DIGEST))
    Path(shard).write_bytes(b"in the way")
    with pytest.raises(StorageError) as caught:
        store.adopt(source)
    assert caught.value.kind == "io-error"
    assert Path(source).read_bytes() == DATA
    with pytest.raises(StorageError):
        store.put_bytes(DATA, DIGEST)
    assert temps(store) == [os.path.basename(source)]


def test_many_threads_put_the_same_content(store):
    def work() -> None:
        for _ in range(10):
            store.put_bytes(DATA, DIGEST)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Path(store.find(DIGEST)).read_bytes() == DATA
    assert temps(store) == []


# ------------------------------------------------------------------------------------------- finding


def damage(path: str, data: bytes) -> None:
    os.chmod(path, 0o644)
    Path(path).write_bytes(data)


def test_truncated_contents_are_not_found_by_size_and_healed_by_putting(store):
    store.put_bytes(DATA, DIGEST)
    damage(store.find(DIGEST), DATA[:3])
    assert store.find(DIGEST, len(DATA)) is None
    store.put_bytes(DATA, DIGEST)
    assert Path(store.find(DIGEST, len(DATA))).read_bytes() == DATA


def test_adopt_heals_damage_of_the_same_size(store):
    store.put_bytes(DATA, DIGEST)
    damage(store.find(DIGEST), b"x" * len(DATA))
    store.adopt(temp_file(store))
    assert Path(store.find(DIGEST)).read_bytes() == DATA


def test_a_damaged_copy_in_one_tree_does_not_hide_the_other(store):
    store.put_bytes(DATA, DIGEST, tree=VAULT)
    store.put_bytes(DATA, DIGEST, tree=CACHE)
    damage(store.object_path(DIGEST, CACHE), b"")
    assert store.find(DIGEST, len(DATA)) == store.object_path(DIGEST, VAULT)


def test_a_folder_at_a_contents_place_is_no_content(store):
    os.makedirs(store.object_path(DIGEST))
    assert store.find(DIGEST) is None


def test_stray_files_are_no_contents(store):
    store.put_bytes(DATA, DIGEST)
    top = Path(store.root, VAULT)
    (top / "notes").write_text("x")
    (top / "ab").mkdir(exist_ok=True)
    (top / "ab" / "short").write_text("x")
    (top / "zz").mkdir()
    (top / "zz" / ("0" * 62)).write_text("x")
    assert list(store.contents(VAULT)) == [(DIGEST, len(DATA))]


FORBIDDEN = """
import os, sys
from regenstore.errors import StorageError
from regenstore.objects.content_store import ContentStore
from regenstore.objects.hashing import hash_bytes
from regenstore.objects.holds import held
store = ContentStore(sys.argv[1])
if os.geteuid() == 0:  # root may do everything: go on as nobody
    os.setgid(65534)
    os.setuid(65534)
try:
    store.put_bytes(b"x", hash_bytes(b"x"))
except StorageError as error:
    print(error.kind)
"""


def test_missing_permissions_are_named():
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        store = ContentStore(f"{folder}/store")
        store.prepare()
        os.chmod(f"{store.root}/tmp", 0o500)
        done = subprocess.run(
            [sys.executable, "-c", FORBIDDEN, store.root], capture_output=True, text=True, check=False
        )
        os.chmod(f"{store.root}/tmp", 0o700)
    assert done.stdout == "store-unwritable\n", done.stderr


def test_an_unreadable_store_is_an_error_of_ours(tmp_path):
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    with pytest.raises(StorageError):
        ContentStore(str(loop)).find(DIGEST)
    with pytest.raises(StorageError):
        ContentStore(str(loop)).prepare()
    (tmp_path / "file").write_text("x")
    with pytest.raises(StorageError):
        ContentStore(str(tmp_path / "file" / "store")).prepare()


# ------------------------------------------------------------------------------------------- temp files


def test_clean_temp_removes_only_what_is_old(store):
    now = time.time()
    old, young = temp_file(store), temp_file(store)
    os.utime(old, (now - STALE_TEMP - 10,) * 2)
    assert store.clean_temp(now) == 0 and list(store.stale_temp(now)) == [], "its process lives"
    store.holds.release()
    fetched = Path(store.root, "tmp", "fetch-" + "ab" * 32)
    fetched.write_bytes(DATA)
    os.utime(fetched, (now - STALE_TEMP - 10,) * 2)
    held = os.open(fetched, os.O_RDONLY)
    assert file_lock.take(held)
    assert list(store.stale_temp(now)) == [old]
    assert store.clean_temp(now) == 1
    os.close(held)
    assert temps(store) == sorted([os.path.basename(young), fetched.name])
    assert store.clean_temp(now) == 1 and temps(store) == [os.path.basename(young)]


def test_clean_temp_removes_stale_run_folders_whole(store):
    now = time.time()
    folder = Path(store.temp_path("run"))
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "frame").write_bytes(DATA)
    for path in (folder / "deep" / "frame", folder / "deep", folder):
        os.utime(path, (now - STALE_TEMP - 10,) * 2)
    assert store.clean_temp(now) == 0, "its process lives"
    store.holds.release()
    assert store.clean_temp(now) == 1
    assert temps(store) == []


def test_clean_temp_keeps_a_run_that_still_writes(store):
    now = time.time()
    folder = Path(store.temp_path("run"))
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "frame").write_bytes(DATA)
    os.utime(folder, (now - STALE_TEMP - 10,) * 2)
    os.utime(folder / "deep", (now - STALE_TEMP - 10,) * 2)
    assert store.clean_temp(now) == 0
    assert (folder / "deep" / "frame").exists()


def test_clean_temp_does_not_follow_links(store, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_bytes(DATA)
    link = store.temp_path("run")
    os.symlink(outside, link)
    long_ago = (time.time() - STALE_TEMP - 10,) * 2
    os.utime(link, long_ago, follow_symlinks=False)
    for path in (outside / "precious", outside):
        os.utime(path, long_ago)
    store.holds.release()
    store.clean_temp()
    assert (outside / "precious").exists()


# ------------------------------------------------------------------------------------------- the marker


def mark(store: ContentStore, **features: list[str]) -> None:
    marker = {"regenstore_store": 1, "features": {"read": [], "write": [], "gc": [], **features}}
    Path(store.root, store_format.FILE).write_text(json.dumps(marker))


def test_a_new_store_is_marked_and_stays_so(store):
    marker = json.loads(Path(store.root, store_format.FILE).read_text())
    assert marker == {"regenstore_store": 1, "features": {"read": [], "write": [], "gc": []}}
    mark(store, gc=["later"])
    store.prepare()
    assert "later" in Path(store.root, store_format.FILE).read_text()


def test_a_feature_locks_out_of_its_operation_only(store):
    mark(store, gc=["packed"])
    store_format.check(store.root, "read")
    store_format.check(store.root, "write")
    with pytest.raises(FormatError) as caught:
        store_format.check(store.root, "gc")
    assert caught.value.kind == "newer-store"
    assert "packed" in caught.value.message


def test_a_newer_store_is_not_touched(tmp_path):
    root = tmp_path / "store"
    root.mkdir()
    (root / store_format.FILE).write_text('{"regenstore_store": 2, "features": {}}')
    with pytest.raises(FormatError) as caught:
        ContentStore(str(root)).prepare()
    assert caught.value.kind == "newer-store"
    assert os.listdir(root) == [store_format.FILE]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b"[]",
        b"null",
        b"\xff",
        b'{"regenstore_store": 1}',
        b'{"regenstore_store": 1, "features": []}',
        b'{"regenstore_store": 1, "features": {"write": 3}}',
        b"[" * 60_000,
    ],
    ids=range(9),
)
def test_damaged_markers_are_named(store, content):
    Path(store.root, store_format.FILE).write_bytes(content)
    with pytest.raises(StorageError) as caught:
        store_format.check(store.root, "write")
    assert caught.value.kind == "store-damaged"


def test_a_store_that_lost_its_marker_works(store):
    os.unlink(f"{store.root}/{store_format.FILE}")
    store.prepare()
    assert os.path.exists(f"{store.root}/{store_format.FILE}")


# ------------------------------------------------------------------------------------------- crashes

CRASH = """
import os, sys
from regenstore.fs import durable
from regenstore.objects.content_store import ContentStore
from regenstore.objects.hashing import hash_bytes
from regenstore.objects.holds import held

root, last, way = sys.argv[1], int(sys.argv[2]), sys.argv[3]
calls = 0

def counted(module, name):
    real = getattr(module, name)
    def call(*args, **named):
        global calls
        calls += 1
        if calls > last:
            os._exit(9)
        return real(*args, **named)
    setattr(module, name, call)

for module, names in (
    (os, ("open", "write", "fsync", "replace", "mkdir", "chmod", "unlink", "close")),
    (durable, ("fsync_file", "fsync_folder", "rename")),
):
    for name in names:
        counted(module, name)

store = ContentStore(root)
store.prepare()
data = bytes(range(256)) * 20
if way == "bytes":
    store.put_bytes(data, hash_bytes(data))
else:
    path = store.temp_path()
    with open(path, "wb") as file:
        file.write(data)
    if way == "file":
        assert store.adopt(path) == (hash_bytes(data), len(data))
    else:
        store.put_file(path, hash_bytes(data), wait=False)
        store.settle()
sys.stdout.write("done\\n")
"""


@pytest.mark.parametrize("way", ["bytes", "file", "later"])
def test_a_crash_at_any_step_leaves_no_wrong_object(tmp_path, way):
    """The process dies instead of its Nth system call, for every N; the next one always succeeds."""
    data = bytes(range(256)) * 20
    for last in range(300):
        root = tmp_path / f"{way}-{last}"
        done = subprocess.run(
            [sys.executable, "-c", CRASH, str(root), str(last), way], capture_output=True, text=True, check=False
        )
        store = ContentStore(str(root))
        for digest, _ in store.contents(VAULT):
            assert hash_bytes(Path(store.find(digest)).read_bytes()) == digest, f"after {last} calls"
        if last % 5 == 0 or done.returncode == 0:
            store.prepare()
            store.put_bytes(data, hash_bytes(data))
            assert Path(store.find(hash_bytes(data))).read_bytes() == data
        if done.returncode == 0:
            assert done.stdout == "done\n"
            assert last > 10, "the steps were not counted"
            return
        assert done.returncode == 9, done.stderr
    raise AssertionError("the sequence never came to its end")


def test_digests_are_typed():
    assert isinstance(DIGEST, Digest)


# ------------------------------------------------------------------------------------------- moving and trash


def move(store: ContentStore, source: str, target: str) -> None:
    before, after = store.object_path(DIGEST, source), store.object_path(DIGEST, target)
    os.makedirs(os.path.dirname(after), exist_ok=True)
    os.replace(before, after)


@pytest.mark.parametrize("tree", [VAULT, CACHE])
def test_a_content_comes_back_from_the_trash_into_its_tree(store, tree):
    store.put_bytes(DATA, DIGEST, tree=tree)
    move(store, tree, f"trash/run/{tree}")
    assert store.stored(DIGEST) is None
    assert store.size(DIGEST) is None
    assert store.find(DIGEST, 1) is None
    assert store.find(DIGEST, len(DATA)) == store.object_path(DIGEST, tree)
    assert store.stored(DIGEST) == store.object_path(DIGEST, tree)


def test_reading_from_a_trash_that_cannot_be_changed(store, monkeypatch):
    store.put_bytes(DATA, DIGEST)
    move(store, VAULT, "trash/run/vault")

    def refuse(*args: object, **named: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "replace", refuse)
    found = store.find(DIGEST)
    assert found is not None and Path(found).read_bytes() == DATA


@pytest.mark.parametrize("looks", [0, 1, 2])
def test_a_content_that_moves_while_it_is_looked_up_is_found(store, monkeypatch, looks):
    """Promoted, evicted or brought back between any two looks."""
    for source, target in ((VAULT, CACHE), (CACHE, "trash/run/cache"), ("trash/run/vault", VAULT)):
        where = store.object_path(DIGEST, source)
        os.makedirs(os.path.dirname(where), exist_ok=True)
        Path(where).write_bytes(DATA)
        seen = [0]
        real = os.stat

        def stat_then_move(path, *args, seen=seen, real=real, source=source, target=target, **named):
            if str(path).endswith(DIGEST.hex[2:]):
                if seen[0] == looks:
                    seen[0] += 1
                    move(store, source, target)
                seen[0] += 1
            return real(path, *args, **named)

        with monkeypatch.context() as patched:
            patched.setattr(os, "stat", stat_then_move)
            found = store.find(DIGEST)
        # Which of them it is depends on the moment; the bytes are there in any case, now or when asked again.
        assert found is not None
        found = store.find(DIGEST)
        assert found is not None and Path(found).read_bytes() == DATA
        for tree in (VAULT, CACHE, "trash/run/cache", "trash/run/vault"):
            Path(store.object_path(DIGEST, tree)).unlink(missing_ok=True)


def test_claiming_holds_and_changes_the_identity_only(store):
    store.put_bytes(DATA, DIGEST)
    path = store.object_path(DIGEST)
    before, mode = identity(path), os.stat(path).st_mode
    assert store.claim(DIGEST, len(DATA)) == path
    assert identity(path) != before
    assert identity(path)[0] == before[0]
    assert abs(identity(path)[1] - before[1]) < 1000
    assert os.stat(path).st_mode == mode
    assert held(store.root) == {DIGEST}
    second = identity(path)
    assert store.claim(DIGEST) == path
    assert identity(path) != second


def test_claiming_takes_back_from_the_trash(store):
    store.put_bytes(DATA, DIGEST, tree=CACHE)
    before = identity(store.object_path(DIGEST, CACHE))
    move(store, CACHE, "trash/run/cache")
    assert store.claim(DIGEST) == store.object_path(DIGEST, CACHE)
    assert identity(store.object_path(DIGEST, CACHE)) != before


def test_what_is_not_there_cannot_be_claimed(store):
    assert store.claim(DIGEST) is None
    store.put_bytes(DATA, DIGEST)
    assert store.claim(DIGEST, 3) is None


def test_claiming_where_times_are_coarse(store, monkeypatch):
    store.put_bytes(DATA, DIGEST)
    path = store.object_path(DIGEST)
    before = identity(path)
    real = os.utime
    whole = 2_000_000_000
    monkeypatch.setattr(os, "utime", lambda p, ns: real(p, ns=(ns[0], ns[1] // whole * whole)))
    real(path, ns=(0, before[1] // whole * whole))
    before = identity(path)
    assert store.claim(DIGEST) == path
    assert identity(path) != before


def test_claiming_where_times_cannot_be_changed(store, monkeypatch):
    """Another user's file, or a file system without times: it has to be put again."""
    store.put_bytes(DATA, DIGEST)
    monkeypatch.setattr(os, "utime", lambda *args, **named: None)
    assert store.claim(DIGEST) is None

    def refuse(*args: object, **named: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "utime", refuse)
    assert store.claim(DIGEST) is None


def test_a_content_taken_between_the_look_and_the_change(store, monkeypatch):
    store.put_bytes(DATA, DIGEST, tree=CACHE)
    real = os.utime

    def taken(path: str, ns: tuple[int, int]) -> None:
        monkeypatch.undo()
        move(store, CACHE, "trash/run/cache")
        real(path, ns=ns)

    monkeypatch.setattr(os, "utime", taken)
    assert store.claim(DIGEST) == store.object_path(DIGEST, CACHE)


def test_a_content_taken_just_after_the_change(store, monkeypatch):
    store.put_bytes(DATA, DIGEST, tree=CACHE)
    real = os.utime

    def taken(path: str, ns: tuple[int, int]) -> None:
        monkeypatch.undo()
        real(path, ns=ns)
        move(store, CACHE, "trash/run/cache")

    monkeypatch.setattr(os, "utime", taken)
    assert store.claim(DIGEST) == store.object_path(DIGEST, CACHE)


def test_what_is_put_and_what_is_used_is_held(store):
    store.put_bytes(DATA, DIGEST)
    assert held(store.root) == {DIGEST}
    store.holds.release()
    assert held(store.root) == set()
    store.use(DIGEST)
    assert held(store.root) == {DIGEST}


def test_the_inventory_has_every_copy_with_its_identity(store):
    store.put_bytes(DATA, DIGEST)
    store.put_bytes(b"other", hash_bytes(b"other"), tree=CACHE)
    for tree in (CACHE, "trash/run/vault"):
        path = store.object_path(DIGEST, tree)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        Path(path).write_bytes(DATA)
    Path(os.path.dirname(store.object_path(DIGEST)), "stray").write_bytes(b"")
    found = sorted(store.inventory(), key=lambda one: (one[2], one[0]))
    assert {(digest, size, tree) for digest, size, tree, _ in found} == {
        (DIGEST, len(DATA), VAULT),
        (DIGEST, len(DATA), CACHE),
        (DIGEST, len(DATA), "trash/run/vault"),
        (hash_bytes(b"other"), 5, CACHE),
    }
    assert all(identity(store.object_path(digest, tree)) == where for digest, _, tree, where in found)
