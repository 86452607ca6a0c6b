"""What only object stores do: the extra, addresses, credentials of the environment, uploads in parts."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from regenstore.errors import InvalidInput, NotFound, RegenstoreError, StorageError
from regenstore.remotes.backends.contract import Backend
from regenstore.remotes.backends.opening import open_backend
from tests.conftest import noise
from tests.remotes.real_servers import PASSWORD, Started, free_port

NAME = f"v1/cas/ab/{'ab' * 32}"


def nobody(url: str) -> None:
    return None


@pytest.mark.parametrize("scheme", ["s3", "gs", "az"])
def test_without_the_extra_it_is_named(monkeypatch: pytest.MonkeyPatch, scheme: str) -> None:
    monkeypatch.setitem(sys.modules, "obstore", None)
    with pytest.raises(NotFound, match=f"{scheme}://") as caught:
        open_backend(f"{scheme}://bucket/folder", nobody)
    assert caught.value.kind == "extra-missing" and "pip install 'regenstore[s3]'" in caught.value.hint


@pytest.mark.heavy  # the lane that installs what it needs
@pytest.mark.parametrize(
    "url", ["s3://", "s3:///folder", "s3://ada:s3cret@bucket/x", "s3://bucket?x=1", "s3://bucket#x", "s3://b\nx",
            "az://no-account-is-named/x"],
)  # fmt: skip
def test_addresses_that_are_refused(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("obstore")
    for name in [name for name in os.environ if name.startswith("AZURE_")]:
        monkeypatch.delenv(name)
    with pytest.raises(InvalidInput) as caught:
        open_backend(url, nobody)
    assert caught.value.kind == "bad-config"
    assert "s3cret" not in caught.value.message + str(caught.value.hint)


@pytest.fixture
def bucket(servers: Started) -> Iterator[str]:
    pytest.importorskip("obstore")
    with servers.room("seaweedfs") as url:
        yield url


def refused(backend: Backend, path: Path) -> Iterator[RegenstoreError]:
    path.write_bytes(noise("x", 9_000_000))
    for work in (
        lambda: backend.head(NAME), lambda: list(backend.read(NAME)), lambda: backend.write(NAME, b"x"),
        lambda: backend.write_file(NAME, str(path), lambda count: None), lambda: list(backend.names("v1/cas/")),
    ):  # fmt: skip
        with pytest.raises(StorageError) as caught:
            work()
        yield caught.value


@pytest.mark.heavy
def test_wrong_credentials_are_refused_and_not_shown(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_backend(bucket, nobody).write(NAME, b"mine")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", PASSWORD + "wrong")
    for error in refused(open_backend(bucket, nobody), tmp_path / "file"):
        assert error.kind == "remote-refused" and PASSWORD not in error.message and "\n" not in error.message


@pytest.mark.heavy
def test_nobody_there(bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
    for error in refused(open_backend(bucket, nobody), tmp_path / "file"):
        assert error.kind == "remote-unreachable" and "\n" not in error.message


@pytest.mark.heavy
def test_a_bucket_that_is_not_there(servers: Started) -> None:
    pytest.importorskip("obstore")
    with servers.room("rclone-s3"):
        backend = open_backend("s3://no-such-bucket/x", nobody)
        for work in (lambda: backend.write(NAME, b"x"), lambda: backend.write_file(NAME, __file__, lambda count: None)):
            with pytest.raises(StorageError) as caught:
                work()
            assert caught.value.kind == "remote-failed"


@pytest.mark.heavy
def test_a_file_that_shrinks_is_not_put(bucket: str, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(noise("x", 40_000_000))
    backend = open_backend(bucket, nobody)
    with pytest.raises(StorageError) as caught:
        backend.write_file(NAME, str(path), lambda count: os.truncate(path, 20_000_000))
    assert caught.value.kind == "store-damaged"
    assert backend.head(NAME) is None


@pytest.mark.heavy
@pytest.mark.parametrize("server", ["seaweedfs", "rclone-s3"])
def test_in_parts(servers: Started, tmp_path: Path, server: str) -> None:
    pytest.importorskip("obstore")
    with servers.room(server) as url:
        backend = open_backend(url, nobody)
        for size in ((8 << 20) - 1, 8 << 20, (8 << 20) + 1, (24 << 20) + 12345):
            data, told = noise(f"{size}", 1 << 20) * 40, []
            (tmp_path / "file").write_bytes(data[:size])
            backend.write_file(NAME, str(tmp_path / "file"), told.append)
            head = backend.head(NAME)
            assert head is not None and head.size == size == sum(told)
            assert b"".join(backend.read(NAME)) == data[:size]
            assert b"".join(backend.read(NAME, size - 3)) == data[size - 3 : size]
            assert b"".join(backend.read(NAME, size)) == b""
