"""What every backend does alike: the contract of regenstore.remotes.backends.contract, against real servers.

The folder and a small server of the tests are in the fast lane; nginx, rclone, SeaweedFS and OpenSSH in the heavy one,
on a loopback of their own.
"""

from __future__ import annotations

import os
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from regenstore.errors import StorageError
from regenstore.remotes import layout
from regenstore.remotes.backends.contract import Absent, Backend, NoPlace
from regenstore.remotes.backends.directory import Directory
from regenstore.remotes.backends.opening import open_backend
from regenstore.remotes.retries import RetryingBackend
from tests.conftest import noise
from tests.remotes.real_servers import PASSWORD, SERVERS, USER, Started, user_ssh
from tests.remotes.web_server import serving

NEED_ASYNCSSH = {"rclone-sftp", "sshd", "sshd-plain"}
SIZES = [0, 1, 2, 511, 65_535, 65_536, 65_537, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, 5_242_881]


def nobody(url: str) -> tuple[str, str] | None:
    raise AssertionError("no credentials are needed here")


@pytest.fixture(
    params=["folder", "web", *(pytest.param(name, marks=pytest.mark.heavy) for name in SERVERS)],
)
def opened(request: pytest.FixtureRequest, tmp_path: Path, servers: Started) -> Iterator[Callable[[], Backend]]:
    """Opens one place anew at each call, as other machines do."""
    if request.param == "folder":
        yield lambda: Directory(str(tmp_path / "shared"), create=True)
    elif request.param == "web":
        with serving(tmp_path / "served") as server:
            yield lambda: open_backend(f"{server.url}/some/where/", nobody)
    else:
        if request.param in NEED_ASYNCSSH:
            pytest.importorskip("asyncssh")
        with servers.room(request.param) as url:
            yield lambda: open_backend(url, lambda url: (USER, PASSWORD), ssh=user_ssh())


@pytest.fixture
def backend(opened: Callable[[], Backend]) -> Iterator[Backend]:
    found = opened()
    yield found
    found.close()


def taken(backend: Backend, name: str, start: int = 0) -> bytes:
    return b"".join(backend.read(name, start))


def name_of(number: int) -> str:
    return f"v1/cas/{number % 256:02x}/{number:064x}"


def file_of(folder: Path, data: bytes) -> str:
    path = folder / f"file-{os.urandom(4).hex()}"
    path.write_bytes(data)
    return str(path)


@pytest.mark.parametrize("size", SIZES)
def test_what_is_put_comes_back(backend: Backend, tmp_path: Path, size: int) -> None:
    data, told = noise(f"s{size}", size), []
    backend.write_file(name_of(1), file_of(tmp_path, data), told.append)
    backend.write(name_of(2), data)
    for name in (name_of(1), name_of(2)):
        head = backend.head(name)
        assert head is not None and head.size == size
        assert taken(backend, name) == data
    assert sum(told) == size


def test_what_is_not_there(backend: Backend) -> None:
    assert backend.head(name_of(1)) is None
    with pytest.raises(Absent):
        taken(backend, name_of(1))
    with pytest.raises(Absent):
        taken(backend, name_of(1), 7)
    backend.delete(name_of(1))
    backend.write(name_of(1), b"x")
    assert backend.head(name_of(257)) is None


def test_reading_from_anywhere(backend: Backend) -> None:
    data = noise("range", 3_000_001)
    backend.write(name_of(1), data)
    for start in (0, 1, 65_536, 1_048_576, 1_500_000, len(data) - 1, len(data)):
        assert taken(backend, name_of(1), start) == data[start:], start
    backend.write(name_of(2), b"")
    assert taken(backend, name_of(2)) == b""


def test_a_reader_may_stop_early(backend: Backend) -> None:
    data = noise("early", 6_000_000)
    backend.write(name_of(1), data)
    for _ in range(5):
        blocks = backend.read(name_of(1))
        assert data.startswith(next(blocks))
        blocks.close()
    assert taken(backend, name_of(1)) == data


def test_writing_again(backend: Backend, opened: Callable[[], Backend], tmp_path: Path) -> None:
    backend.write(name_of(1), b"the first")
    for data in (b"the other", b"longer than the first", b"", b"the first"):
        backend.write_file(name_of(1), file_of(tmp_path, data), lambda count: None)
        assert taken(backend, name_of(1)) == data
    other = opened()
    assert taken(other, name_of(1)) == b"the first" and other.url == backend.url
    other.close()


def test_the_tag_tells_writings_apart(backend: Backend) -> None:
    """Equal tags mean that nobody wrote; other bytes never have the tag of the former ones."""
    seen: dict[str, bytes] = {}
    for number in range(12):
        data = b"%08d" % number
        backend.write(name_of(1), data)
        head = backend.head(name_of(1))
        assert head is not None
        assert not head.tag or seen.setdefault(head.tag, data) == data
        time.sleep(0.02)
    time.sleep(2.2)
    one, two = backend.head(name_of(1)), backend.head(name_of(1))
    assert one is not None and one == two
    assert one.tag
    assert one.modified is None or abs(one.modified - time.time()) < 60
    assert seen.setdefault(one.tag, data) == data
    backend.write(name_of(1), b"%08d" % 99)
    after = backend.head(name_of(1))
    assert after is not None and after.tag != one.tag


