"""Exchanging a finished copy with a file: both keep their bytes, or nothing happens."""

from __future__ import annotations

import os
from pathlib import Path

from regenstore.worktree.link import Linker


def test_an_exchange_swaps_two_files(tmp_path: Path) -> None:
    (tmp_path / "temp").write_bytes(b"medium")
    (tmp_path / "name").write_bytes(b"recipe")
    folder = os.open(tmp_path, os.O_RDONLY)
    try:
        done = Linker(reflink=False).exchange(str(tmp_path / "temp"), folder, b"name")
    finally:
        os.close(folder)
    found = [(tmp_path / "temp").read_bytes(), (tmp_path / "name").read_bytes()]
    assert found == ([b"recipe", b"medium"] if done else [b"medium", b"recipe"])


def test_nothing_is_exchanged_with_a_missing_file_or_where_blocks_are_shared(tmp_path: Path) -> None:
    (tmp_path / "temp").write_bytes(b"medium")
    folder = os.open(tmp_path, os.O_RDONLY)
    try:
        assert not Linker(reflink=False).exchange(str(tmp_path / "temp"), folder, b"name")
        (tmp_path / "name").write_bytes(b"recipe")
        assert not Linker(reflink=True).exchange(str(tmp_path / "temp"), folder, b"name")
    finally:
        os.close(folder)
    assert (tmp_path / "name").read_bytes() == b"recipe"
    assert (tmp_path / "temp").read_bytes() == b"medium"
