"""ZIP and WebDataset: contents, updates, and that a killed update leaves what loads."""

from __future__ import annotations

import json
import os
import re
import shutil
import tarfile
import zipfile
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from regenstore.errors import Conflict, FormatError
from regenstore.export.dataset import manifest as manifests
from regenstore.export.dataset import tar_sink, zip_sink
from regenstore.export.dataset.layouts import finish_interrupted
from regenstore.export.dataset.row import sample_key
from regenstore.export.dataset.zip_sink import Archive, roll_back
from tests.export.dataset.studio import Studio
from tests.export.dataset.test_folder import files

LAYOUTS = ("zip", "zip-splits", "webdataset")


def target(tmp_path: Path, layout: str, name: str = "set") -> Path:
    return tmp_path / (f"{name}.zip" if layout == "zip" else name)


def members(out: Path, layout: str) -> dict[str, bytes]:
    """Every file of a dataset by its name in the folder layout; also checks each archive."""
    found: dict[str, bytes] = {}
    for path in [out] if layout == "zip" else sorted(p for p in out.rglob("*") if p.is_file()):
        if path.suffix == ".zip":
            with zipfile.ZipFile(path) as archive:
                assert archive.testzip() is None
                names = archive.namelist()
                assert len(names) == len(set(names))
                prefix = "" if layout == "zip" or path.name == "sidecars.zip" else path.stem + "/"
                found |= {prefix + name: archive.read(name) for name in names}
        elif path.suffix == ".tar":
            with tarfile.open(path) as shard:
                for info in shard:
                    name = f"{path.name.partition('-')[0]}/videos/{info.name}"
                    assert name not in found, name
                    found[name] = shard.extractfile(info).read()
        else:
            found[path.relative_to(out).as_posix()] = path.read_bytes()
    return found


def samples(found: dict[str, bytes]) -> dict[str, bytes]:
    """By the keys of the samples: only shards lack the readable part of the names."""
    return {re.sub(r"/\w+_(s[0-9a-f]{15,})", r"/\1", name): data for name, data in found.items() if "/videos/" in name}


def change(studio: Studio) -> Studio:
    changed = Studio(studio.folder, dict(studio.media))
    changed.add("shots/h.mp4", prompt="new")
    changed.label("shots/a.mp4", rating=1)
    changed.add("shots/b.mp4", prompt="2024-01-01", seed=1, about={"scene": "test"}, content="other bytes")
    for name in "cfg":
        del changed.media[f"shots/{name}.mp4"]
    return changed


@pytest.mark.parametrize("layout", LAYOUTS)
def test_it_holds_the_same_samples_as_the_folder(difficult: Studio, tmp_path: Path, places, layout):
    difficult.export(tmp_path / "folder", explicit=places)
    out = target(tmp_path, layout)
    outcome = difficult.export(out, explicit=places, layout=layout)
    found = members(out, layout)
    assert samples(found) == samples(files(tmp_path / "folder"))
    assert {"README.md", "manifest.json", "croissant.json", "samples.parquet"} <= found.keys()
    assert manifests.load(str(out)).to_bytes() == outcome.manifest.to_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(["folder", "media", out.name])


@pytest.mark.parametrize("layout", LAYOUTS)
def test_two_exports_are_equal_to_the_byte(difficult: Studio, tmp_path: Path, layout):
    for name in ("one", "two"):
        difficult.export(target(tmp_path, layout, name), layout=layout, name="set")
    one, two = (target(tmp_path, layout, name) for name in ("one", "two"))
    if layout == "zip":
        assert one.read_bytes() == two.read_bytes()
    else:
        assert files(one) == files(two)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("in_place", [False, True])
def test_an_update_has_the_samples_of_a_fresh_export(
    difficult: Studio, tmp_path: Path, places, layout, in_place, monkeypatch: pytest.MonkeyPatch
):
    if in_place:
        if layout != "zip":
            pytest.skip("only one ZIP is appended to in place")
        monkeypatch.setattr(zip_sink, "IN_PLACE", 0)
        monkeypatch.setattr(zip_sink, "DEAD", 2.0)
    out = target(tmp_path, layout)
    difficult.export(out, explicit=places, layout=layout)
    before = out.read_bytes() if layout == "zip" else b""
    changed = change(difficult)
    outcome = changed.export(out, explicit=places, layout=layout, update=True)
    assert (len(outcome.added), len(outcome.changed), len(outcome.removed), outcome.unchanged) == (1, 2, 3, 2)
    changed.export(tmp_path / "fresh", explicit=places)
    found = members(out, layout)
    assert samples(found) == samples(files(tmp_path / "fresh"))
    assert not [name for name in found if "test" in name.split("/")[0]]
    listed = manifests.load(str(out))
    for key, entry in listed.samples.items():
        for file in entry.files:
            split = (
                ""
                if layout == "zip" or file.inside == "sidecars.zip"
                else entry.split + "/" + ("videos/" if layout == "webdataset" else "")
            )
            assert len(found[split + file.path]) == file.size, key
    if in_place:
        assert out.read_bytes().startswith(before)
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(["fresh", "media", out.name])


@pytest.mark.parametrize("layout", LAYOUTS)
def test_an_update_without_changes_writes_nothing(difficult: Studio, tmp_path: Path, layout):
    out = target(tmp_path, layout)
    difficult.export(out, layout=layout)
    before = members(out, layout)
    assert difficult.export(out, layout=layout, update=True).manifest.export == 1
    assert members(out, layout) == before


