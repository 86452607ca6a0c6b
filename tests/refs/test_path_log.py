"""The path log is shortened when it grows too long; whoever writes meanwhile loses nothing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from regenstore.errors import StorageError
from regenstore.fs import durable
from regenstore.refs import path_log
from regenstore.refs.path_log import PathLog

BUSY, RARE = b"shots/busy.png", b"rare \xff.png"


def texts(log: PathLog, path: bytes) -> list[bytes]:
    return [logged.text for logged in log.of(path)]


def test_the_newest_lines_of_each_path_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(path_log, "MOST", 20_000)
    log = PathLog(str(tmp_path))
    log.add(RARE, b"rare")
    with open(log.file, "ab") as file:
        file.write(b"half a li")
    for number in range(400):
        log.add(BUSY, b"%d" % number)
    assert os.path.getsize(log.file) < 20_000
    assert texts(log, RARE) == [b"rare"]
    kept = texts(log, BUSY)
    assert len(kept) >= path_log.OF_EACH and kept == [b"%d" % number for number in range(399, 399 - len(kept), -1)]
    for number in range(300):
        log.add(b"%d.png" % number, b"x" * 100)
    assert os.path.getsize(log.file) < 20_000 and texts(log, RARE) == [] and texts(log, b"299.png")
    assert os.listdir(tmp_path) == [path_log.NAME]


def test_a_log_that_cannot_be_shortened_grows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*given: object, **how: object) -> None:
        raise StorageError("disk-full", "no space")

    monkeypatch.setattr(path_log, "MOST", 1000)
    monkeypatch.setattr(durable, "write_file", full)
    log = PathLog(str(tmp_path))
    for number in range(30):
        log.add(BUSY, b"%d" % number)
    assert len(texts(log, BUSY)) == 30


def test_several_processes_write_while_one_shortens_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(path_log, "MOST", 3000)
    monkeypatch.setattr(path_log, "OF_EACH", 3)
    log = PathLog(str(tmp_path))
    children = []
    for name in (b"a", b"b", b"c", b"d"):
        if (child := os.fork()) == 0:
            try:
                for number in range(60):
                    log.add(name, b"%d" % number, wait=False)
                    assert texts(log, name)[0] == b"%d" % number
                os._exit(0)
            finally:
                os._exit(1)
        children.append(child)
    assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0] * 4
    assert [texts(log, name)[0] for name in (b"a", b"b", b"c", b"d")] == [b"59"] * 4
