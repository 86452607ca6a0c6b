"""Staging ahead: what is staged while git works is placed as if it had been staged later, or not at all."""

from __future__ import annotations

import os
import time
from pathlib import Path

from regenstore.fs.swap import NOTHING
from regenstore.worktree.location import locate
from regenstore.worktree.place import Placement, Placer
from tests.conftest import Checkout, noise


def stages(folder: Path) -> list[Path]:
    return [found for home in (folder, folder / ".git") for found in home.glob("*regenstore-stage-*")]


def stored(checkout: Checkout, name: str, data: bytes) -> str:
    path = checkout.path.parent / name
    path.write_bytes(data)
    return str(path)


def test_what_is_staged_ahead_is_placed_with_the_paths_mode_and_a_date_before_the_index(empty: Checkout) -> None:
    source = stored(empty, "medium", noise("medium", 5000))
    for name, mode in (("a.txt", 0o755), ("b.txt", 0o644)):
        empty.write(name, "text").chmod(mode)
    empty.commit("texts")
    index = empty.path / ".git" / "index"
    old = time.time_ns() - 3600 * 10**9  # as if no git command had written the index since
    os.utime(index, ns=(old, old))
    placer = Placer(locate(str(empty.path)), 20)
    assert placer.stage_ahead(source, 5000)
    assert placer.stage_ahead(source, 5000)
    report = placer.place([Placement(name, source, b"text") for name in (b"a.txt", b"b.txt")])
    assert (report.placed, report.skipped) == ([b"a.txt", b"b.txt"], [])
    for name, mode in (("a.txt", 0o755), ("b.txt", 0o644)):
        assert empty.read(name) == noise("medium", 5000)
        found = (empty.path / name).stat()
        assert found.st_mode & 0o777 == mode
        assert found.st_mtime_ns < index.stat().st_mtime_ns
    assert not stages(empty.path)


def test_what_changed_since_it_was_staged_ahead_keeps_the_change(empty: Checkout) -> None:
    source = stored(empty, "medium", noise("medium", 5000))
    empty.write("a.txt", "text")
    empty.commit("text")
    placer = Placer(locate(str(empty.path)), 20)
    assert placer.stage_ahead(source, 5000)
    empty.write("a.txt", "edit")
    assert placer.place([Placement(b"a.txt", source, b"text")]).placed == []
    assert empty.read("a.txt") == b"edit"
    assert not stages(empty.path)


def test_discarding_leaves_nothing_and_placing_still_works(empty: Checkout) -> None:
    source = stored(empty, "medium", noise("medium", 5000))
    placer = Placer(locate(str(empty.path)), 20)
    assert placer.stage_ahead(source, 5000)
    assert stages(empty.path)
    placer.discard()
    assert not stages(empty.path)
    assert placer.place([Placement(b"a.txt", source, NOTHING)]).placed == [b"a.txt"]
    assert empty.read("a.txt") == noise("medium", 5000)


def test_staging_ahead_leaves_most_of_the_free_room(empty: Checkout) -> None:
    source = stored(empty, "medium", b"x")
    placer = Placer(locate(str(empty.path)), 20)
    assert not placer.stage_ahead(source, 1 << 62)
    assert not placer.stage_ahead(source, 1), "the room is used up"
    assert not placer.stage_ahead(source + " which is gone", 1)
    placer.discard()
    assert not stages(empty.path)