def test_a_zip_appended_to_in_place_comes_back_after_a_kill(
    difficult: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Whatever was written behind it: half a member, or nearly everything."""
    monkeypatch.setattr(zip_sink, "IN_PLACE", 0)
    out = tmp_path / "set.zip"
    difficult.export(out, layout="zip")
    before = out.read_bytes()
    for left in range(0, 40, 3):
        calls = {"n": 0}

        class Killed(BaseException):
            pass

        def dying(*args, real=Archive.add_bytes, calls=calls, left=left, killed=Killed):
            calls["n"] += 1
            if calls["n"] > left:
                raise killed
            return real(*args)

        with monkeypatch.context() as patch:
            patch.setattr(Archive, "add_bytes", dying)
            patch.setattr(zip_sink.ZipSink, "abandon", lambda self: self._archive.discard())
            try:
                change(difficult).export(out, layout="zip", update=True)
                break
            except Killed:
                pass
        assert finish_interrupted(str(out))
        assert out.read_bytes() == before
    else:
        raise AssertionError("never finished")
    assert not roll_back(str(out))
    (tmp_path / f"{out.name}{zip_sink._JOURNAL}").write_text('{"size": 1}')
    living = Archive(str(out))
    with pytest.raises(Conflict, match="another export"):
        finish_interrupted(str(out))
    living.discard()
    assert finish_interrupted(str(out))


@pytest.mark.parametrize("layout", ["zip-splits", "webdataset"])
def test_killed_in_the_middle_of_moving_it_is_finished(
    difficult: Studio, tmp_path: Path, layout, places, monkeypatch: pytest.MonkeyPatch
):
    start, now = tmp_path / "start", tmp_path / "now"
    difficult.export(start, layout=layout, explicit=places, name="set")
    shutil.copytree(start, tmp_path / "expected")
    change(difficult).export(tmp_path / "expected", layout=layout, explicit=places, name="set", update=True)

    class Killed(BaseException):
        pass

    for left in range(100):
        shutil.rmtree(now, ignore_errors=True)
        shutil.copytree(start, now)
        steps = {"left": left}

        def dying(*args, real=os.replace, steps=steps, killed=Killed):
            steps["left"] -= 1
            if steps["left"] < 0:
                raise killed
            return real(*args)

        with monkeypatch.context() as patch:
            patch.setattr(os, "replace", dying)
            try:
                change(difficult).export(now, layout=layout, explicit=places, name="set", update=True)
                break
            except Killed:
                pass
        members_of_visible(now)
        finished = finish_interrupted(str(now))
        assert files(now) == files(tmp_path / "expected" if finished else start)
    assert finished and left > 5


def members_of_visible(out: Path) -> None:
    """Every archive that the card names is there and whole."""
    front = (out / "README.md").read_text().split("---\n")[1]
    for path in (p for p in out.iterdir() if p.suffix in (".zip", ".tar")):
        if path.name == "sidecars.zip":
            continue
        if path.suffix == ".zip":
            with zipfile.ZipFile(path) as archive:
                names = {f"videos/{n}" if "/" not in n else n for n in archive.namelist()}
                rows = pq.read_table(archive.open("metadata.parquet")).column("file_name").to_pylist()
                assert names >= set(rows)
        else:
            with tarfile.open(path) as shard:
                assert shard.getnames()
    for name in json.loads("[" + ",".join(part.split("]")[0] for part in front.split("path: [")[1:]) + "]"):
        assert (out / name).exists()


def test_shards_end_where_they_are_full(studio: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tar_sink, "SHARD_SAMPLES", 3)
    for index in range(8):
        studio.add(f"s{index}.mp4", prompt=f"shot {index}")
    out = tmp_path / "set"
    studio.export(out, layout="webdataset", split="train=100")
    assert [p.name for p in sorted(out.glob("*.tar"))] == [f"train-{n:06d}.tar" for n in range(3)]
    for path in sorted(out.glob("*.tar")):
        with tarfile.open(path) as shard:
            names = shard.getnames()
            assert all((info.mtime, info.uid, info.mode) == (0, 0, 0o644) for info in shard)
        keys = [name.partition(".")[0] for name in names]
        assert keys == sorted(keys) and len(names) == 3 * len(set(keys))
    before = {p.name: p.stat().st_ino for p in out.glob("*.tar")}
    with tarfile.open(out / "train-000001.tar") as shard:
        gone = shard.getnames()[0].partition(".")[0]
    del studio.media[next(path for path in studio.media if sample_key(path) == gone)]
    studio.add("s9.mp4", prompt="another one")
    studio.export(out, layout="webdataset", split="train=100", update=True)
    after = {p.name: p.stat().st_ino for p in out.glob("*.tar")}
    assert after.keys() == before.keys() | {"train-000003.tar"}
    assert [name for name in before if before[name] != after[name]] == ["train-000001.tar"]


def test_much_that_is_dead_is_dropped(tmp_path: Path):
    path = tmp_path / "a.zip"
    archive = Archive(str(path))
    for index in range(20):
        archive.add_bytes(f"{index}.bin", os.urandom(10_000))
    archive.close()
    kept = zipfile.ZipFile(path).read("0.bin")
    archive = Archive(str(path))
    for index in range(1, 15):
        archive.remove(f"{index}.bin")
    archive.add_bytes("new.txt", b"new " * 100)
    archive.close()
    assert path.stat().st_size < 80_000
    with zipfile.ZipFile(path) as found:
        assert found.testzip() is None
        assert found.namelist() == ["0.bin", *(f"{n}.bin" for n in range(15, 20)), "new.txt"]
        assert found.read("0.bin") == kept
    assert [p.name for p in tmp_path.iterdir()] == ["a.zip"]


def test_a_damaged_zip_is_told(difficult: Studio, tmp_path: Path):
    out = tmp_path / "set.zip"
    difficult.export(out, layout="zip")
    out.write_bytes(out.read_bytes()[:-30])
    with pytest.raises(FormatError, match="cannot be read"):
        difficult.export(out, layout="zip", update=True)
