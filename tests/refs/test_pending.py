"""Pending recipes: what was written comes back, and what is damaged or cannot be read is named."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from regenstore.errors import StorageError
from regenstore.refs.pending import Pending

TEXT = b"regenstore = 1\n"


def test_kept_and_cleared(tmp_path: Path) -> None:
    pending = Pending(str(tmp_path))
    assert not pending and pending.get(b"a") is None and pending.paths() == {}
    pending.set(b"a", TEXT)
    pending.set("ü\n".encode(), TEXT * 2)
    assert pending
    assert Pending(str(tmp_path)).paths() == {b"a": TEXT, "ü\n".encode(): TEXT * 2}
    (tmp_path / "regenstore-pending" / ("0" * 32 + ".123.tmp")).write_bytes(b"half")
    assert len(pending.paths()) == 2
    pending.clear(b"a")
    assert pending.get(b"a") is None


def test_every_wrong_bit_counts(tmp_path: Path) -> None:
    """It would be committed as a recipe; and gc has to know that it does not know."""
    pending = Pending(str(tmp_path))
    pending.set(b"a", TEXT)
    (file,) = (tmp_path / "regenstore-pending").iterdir()
    data = file.read_bytes()
    for at in range(len(data) * 8):
        wrong = bytearray(data)
        wrong[at // 8] ^= 1 << at % 8
        file.write_bytes(wrong)
        with pytest.raises(StorageError, match=file.name):
            pending.get(b"a")
    with pytest.raises(StorageError, match=file.name):
        pending.paths()
    for size in range(len(data)):
        file.write_bytes(data[:size])
        with pytest.raises(StorageError, match=file.name):
            pending.get(b"a")


def test_what_cannot_be_read_is_not_none(tmp_path: Path) -> None:
    pending = Pending(str(tmp_path))
    pending.set(b"a", TEXT)
    (file,) = (tmp_path / "regenstore-pending").iterdir()
    file.unlink()
    os.mkfifo(file)
    for ask in (lambda: pending.get(b"a"), pending.paths):
        with pytest.raises(StorageError, match=file.name) as error:
            ask()
        assert error.value.kind == "unreadable"
    shutil.rmtree(pending.folder)
    os.symlink(pending.folder, pending.folder)
    for ask in (lambda: bool(pending), lambda: pending.get(b"a"), pending.paths):
        with pytest.raises(StorageError, match="regenstore-pending"):
            ask()
