"""Rows that an earlier export kept: used where nothing has changed, and never where something has."""

from __future__ import annotations

from array import array
from pathlib import Path

import pytest

from regenstore.export.dataset import sample_rows
from regenstore.export.media_facts import FRAMES, Measurements
from regenstore.media.frame_table import FrameMetrics
from regenstore.objects.fact_cache import ContentFacts
from tests.export.dataset.studio import Studio


@pytest.fixture
def studio(tmp_path: Path) -> Studio:
    (tmp_path / "media").mkdir()
    made = Studio(tmp_path / "media")
    for name in "abcde":
        made.add(f"{name}.mp4", prompt=f'shot\t{name} \u2028 "group":null', seed=str(2**64 - 1), about={"scene": name})
    return made


@pytest.fixture
def rows_made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    paths: list[str] = []

    def counting(key, medium, *given, real=sample_rows.row_of):
        paths.append(medium.path)
        return real(key, medium, *given)

    monkeypatch.setattr(sample_rows, "row_of", counting)
    return paths


def kept(studio: Studio) -> list[Path]:
    return list((studio.folder / "store/facts/rows-2").rglob("*/*"))


def tables(out: Path) -> list[bytes]:
    return [path.read_bytes() for name in ("*.parquet", "*.jsonl", "*.json") for path in sorted(out.rglob(name))
            if path.name not in ("manifest.json", "croissant.json")]  # fmt: skip


def test_only_rows_of_what_changed_are_made(studio: Studio, tmp_path: Path, rows_made: list[str]):
    studio.export(tmp_path / "out", trainers=())
    studio.label("b.mp4", rating=3)
    rows_made.clear()
    outcome = studio.export(tmp_path / "out", trainers=(), update=True)
    assert rows_made == ["b.mp4"] and len(outcome.changed) == 1
    studio.export(tmp_path / "fresh", trainers=())
    assert tables(tmp_path / "out") == tables(tmp_path / "fresh")


def test_what_is_measured_later_comes_in(studio: Studio, tmp_path: Path, rows_made: list[str]):
    studio.export(tmp_path / "out")
    facts = ContentFacts(str(studio.folder / "store"))
    facts.put(studio.media["c.mp4"].digest, FRAMES, 1, FrameMetrics(4, {"motion": array("d", [1.0] * 4)}).to_bytes())
    rows_made.clear()
    outcome = studio.export(tmp_path / "out", update=True)
    assert rows_made == ["c.mp4"] and len(outcome.changed) == 1
    assert b'"motion":1.0' in (tmp_path / "out/samples.jsonl").read_bytes()


def test_what_is_to_be_measured_has_no_stamp(studio: Studio):
    facts = ContentFacts(str(studio.folder / "store"))
    medium = studio.media["a.mp4"]
    plain, able = Measurements(facts), Measurements(facts, {FRAMES: lambda *_: FrameMetrics(0, {})})
    assert plain.stamp(medium, True) == plain.stamp(medium, False) == able.stamp(medium, False) is not None
    assert able.stamp(medium, True) is None
    able.metrics(medium, lambda _: None)
    assert (
        able.stamp(medium, True)
        == plain.stamp(medium, False)
        != Measurements(ContentFacts("/nowhere")).stamp(medium, False)
    )


def test_damaged_rows_are_made_again(studio: Studio, tmp_path: Path, rows_made: list[str]):
    studio.export(tmp_path / "out", trainers=())
    (file,) = kept(studio)
    lines = file.read_bytes().splitlines(keepends=True)
    assert len(lines) == 5
    file.write_bytes(lines[0].replace(b"shot", b"shut") + lines[1] + b"\xff\n" + lines[3] + lines[4][:200])
    rows_made.clear()
    assert studio.export(tmp_path / "out", trainers=(), update=True).unchanged == 5
    assert len(rows_made) == 3
    rows_made.clear()
    studio.label("a.mp4", rating=1)
    studio.export(tmp_path / "out", trainers=(), update=True)
    studio.export(tmp_path / "fresh", trainers=())
    assert tables(tmp_path / "out") == tables(tmp_path / "fresh")
