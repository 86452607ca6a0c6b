"""A finished file gets a name only while what was seen there is there; what came in between keeps its bytes."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from regenstore.errors import StorageError
from regenstore.fs import swap
from regenstore.fs.swap import NOTHING, Changed, Seen


@pytest.fixture(params=["renameat2", "links", "neither"])
def system(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """What the system can do; each way has to come to the same."""
    if request.param != "renameat2":
        monkeypatch.setattr(swap, "_found", [lambda *given: errno.ENOSYS])
    if request.param == "neither":
        monkeypatch.setattr(os, "link", refused)
    return str(request.param)


def refused(*given: object, **named: object) -> None:
    raise OSError(errno.EPERM, "no links here")


@pytest.fixture
def temp(tmp_path: Path) -> Path:
    path = tmp_path / "temp"
    path.write_bytes(b"medium")
    return path


def look(path: Path) -> Seen:
    return swap.seen(path.lstat() if os.path.lexists(path) else None)


def test_what_was_seen_is_replaced(tmp_path: Path, temp: Path, system: str) -> None:
    name = tmp_path / "name"
    name.write_bytes(b"recipe")
    swap.put(str(temp), str(name), look(name))
    assert name.read_bytes() == b"medium"
    assert not temp.exists() or temp.read_bytes() == b"recipe"


def test_where_nothing_was_seen_the_name_is_new(tmp_path: Path, temp: Path, system: str) -> None:
    folder = os.open(tmp_path, os.O_RDONLY)
    try:
        swap.put(b"temp", b"name", NOTHING, folder=folder, temp_folder=folder)
    finally:
        os.close(folder)
    assert (tmp_path / "name").read_bytes() == b"medium"
    assert not temp.exists()
    assert (tmp_path / "name").stat().st_nlink == 1


def saved_by_rename(name: Path) -> None:
    beside = name.with_suffix(".new")
    beside.write_bytes(b"edited")
    os.replace(beside, name)


def written_in_place(name: Path) -> None:
    """The same size, and the old date set again: only the time of the change tells."""
    before = name.stat()
    name.write_bytes(b"edited")
    os.utime(name, ns=(before.st_atime_ns, before.st_mtime_ns))


CHANGES: list[tuple[bytes | None, Callable[[Path], object]]] = [
    (None, lambda name: name.write_bytes(b"edited")),
    (b"recipe", saved_by_rename),
    (b"recipe", written_in_place),
]


@pytest.mark.parametrize(("before", "change"), CHANGES, ids=["appeared", "renamed", "in place"])
def test_what_changed_since_it_was_seen_stays(
    tmp_path: Path, temp: Path, system: str, before: bytes | None, change: Callable[[Path], object]
) -> None:
    name = tmp_path / "name"
    if before is not None:
        name.write_bytes(before)
    was = look(name)
    change(name)
    with pytest.raises(Changed):
        swap.put(str(temp), str(name), was)
    assert (name.read_bytes(), temp.read_bytes()) == (b"edited", b"medium")


def test_what_went_away_or_became_something_else_is_left_alone(tmp_path: Path, temp: Path) -> None:
    name = tmp_path / "name"
    name.write_bytes(b"recipe")
    was = look(name)
    name.unlink()
    with pytest.raises(Changed):
        swap.put(str(temp), str(name), was)
    for make in (os.mkfifo, os.mkdir):
        make(name)
        for seen in (was, NOTHING):
            with pytest.raises(Changed):
                swap.put(str(temp), str(name), seen)
        name.unlink() if make is os.mkfifo else name.rmdir()
    assert temp.read_bytes() == b"medium"


@pytest.mark.parametrize("before", [None, b"recipe"], ids=["nothing", "a file"])
def test_what_is_written_in_the_last_instant_stays(
    tmp_path: Path, temp: Path, monkeypatch: pytest.MonkeyPatch, before: bytes | None
) -> None:
    """Somebody saves between the last look and the rename."""
    real = swap._system()
    if real(-100, b"/", -100, b"/", 1) == errno.ENOSYS:
        pytest.skip("the system has no renameat2")
    name = tmp_path / "name"
    if before is not None:
        name.write_bytes(before)
    was = look(name)
    calls: list[int] = []

    def late(*given: object) -> int:
        if not calls:
            saved_by_rename(name)
        calls.append(1)
        return real(*given)

    monkeypatch.setattr(swap, "_found", [late])
    with pytest.raises(Changed):
        swap.put(str(temp), str(name), was)
    assert (name.read_bytes(), temp.read_bytes()) == (b"edited", b"medium")


def test_who_saves_even_while_it_goes_back_has_the_newest(
    tmp_path: Path, temp: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = swap._system()
    name = tmp_path / "name"
    name.write_bytes(b"recipe")
    was = look(name)
    texts = iter([b"edited", b"newest"])

    def late(*given: object) -> int:
        text = next(texts, None)
        if text is not None:
            beside = tmp_path / "beside"
            beside.write_bytes(text)
            os.replace(beside, name)
        return real(*given)

    monkeypatch.setattr(swap, "_found", [late])
    with pytest.raises(Changed):
        swap.put(str(temp), str(name), was)
    assert name.read_bytes() == b"newest"


def test_what_cannot_be_told_is_not_replaced(tmp_path: Path, temp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*given: object, **named: object) -> os.stat_result:
        raise OSError(errno.EIO, "broken")

    monkeypatch.setattr(os, "lstat", broken)
    with pytest.raises(StorageError) as error:
        swap.put(str(temp), str(tmp_path / "name"), NOTHING)
    assert error.value.kind == "unreadable"
