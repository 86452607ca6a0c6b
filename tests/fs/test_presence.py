"""Absent, there, and what cannot be told are three answers."""

from __future__ import annotations

import errno
import os
import socket
import stat
from pathlib import Path

import pytest

from regenstore.errors import StorageError
from regenstore.fs import presence

ASKED = [presence.lstat, presence.found, presence.is_folder, presence.is_file, presence.read, presence.names]
"""Every question, each with one path."""


@pytest.mark.parametrize("ask", ASKED, ids=lambda ask: ask.__name__)
@pytest.mark.parametrize("below", ["gone", "file/below"])
def test_what_is_not_there_is_absent(tmp_path: Path, ask, below):
    (tmp_path / "file").write_bytes(b"x")
    assert not ask(str(tmp_path / below))


@pytest.mark.parametrize("ask", ASKED, ids=lambda ask: ask.__name__)
def test_a_name_that_is_too_long_cannot_be_told(tmp_path: Path, ask):
    path = str(tmp_path / ("x" * 300))
    with pytest.raises(StorageError, match="File name too long") as caught:
        ask(path)
    assert caught.value.kind == "unreadable"
    assert path in caught.value.message


@pytest.mark.parametrize("ask", [a for a in ASKED if a is not presence.lstat], ids=lambda ask: ask.__name__)
def test_a_loop_of_links_cannot_be_told(tmp_path: Path, ask):
    os.symlink("b", tmp_path / "a")
    os.symlink("a", tmp_path / "b")
    with pytest.raises(StorageError, match="Too many levels"):
        ask(str(tmp_path / "a"))


@pytest.mark.parametrize("code", [errno.EACCES, errno.EIO, errno.ESTALE, errno.EPERM, errno.ENOMEM])
@pytest.mark.parametrize("ask", ASKED, ids=lambda ask: ask.__name__)
def test_any_other_answer_of_the_system_cannot_be_told(monkeypatch, tmp_path: Path, ask, code):
    def fail(*_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code))

    for name in ("stat", "lstat", "open", "listdir"):
        monkeypatch.setattr(presence.os, name, fail)
    with pytest.raises(StorageError) as caught:
        ask("some/path")
    assert caught.value.kind == "unreadable"
    assert "some/path" in caught.value.message


def test_read_gives_bytes_and_keeps_to_the_limit(tmp_path: Path):
    (tmp_path / "file").write_bytes(b"0123456789")
    assert presence.read(str(tmp_path / "file")) == b"0123456789"
    assert presence.read(str(tmp_path / "file"), 4) == b"0123"


def test_walking_passes_over_nothing(monkeypatch, tmp_path: Path):
    for name in ("b/two", "a/one", "a/deep/three"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    os.symlink("../b", tmp_path / "a/link")
    os.symlink(".", tmp_path / "a/self")
    top = str(tmp_path)
    plain = [(os.path.relpath(base, top), files) for base, _, files in presence.walk(top)]
    assert plain == [(".", []), ("a", ["one"]), ("a/deep", ["three"]), ("b", ["two"])]
    followed = [os.path.relpath(base, top) for base, _, _ in presence.walk(top, follow=True)]
    assert followed == [".", "a", "a/deep", "a/link"]  # each folder once, whatever leads there
    assert list(presence.walk(str(tmp_path / "gone"))) == list(presence.walk(str(tmp_path / "b/two"))) == []
    real = os.scandir

    def fail(path: str):
        if path.endswith("deep"):
            raise PermissionError(errno.EACCES, "no", path)
        return real(path)

    monkeypatch.setattr(os, "scandir", fail)
    with pytest.raises(StorageError, match="a/deep cannot be read: Permission denied"):
        list(presence.walk(top))


def test_nothing_but_a_regular_file_is_opened(tmp_path: Path):
    os.mkfifo(tmp_path / "fifo")
    os.mkdir(tmp_path / "folder")
    os.symlink("folder", tmp_path / "link")
    for name in ("fifo", "folder", "link", "/dev/null"):
        with pytest.raises(presence.NotRegular, match="not a regular file"):
            presence.open_file(str(tmp_path / name))
        with pytest.raises(StorageError, match="not a regular file"):
            presence.read(str(tmp_path / name))


def test_a_link_is_followed_only_where_asked_for(tmp_path: Path):
    (tmp_path / "file").write_bytes(b"x")
    os.symlink("file", tmp_path / "link")
    os.close(presence.open_file(str(tmp_path / "link")))
    with pytest.raises(OSError) as caught:
        presence.open_file(str(tmp_path / "link"), follow=False)
    assert caught.value.errno == errno.ELOOP


def test_kinds_are_named(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # a socket's name is short
    server = socket.socket(socket.AF_UNIX)
    server.bind("socket")
    server.close()
    os.mkfifo("fifo")
    os.symlink("gone", "link")
    told = {name: presence.kind_of(os.lstat(name).st_mode) for name in ("socket", "fifo", "link", ".", "/dev/null")}
    assert told == {
        "socket": "a socket", "fifo": "a FIFO", "link": "a symbolic link", ".": "a folder", "/dev/null": "a device"
    }  # fmt: skip
    assert presence.kind_of(stat.S_IFREG) == "a regular file"
