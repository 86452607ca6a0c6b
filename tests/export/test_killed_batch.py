"""A batch into a folder that is there: whole or not at all, whenever its process is killed."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from regenstore.export.sidecar import deliver as delivering
from regenstore.export.sidecar.batch import Batch, PlannedFile
from regenstore.export.sidecar.deliver import STAGE, deliver, recover

OLD = {"a.xmp": b"old a", "c.xmp": b"old c", "mine.txt": b"mine"}
NEW = {"a.xmp": b"new a", "sub/deep/b.xmp": b"new b", "c.xmp": b"new c", "d.xmp": b"new d"}


class Killed(BaseException):
    pass


def nothing(path: str) -> bool:
    return False


def tree(folder: Path) -> dict[str, bytes]:
    """The files that are no stage's."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and STAGE not in str(path)
    }


def fill(folder: Path, files: dict[str, bytes]) -> None:
    folder.mkdir()
    for name, data in files.items():
        (folder / name).write_bytes(data)


def batch(folder: Path) -> Batch:
    return Batch([PlannedFile(str(folder / name), data) for name, data in NEW.items()])


def killed_after(steps: int, folder: Path, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Deliver, and do nothing any more after so many changes; False where there were fewer."""
    left = {"steps": steps}

    def dying(real):
        def call(*args, **kwargs):
            if left["steps"] == 0:
                raise Killed  # also in whatever would tidy up
            left["steps"] -= 1
            return real(*args, **kwargs)

        return call

    with monkeypatch.context() as patch:
        for name in ("rename", "replace", "unlink", "mkdir", "rmdir", "write"):
            patch.setattr(os, name, dying(getattr(os, name)))
        patch.setattr(shutil, "rmtree", dying(shutil.rmtree))
        try:
            deliver(batch(folder), base=str(folder), protected=nothing, foreign=True)
        except Killed:
            return True
    return False


def test_killed_at_every_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    seen = set()
    for steps in range(200):
        folder = tmp_path / str(steps)
        fill(folder, OLD)
        if not killed_after(steps, folder, monkeypatch):
            break
        recover(str(folder), nothing)
        now = tree(folder)
        assert now in (OLD, {**OLD, **NEW}), steps
        seen.add(now == OLD)
        deliver(batch(folder), base=str(folder), protected=nothing, foreign=True)
        assert tree(folder) == {**OLD, **NEW}, steps
    assert steps > 15 and seen == {True, False}
    assert not [name for name in os.listdir(folder) if name.startswith(STAGE)]


def test_what_somebody_wrote_since_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    folder, stops = tmp_path / "out", 0
    while not (stops and list(folder.glob(f"{STAGE}*/{delivering._JOURNAL}"))):
        shutil.rmtree(folder, ignore_errors=True)
        fill(folder, OLD)
        stops += 1
        assert killed_after(stops, folder, monkeypatch)
    (folder / "c.xmp").write_bytes(b"by hand")
    (folder / "d.xmp").write_bytes(b"by hand, too")
    recover(str(folder), lambda path: path.endswith("b.xmp"))
    assert tree(folder) == {**OLD, "a.xmp": b"new a", "c.xmp": b"by hand", "d.xmp": b"by hand, too"}


def test_what_somebody_wrote_in_the_last_instant_comes_back(tmp_path: Path):
    """Killed when it was out of the way, and before that was seen."""
    stage = tmp_path / f"{STAGE}1-a"
    stage.mkdir()
    (stage / "0").write_text("new")
    (stage / "0-old").write_text("by hand")
    (stage / delivering._JOURNAL).write_text('[{"target": "a.xmp", "was": [1, 2, 3]}]')
    recover(str(tmp_path), nothing)
    assert tree(tmp_path) == {"a.xmp": b"by hand"} and not stage.exists()


@pytest.mark.parametrize(
    "journal", ["", "[]", "{}", '[{"target": "../x", "was": null}]', '[{"target": ".git/hooks/x", "was": null}]']
)
def test_a_journal_of_others_moves_nothing_outside(tmp_path: Path, journal: str):
    stage = tmp_path / "out" / f"{STAGE}1-a"
    stage.mkdir(parents=True)
    (stage / "0").write_text("evil")
    (stage / delivering._JOURNAL).write_text(journal)
    recover(str(tmp_path / "out"), nothing)
    assert [path.name for path in tmp_path.rglob("*")] == ["out"]
