"""An index with anything in it: it is read, or refused as damaged or as one for Git; never for long, never with much
memory, and nothing writes over it."""

from __future__ import annotations

import hashlib
import struct
import sys
import time
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from regenstore.errors import FormatError
from regenstore.worktree.index_file import IndexFile
from tests.conftest import examples

PATHS = [b"a.png", b"deep/b.png", b"deep/c.png", b"shots/" + b"x" * 300 + b".mp4"]
SECONDS = 2.0
MEMORY = 64 << 20
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="measures what POSIX tells")


def varint(value: int) -> bytes:
    """Git's offset encoding (gitformat-index, version 4)."""
    found = [value & 0x7F]
    while value := value >> 7:
        value -= 1
        found.append(0x80 | value & 0x7F)
    return bytes(reversed(found))


def index(version: int, oid_size: int = 20, extensions: bytes = b"", paths: list[bytes] = PATHS) -> bytes:
    """A sound index."""
    data = struct.pack(">4sII", b"DIRC", version, len(paths))
    previous = b""
    for number, path in enumerate(paths):
        start = len(data)
        data += struct.pack(">10I", *range(number, number + 10)) + bytes([number]) * oid_size
        extended = 0x4000 if version == 3 and number == 1 else 0
        data += struct.pack(">H", min(len(path), 0xFFF) | extended) + (b"\x40\x00" if extended else b"")
        if version == 4:
            data += varint(len(previous)) + path + b"\0"
            previous = path
        else:
            data += path
            data += b"\0" * (8 - (len(data) - start) % 8)
    data += extensions
    name = "sha1" if oid_size == 20 else "sha256"
    return data + hashlib.new(name, data, usedforsecurity=False).digest()


TREE = b"TREE" + struct.pack(">I", 5) + b"\0" * 5
SOUND = [index(version, size, more) for version in (2, 3, 4) for size in (20, 32) for more in (b"", TREE)]


def read(data: bytes, oid_size: int, folder: Path) -> str:
    """What reading gives, within the limits."""
    path = folder / "index"
    path.write_bytes(data)
    tracemalloc.start()
    began = time.thread_time()
    try:
        found = IndexFile.read(str(path), oid_size)
        for entry in found.entries:
            assert len(entry.oid) == oid_size and entry.path
            assert 0 <= entry.stat <= len(data) - 40
        said = "read"
    except FormatError as error:
        assert error.kind == "bad-index" and error.message
        said = "refused"
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert time.thread_time() - began < SECONDS
    assert peak < MEMORY, peak
    assert path.read_bytes() == data
    return said


def test_sound_ones_are_read(tmp_path: Path) -> None:
    for data in SOUND:
        size = 32 if data in SOUND[2:4] + SOUND[6:8] + SOUND[10:12] else 20
        assert read(data, size, tmp_path) == "read"
        assert [entry.path for entry in IndexFile(data, size).entries] == PATHS


@settings(
    max_examples=examples(300),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    which=st.integers(0, len(SOUND) - 1),
    harm=st.lists(
        st.one_of(
            st.tuples(st.just("flip"), st.integers(0, 1 << 16), st.integers(1, 255)),
            st.tuples(st.just("cut"), st.integers(0, 1 << 16), st.just(0)),
            st.tuples(
                st.just("number"), st.integers(0, 300), st.sampled_from([0, 1, 2**31 - 1, 2**32 - 1, 49_000_000])
            ),
            st.tuples(st.just("insert"), st.integers(0, 1 << 16), st.integers(0, 255)),
            st.tuples(st.just("double"), st.integers(0, 1 << 16), st.just(0)),
            st.tuples(st.just("high"), st.integers(0, 1 << 16), st.integers(1, 40)),
        ),
        max_size=4,
    ),
    size=st.sampled_from([20, 32]),
)
@example(which=8, harm=[("high", 74, 40)], size=20)
@example(which=0, harm=[("number", 8, 49_000_000)], size=20)
@example(which=0, harm=[("number", 8, 2**32 - 1)], size=20)
def test_whatever_is_in_it(tmp_path: Path, which: int, harm: list[tuple[str, int, int]], size: int) -> None:
    data = bytearray(SOUND[which])
    for what, where, value in harm:
        at = where % (len(data) + 1)
        if what == "flip" and at < len(data):
            data[at] ^= value
        elif what == "cut":
            del data[at:]
        elif what == "number":
            data[at : at + 4] = struct.pack(">I", value)
        elif what == "insert":
            data[at:at] = bytes([value])
        elif what == "double":
            data[at:at] = data[at : at + 64]
        elif what == "high":
            data[at:at] = b"\xff" * value
    read(bytes(data), size, tmp_path)


@settings(max_examples=examples(100), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=st.binary(max_size=600), version=st.integers(0, 6), count=st.sampled_from([0, 1, 3, 49_999_999]))
def test_whatever_follows_the_header(tmp_path: Path, body: bytes, version: int, count: int) -> None:
    read(struct.pack(">4sII", b"DIRC", version, count) + body, 20, tmp_path)


@pytest.mark.parametrize("names", [1, 2])
def test_paths_that_grow_without_end(tmp_path: Path, names: int) -> None:
    """Version 4 keeps only what is new of a path: a small file may tell of paths that are long together."""
    count = 20_000 // names
    entries = b"".join(bytes(40 + 20) + b"\0\1" + varint(0) + b"x" * 40 * names + b"\0" for _ in range(count))
    data = struct.pack(">4sII", b"DIRC", 4, count) + entries
    assert read(data + hashlib.sha1(data, usedforsecurity=False).digest(), 20, tmp_path) == "refused"