def test_listing(backend: Backend) -> None:
    names = {name_of(number % 16 + number // 16 * 256): number for number in range(80)}
    if not backend.lists:
        return
    assert list(backend.names(layout.CONTENTS)) == []
    for name, size in names.items():
        backend.write(name, b"x" * size)
    backend.write("v1/records/other.jsonl", b"{}")
    listed = dict(backend.names(layout.CONTENTS))
    assert {name: head.size for name, head in listed.items()} == names
    assert {name for name, _ in backend.names("v1/cas/07/")} == {name_of(7 + 256 * number) for number in range(5)}
    assert [name for name, _ in backend.names("v1/records/")] == ["v1/records/other.jsonl"]
    assert list(backend.names("v1/tombstones/")) == []
    for name in (name_of(3), name_of(258)):
        head = backend.head(name)
        assert head is not None and (listed[name].tag == head.tag or "" in (listed[name].tag, head.tag))


def test_deleting(backend: Backend) -> None:
    for number in range(3):
        backend.write(name_of(number), b"x")
    backend.delete(name_of(1))
    backend.delete(name_of(1))
    assert [backend.head(name_of(number)) is not None for number in range(3)] == [True, False, True]
    if backend.lists:
        assert {name for name, _ in backend.names(layout.CONTENTS)} == {name_of(0), name_of(2)}


def test_many_threads_at_once(backend: Backend, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """Among them those that write the same, and that make the same folders."""
    if request.node.callspec.params["opened"] in ("seaweedfs-dav", "rclone-sftp", "sshd-plain"):
        pytest.skip("it removes an object before it writes it again, which who asks in between sees")
    data = {name_of(number): noise(f"t{number}", 1000 * number) for number in range(16)}
    data |= {name_of(number + 1024): noise(f"u{number}", 200_000) for number in range(4)}
    start = threading.Barrier(8)
    patient = RetryingBackend(backend)  # some servers refuse for the moment what somebody else is writing

    def work(share: int) -> None:
        start.wait()
        for number, (name, content) in enumerate(data.items()):
            if number % 8 in (share, (share + 1) % 8):
                patient.write_file(name, file_of(tmp_path, content), lambda count: None)
                assert taken(patient, name) == content
                head = patient.head(name)
                assert head is not None and head.size == len(content)
                assert backend.head(name_of(5000 + number)) is None

    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(work, share) for share in range(8)]:
            done.result()
    assert all(taken(backend, name) == content for name, content in data.items())


def test_after_close_it_works_again(backend: Backend) -> None:
    backend.write(name_of(1), b"x")
    backend.close()
    assert taken(backend, name_of(1)) == b"x"
    backend.close()
    backend.close()


def test_a_large_file_does_not_fill_the_memory(backend: Backend, tmp_path: Path) -> None:
    size, told = 64 << 20, []
    path = tmp_path / "large"
    with open(path, "wb") as file:
        for number in range(size >> 20):
            file.write(noise(f"l{number}", 1 << 10) * (1 << 10))
    tracemalloc.start()
    try:
        backend.write_file(name_of(1), str(path), told.append)
        with open(path, "rb") as file:
            for block in backend.read(name_of(1)):
                assert file.read(len(block)) == block
            assert not file.read(1)
        assert tracemalloc.get_traced_memory()[1] < 28 << 20
    finally:
        tracemalloc.stop()
    assert sum(told) == size and (len(told) > 4 or isinstance(backend, Directory))


def test_a_folder_that_is_not_there(backend: Backend, request: pytest.FixtureRequest) -> None:
    """It is made with those above it, where the server has folders; else there is no need."""

    def opened_at(where: str, *, create: bool = False) -> Iterator[Backend]:
        with closing(open_backend(where, lambda url: (USER, PASSWORD), create=create, ssh=user_ssh())) as found:
            yield found

    where = f"{backend.url}/not/made yet/%C3%A9"
    for nested in opened_at(where):
        try:
            nested.write(name_of(1), b"x")
        except StorageError as error:
            kind = request.node.callspec.params["opened"]
            assert kind in ("folder", "sshd", "sshd-plain") or kind.endswith(("-dav", "-sftp"))
            assert isinstance(error, NoPlace) or kind == "folder"
            assert "--create" in error.hint or "mounted" in error.message
    for _ in range(2):
        for made in opened_at(where, create=True):
            made.write(name_of(2), b"xy")
            assert taken(made, name_of(2)) == b"xy"
    for nested in opened_at(where):
        nested.write(name_of(1), b"x")
    assert backend.head(name_of(1)) is None
