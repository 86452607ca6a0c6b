"""Exports that measure: what is measured once is kept, and told by every later export."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pyarrow.parquet as parquet
import pytest

from regenstore.media import faces
from tests.conftest import Checkout
from tests.export.golden import Golden, make
from tests.media.test_faces import clip, picture


@pytest.fixture
def clips(film: Checkout, tmp_path: Path) -> Checkout:
    film.git("rm", "-q", "-f", "refs/photo.png")
    film.write("shots/sh010.mp4", make(Golden("clip.mp4", audio=True), tmp_path).read_bytes())
    film.commit("A clip")
    return film


def kept(film: Checkout) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in film.store.glob("facts/frames-1/*/*")}


def test_a_frame_table_is_measured_once(clips: Checkout) -> None:
    done = clips.run("regenstore", "export", "sidecar", "shots", "--frames", "--to", "out")
    assert ("regenstore[faces]" in done.stderr.decode()) != faces.installed()
    with (clips.path / "out/sh010.frames.csv").open() as file:
        rows = list(csv.DictReader(file))
    info = json.loads(clips.regenstore("export", "sidecar", "shots", "--preview", "--json", "--to", "x"))
    assert info and len(rows) > 10
    assert [int(row["frame"]) for row in rows] == list(range(len(rows)))
    for name in ("time_s", "motion", "scene_score", "luma_avg", "blur", "blockiness", "black", "frozen"):
        assert all(row[name] != "" for row in rows) or name in ("blur", "blockiness"), name
    first = kept(clips)
    assert len(first) == 1
    again = clips.run("regenstore", "export", "sidecar", "shots", "--frames", "--to", "out")
    assert b"unchanged" in again.stdout + again.stderr
    assert kept(clips) == first


def test_a_dataset_tells_what_was_measured(clips: Checkout) -> None:
    plain = clips.run("regenstore", "export", "dataset", "../plain", "shots")
    assert b"regenstore[faces]" not in plain.stderr
    assert not (clips.path / "../plain/frames").exists()
    clips.regenstore("export", "dataset", "../measured", "shots", "--frames", "--split", "train=100")
    (table,) = (clips.path / "../measured/frames").iterdir()
    assert table.read_text().splitlines()[0].startswith("key,split,frame,time_s,motion,")
    (told,) = (clips.path / "../measured/train").glob("*/*.json")
    row = json.loads(told.read_text())
    assert row["motion"] > 0 and row["luma"] > 0 and row["black"] < 1
    dropped = clips.regenstore(
        "export", "dataset", "../x", "shots", "--select", "motion > 1000.0", "--frames", "--dry-run", "--json"
    )
    assert json.loads(dropped)["kept"] == 0


def test_what_cannot_be_measured_is_named(clips: Checkout) -> None:
    clips.write("shots/broken.mp4", (clips.path / "shots/sh010.mp4").read_bytes()[:900])
    clips.commit("A broken clip")
    for strict, code in (("--strict", 2), ("--frames", 1)):
        done = clips.run("regenstore", "export", "sidecar", "shots", "--frames", strict, "--to", "out", check=False)
        assert done.returncode == code
        assert b"shots/broken.mp4" in done.stderr and b"Traceback" not in done.stderr
        assert (clips.path / "out").exists() == (code == 1)


@pytest.mark.heavy
@pytest.mark.skipif(not faces.installed(), reason="the extra 'faces' is not installed")
def test_a_dataset_has_crops_of_its_faces(film: Checkout) -> None:
    film.git("rm", "-q", "-f", "refs/photo.png")
    (film.path / "shots").mkdir(exist_ok=True)
    clip(picture("astronaut.png"), film.path / "shots/ann.mp4")
    film.commit("Ann")
    film.regenstore("tag", "shots/ann.mp4", "characters=ann")
    film.git("add", "-A")
    film.regenstore("export", "dataset", "../out", "shots", "--frames", "--split", "train=100")
    out = film.path / "../out"
    crops = sorted((out / "faces/crops").iterdir())
    (told,) = (out / "train").glob("*/*.json")
    row = json.loads(told.read_text())
    assert [face["path"] for face in row["faces"]] == [f"crops/{crop.name}" for crop in crops] and crops
    assert row["face_count"] == 1 and row["face_confidence"] > 0.95
    table = parquet.read_table(out / "faces/metadata.parquet").to_pylist()
    assert [(each["file_name"], each["character"]) for each in table] == [(f"crops/{c.name}", "ann") for c in crops]
