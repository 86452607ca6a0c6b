"""The order of changes to files: what a power cut may interrupt, and which errors come out."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from regenstore.errors import StorageError
from regenstore.fs import durable
from regenstore.objects.content_store import ContentStore
from regenstore.objects.hashing import hash_bytes

DATA = b"some media"
DIGEST = hash_bytes(DATA)


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """What the system is really asked for: each fsync by the file's name, each rename by its target."""
    seen: list[tuple[str, str]] = []
    fsync, replace, mkdir = os.fsync, os.replace, os.mkdir

    def named(fd: int) -> None:
        path = os.readlink(f"/proc/self/fd/{fd}")
        seen.append(("sync folder" if os.path.isdir(path) else "sync file", path))
        fsync(fd)

    def renamed(source: str, target: str, **more: Any) -> None:
        if "/leases/" not in target:  # what a process holds ends with it, and so with a power cut
            seen.append(("rename", target))
        replace(source, target, **more)

    def made(path: str, *more: Any, **named: Any) -> None:
        seen.append(("mkdir", path))
        mkdir(path, *more, **named)

    monkeypatch.setattr(os, "fsync", named)
    monkeypatch.setattr(os, "replace", renamed)
    monkeypatch.setattr(os, "mkdir", made)
    return seen


def test_a_content_is_written_down_before_it_has_its_name(tmp_path, steps):
    store = ContentStore(str(tmp_path / "store"))
    store.prepare()
    del steps[:]
    source = store.temp_path()
    Path(source).write_bytes(DATA)
    store.adopt(source)
    target = store.object_path(DIGEST)
    shard = os.path.dirname(target)
    assert steps == [
        ("sync file", source),
        ("mkdir", shard),
        ("sync folder", os.path.dirname(shard)),
        ("rename", target),
        ("sync folder", shard),
    ]


def test_every_new_folder_is_written_down_in_its_parent(tmp_path, steps):
    durable.make_folder(str(tmp_path / "a" / "b"))
    assert steps == [
        ("mkdir", str(tmp_path / "a")),
        ("sync folder", str(tmp_path)),
        ("mkdir", str(tmp_path / "a" / "b")),
        ("sync folder", str(tmp_path / "a")),
    ]
    del steps[:]
    durable.make_folder(str(tmp_path / "a" / "b"))
    assert steps == []


def test_small_files_are_written_whole_or_not_at_all(tmp_path, steps):
    path = str(tmp_path / "f")
    durable.write_file(path, b"new")
    assert [step for step, _ in steps] == ["sync file", "rename", "sync folder"]
    assert os.listdir(tmp_path) == ["f"]


@pytest.mark.parametrize(("count", "dirty"), [(3, 20 << 30), (100, 0)])
def test_what_may_wait_is_settled_at_once(tmp_path, steps, count, dirty, monkeypatch):
    monkeypatch.setattr(durable, "_dirty", lambda: dirty)
    store = ContentStore(str(tmp_path / "store"))
    store.prepare()
    contents = {hash_bytes(b"%d" % n): b"%d" % n for n in range(count)}
    for shard in {os.path.dirname(store.object_path(digest)) for digest in contents}:
        store._make(shard)
    del steps[:]
    for digest, data in contents.items():
        source = store.temp_path()
        Path(source).write_bytes(data)
        store.put_file(source, digest, wait=False)
        assert store.find(digest, len(data)) is not None
    assert {step for step, _ in steps} == {"rename"}
    del steps[:]
    store.settle()
    if count == 3:
        targets = [store.object_path(digest) for digest in contents]
        assert [path for step, path in steps if step == "sync file"] == targets
        shards = set(map(os.path.dirname, targets))
        folders = shards | set(map(os.path.dirname, shards))  # a shard may be new in its tree
        assert {path for step, path in steps if step == "sync folder"} == folders
    else:
        assert steps == []  # one pass over the file system
    del steps[:]
    store.settle()
    assert steps == []


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.ENOSPC, "disk-full"),
        (errno.EDQUOT, "disk-full"),
        (errno.EFBIG, "disk-full"),
        (errno.EACCES, "store-unwritable"),
        (errno.EPERM, "store-unwritable"),
        (errno.EROFS, "store-unwritable"),
        (errno.EIO, "io-error"),
        (errno.EISDIR, "io-error"),
    ],
)
def test_errors_of_the_system_say_what_to_do(number, kind):
    with pytest.raises(StorageError) as caught, durable.storage_errors(b"/st\xffore"):
        raise OSError(number, os.strerror(number))
    assert caught.value.kind == kind
    assert "ore" in caught.value.message
    assert caught.value.__cause__.errno == number


def test_our_own_errors_pass(tmp_path):
    mine = StorageError("disk-full", "x")
    with pytest.raises(StorageError) as caught, durable.storage_errors("y"):
        raise mine
    assert caught.value is mine


FULL = """
import resource, sys
from regenstore.errors import StorageError
from regenstore.fs import durable
resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10))
try:
    durable.write_file(sys.argv[1], b"new" * 100)
except StorageError as error:
    print(error.kind)
"""


def test_a_full_disk_leaves_the_old_file_and_no_scraps(tmp_path):
    path = tmp_path / "f"
    durable.write_file(str(path), b"old")
    done = subprocess.run([sys.executable, "-c", FULL, str(path)], capture_output=True, text=True, check=False)
    assert done.stdout == "disk-full\n", done.stderr
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["f"]


def test_removing_says_whether_there_was_something(tmp_path):
    (tmp_path / "f").touch()
    assert durable.unlink(str(tmp_path / "f"))
    assert not durable.unlink(str(tmp_path / "f"))
