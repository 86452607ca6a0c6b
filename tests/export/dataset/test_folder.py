"""The folder layout: its files and tables, updates that touch only what changed, and places that are refused."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from regenstore.errors import Conflict, FormatError, InvalidInput
from regenstore.export.dataset import manifest as manifests
from regenstore.export.dataset.row import COLUMNS, file_stem, sample_key
from regenstore.export.dataset.selection import Limits
from regenstore.export.dataset.sinks import HIDDEN, MANIFEST
from regenstore.fs.stage import Stage
from regenstore.schemas.stored import STORED
from tests.export.dataset.studio import Studio


def files(out: Path) -> dict[str, bytes]:
    return {p.relative_to(out).as_posix(): p.read_bytes() for p in sorted(out.rglob("*")) if p.is_file()}


def stamps(out: Path) -> dict[str, tuple[int, int]]:
    return {
        p.relative_to(out).as_posix(): (s.st_ino, s.st_mtime_ns)
        for p in out.rglob("*")
        if p.is_file() and (s := p.stat())
    }


def test_the_folder_has_what_loaders_and_trainers_read(difficult: Studio, tmp_path: Path, places):
    out = tmp_path / "out"
    outcome = difficult.export(out, explicit=places)
    assert outcome.manifest.counts == {"train": 3, "validation": 2, "test": 2}
    for path, split in places.items():
        key, name = sample_key(path), file_stem(path, sample_key(path))
        medium = difficult.media[path]
        assert (out / split / "videos" / f"{name}.mp4").read_bytes() == Path(medium.file).read_bytes()
        caption = (out / split / "videos" / f"{name}.txt").read_text(encoding="utf-8")
        assert caption.strip() and caption.count("\n") == 1 and caption.splitlines() == [caption[:-1]]
        told = json.loads((out / split / "videos" / f"{name}.json").read_text(encoding="utf-8"))
        assert (told["key"], told["split"], told["source"]) == (key, split, path)
        assert told["recipe"].startswith("regenstore = 1\n")
    assert {p.suffix for p in (out / "train" / "videos").iterdir()} == {".mp4", ".txt", ".json"}
    assert sorted(p.name for p in out.iterdir()) == [
        "README.md", "croissant.json", "manifest.json", "samples.jsonl", "samples.parquet", "test", "train", "trainers",
        "validation",
    ]  # fmt: skip
    assert not [p for p in tmp_path.iterdir() if p.name not in ("out", "media")]
    STORED["dataset-manifest"].model_validate_json((out / "manifest.json").read_bytes())


def test_files_have_the_names_of_their_media():
    assert file_stem("shots/sh010 v2.mp4", "s1") == "sh010_v2_s1"
    assert file_stem("shots/B\u00fccher \u6f22.mp4", "s1") == "Bucher_s1"
    assert file_stem("a" * 100 + ".mp4", "s1") == "a" * 40 + "_s1"
    for split in ("train_01.mp4", "shot test.mp4", "val2.mp4", "\u6f22.mp4"):
        assert file_stem(split, "s1") == "s1", split


def test_every_table_has_the_same_schema(difficult: Studio, tmp_path: Path, places):
    difficult.export(tmp_path / "out", explicit=places)
    tables = [pq.read_table(tmp_path / "out" / split / "metadata.parquet") for split in ("train", "validation", "test")]
    assert tables[0].schema == tables[1].schema == tables[2].schema
    assert tables[0].schema.names == ["file_name", *(column.name for column in COLUMNS)]
    whole = pq.read_table(tmp_path / "out" / "samples.parquet")
    assert whole.num_rows == 7
    rows = {row["source"]: row for row in whole.to_pylist()}
    assert rows["shots/a.mp4"]["seed"] == "18446744073709551615"
    assert rows["shots/b.mp4"]["prompt"] == "2024-01-01"
    assert rows["shots/g.mp4"]["loras"] == [{"name": "a", "weight": 0.5}, {"name": "b", "weight": 1.0}]
    assert rows["shots/a.mp4"]["width"] == 32 and rows["shots/a.mp4"]["rate"] == "12"


def test_two_exports_of_the_same_are_equal_to_the_byte(difficult: Studio, tmp_path: Path):
    difficult.export(tmp_path / "one" / "set", trainers=())
    difficult.media = dict(reversed(difficult.media.items()))
    difficult.export(tmp_path / "two" / "set", trainers=())
    assert files(tmp_path / "one") == files(tmp_path / "two")


def test_an_update_writes_only_what_is_new_or_changed(difficult: Studio, tmp_path: Path, places):
    out = tmp_path / "out"
    difficult.export(out, explicit=places)
    before = stamps(out)
    difficult.add("shots/h.mp4", prompt="new")
    difficult.label("shots/a.mp4", rating=1)
    difficult.add("shots/b.mp4", prompt="2024-01-01", seed=1, about={"scene": "test"}, content="other bytes")
    del difficult.media["shots/c.mp4"]
    outcome = difficult.export(out, explicit=places, update=True)
    assert outcome.added == [sample_key("shots/h.mp4")]
    assert sorted(outcome.changed) == sorted(sample_key(f"shots/{n}.mp4") for n in "ab")
    assert outcome.removed == outcome.manifest.removed == [sample_key("shots/c.mp4")]
    assert outcome.unchanged == 4
    after = stamps(out)
    gone, a, b, d = (sample_key(f"shots/{n}.mp4") for n in "cabd")
    assert not [name for name in after if gone in name]
    touched = {name for name in after if after[name] != before.get(name)}
    assert all(
        f"train/videos/{name}_{key}{end}" in touched for name, key in (("a", a), ("b", b)) for end in (".mp4", ".json")
    )
    assert not [name for name in touched if d in name]
    assert b"version: 1.0.2\n" in (out / "README.md").read_bytes()
    assert manifests.load(str(out)).samples.keys() == {sample_key(path) for path in difficult.media}
    assert not (out / HIDDEN).exists()


def test_an_update_equals_a_fresh_export(difficult: Studio, tmp_path: Path, places):
    """But for the count of exports, the split ledger's memory and what has left."""
    out, fresh = tmp_path / "a" / "set", tmp_path / "b" / "set"
    difficult.export(out, explicit=places, trainers=())
    difficult.label("shots/a.mp4", rating=1)
    del difficult.media["shots/g.mp4"]
    difficult.export(out, explicit=places, trainers=(), update=True)
    difficult.export(fresh, explicit=places, trainers=())
    one, two = files(out), files(fresh)
    assert one.keys() == two.keys()
    assert {name for name in one if one[name] != two[name]} == {"README.md", "croissant.json", MANIFEST}


def test_an_update_without_changes_writes_nothing(difficult: Studio, tmp_path: Path):
    out = tmp_path / "out"
    difficult.export(out)
    before = stamps(out)
    outcome = difficult.export(out, update=True)
    assert (outcome.unchanged, outcome.manifest.export) == (7, 1)
    assert stamps(out) == before


def test_an_update_brings_back_what_was_damaged(difficult: Studio, tmp_path: Path, places):
    out = tmp_path / "out"
    difficult.export(out, explicit=places)
    lost = out / "train" / "videos" / f"a_{sample_key('shots/a.mp4')}.mp4"
    lost.unlink()
    assert difficult.export(out, explicit=places, update=True).changed == [sample_key("shots/a.mp4")]
    assert lost.exists()


def test_a_split_that_empties_leaves(difficult: Studio, tmp_path: Path, places):
    out = tmp_path / "out"
    difficult.export(out, explicit=places)
    for name in "fg":
        del difficult.media[f"shots/{name}.mp4"]
    difficult.export(out, explicit=places, update=True)
    assert not (out / "test").exists()
    assert b"test" not in (out / "README.md").read_bytes().partition(b"---\n\n")[0]


def test_places_that_are_taken_are_refused(difficult: Studio, tmp_path: Path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "thesis.txt").write_text("years of work")
    for given in ({}, {"force": True}):
        with pytest.raises(Conflict, match="not a dataset of regenstore"):
            difficult.export(out, **given)
    assert (out / "thesis.txt").read_text() == "years of work"
    difficult.export(tmp_path / "set")
    with pytest.raises(Conflict, match="set is there"):
        difficult.export(tmp_path / "set")
    (tmp_path / "set" / "note.txt").write_text("no file of the dataset")
    difficult.export(tmp_path / "set", force=True)
    assert (tmp_path / "set" / "note.txt").exists()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["media", "out", "set"]


def test_nothing_is_left_when_an_export_fails(difficult: Studio, tmp_path: Path):
    Path(difficult.media["shots/c.mp4"].file).write_bytes(b"shorter")
    with pytest.raises((FormatError, InvalidInput)):
        difficult.export(tmp_path / "out")
    assert [p.name for p in tmp_path.iterdir()] == ["media"]


def test_a_selection_of_nothing_is_refused(difficult: Studio, tmp_path: Path):
    with pytest.raises(InvalidInput, match="no sample is left"):
        difficult.export(tmp_path / "out", Limits(scenes=("nowhere",)))
    assert not (tmp_path / "out").exists()


def test_a_damaged_manifest_is_told(difficult: Studio, tmp_path: Path):
    difficult.export(tmp_path / "out")
    (tmp_path / "out" / MANIFEST).write_text("{}")
    with pytest.raises(FormatError, match="manifest cannot be read"):
        difficult.export(tmp_path / "out", update=True)


def test_a_journal_cannot_leave_the_dataset(difficult: Studio, tmp_path: Path):
    out = tmp_path / "out"
    difficult.export(out)
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (out / HIDDEN / "new").mkdir(parents=True)
    (out / HIDDEN / "journal.json").write_text(json.dumps({"move": [], "leave": [], "remove": ["../victim"]}))
    with pytest.raises(FormatError, match="damaged"):
        difficult.export(out, update=True)
    assert victim.read_text() == "precious"


def test_a_dataset_that_another_export_writes_is_left_alone(difficult: Studio, tmp_path: Path):
    out = tmp_path / "out"
    difficult.export(out)
    with Stage(str(out / HIDDEN), unique=False), pytest.raises(Conflict) as caught:
        difficult.export(out, update=True)
    assert caught.value.kind == "export-busy"
    left, zipped = tmp_path / ".out.partial-1-ab", tmp_path / ".out.partial-1-cd"  # of older versions
    left.mkdir()
    zipped.touch()
    difficult.export(out, force=True)
    assert not (out / HIDDEN).exists() and not left.exists() and not zipped.exists()


def consistent(out: Path) -> None:
    """What a loader relies on: the manifest is there, and every row of every table leads to a file."""
    manifests.load(str(out))
    front = (out / "README.md").read_text().split("---\n")[1]
    for split in ("train", "validation", "test"):
        assert (f"split: {split}," in front) <= (out / split / "metadata.parquet").exists()
        if (out / split).exists():
            for name in pq.read_table(out / split / "metadata.parquet").column("file_name").to_pylist():
                assert (out / split / name).stat().st_size > 0


@pytest.mark.heavy
def test_killed_at_every_step_of_an_update_it_loads_and_is_finished_later(
    difficult: Studio, tmp_path: Path, places, monkeypatch: pytest.MonkeyPatch
):
    start, expected = tmp_path / "start", tmp_path / "expected"
    difficult.export(start, explicit=places, trainers=())
    shutil.copytree(start, expected)
    shutil.copytree(start, tmp_path / "first")
    changed = Studio(difficult.folder, dict(difficult.media))
    changed.add("shots/h.mp4", prompt="new")
    changed.label("shots/a.mp4", rating=1)
    for name in "cfg":
        del changed.media[f"shots/{name}.mp4"]

    class Killed(BaseException):
        pass

    steps = {"left": 10**9, "done": 0}

    def dying(real):
        def call(*args, **kwargs):
            if steps["done"] >= steps["left"]:
                raise Killed  # also in whatever would tidy up: a killed process tidies nothing
            steps["done"] += 1
            return real(*args, **kwargs)

        return call

    def update(out: Path) -> None:
        changed.export(out, explicit=places, trainers=(), name="set", update=True)

    update(tmp_path / "first")  # media are looked at for the first time
    with monkeypatch.context() as patch:
        for name in ("rename", "replace", "unlink", "rmdir", "mkdir", "open"):
            patch.setattr(os, name, dying(getattr(os, name)))
        patch.setattr(shutil, "rmtree", dying(shutil.rmtree))
        update(expected)
        total = steps["done"]
        assert total > 20
        for left in range(total):
            out = tmp_path / f"now-{left}"  # a place of which no rows are kept
            steps.update(left=10**9, done=0)
            shutil.copytree(start, out)
            steps.update(left=left, done=0)
            with pytest.raises(Killed):
                update(out)
            steps.update(left=10**9)
            consistent(out)
            update(out)
            assert files(out) == files(expected), left
            shutil.rmtree(out)


def test_an_update_keeps_what_was_edited_by_hand(studio: Studio, tmp_path: Path):
    out = tmp_path / "out"
    for name in "abcd":
        studio.add(f"{name}.mp4", prompt=name)
    places = dict.fromkeys(studio.media, "train")
    studio.export(out, explicit=places)

    def caption(path: str, split: str = "train") -> Path:
        return out / split / "videos" / f"{file_stem(path, sample_key(path))}.txt"

    for path in ("a.mp4", "b.mp4", "c.mp4"):
        caption(path).write_text("by hand\n")
    card, trainer = out / "README.md", out / "trainers" / "musubi.toml"
    head, _, _ = card.read_text().partition("# dataset")
    card.write_text(head.replace('license: "other"', "license: mit") + "My own words.\n")
    trainer.write_text("resolution = [960, 544]\n")
    (out / "trainers" / "videos.txt").write_text("none\n")
    before = stamps(out)
    same = studio.export(out, update=True, explicit=places)
    assert not same.differs and stamps(out) == before
    assert "kept as edited by hand" in same.notes[-1] and "and 1 more" in same.notes[-1]

    studio.label("a.mp4", rating=3)
    del studio.media["b.mp4"]
    studio.add("e.mp4")
    for _ in range(2):  # what was kept still counts as edited
        outcome = studio.export(out, update=True, explicit={"a.mp4": "train", "c.mp4": "test", "e.mp4": "test"})
    assert caption("a.mp4").read_text() == caption("c.mp4", "test").read_text() == "by hand\n"
    assert (out / "edited" / caption("b.mp4").relative_to(out)).read_text() == "by hand\n"
    assert trainer.read_text() == "resolution = [960, 544]\n"
    assert (out / "edited" / "trainers" / "videos.txt").read_text() == "none\n"
    text = card.read_text()
    assert "license: mit" in text and text.endswith("---\n\nMy own words.\n")
    assert "version: 1.0.2" in text and "split: test" in text
    assert outcome.manifest.version == "1.0.2"
    studio.label("a.mp4", rating=4)
    told = "\n".join(studio.export(out, update=True, explicit=places).notes)
    assert "kept as edited by hand" in told and "musubi.toml" in told and str(caption("a.mp4").relative_to(out)) in told


def test_replacing_a_dataset_keeps_what_is_not_its_own(studio: Studio, tmp_path: Path):
    out = tmp_path / "out"
    studio.add("a.mp4")
    studio.export(out, explicit={"a.mp4": "train"})
    foreign = [".cache-musubi/deep/latents.bin", "notes.md", "train/videos/mine.srt", "validation/metadata.parquet"]
    for name in foreign:
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_text(name)
    studio.export(out, explicit={"a.mp4": "validation"}, force=True)
    for name in foreign[:3]:
        assert (out / name).read_text() == name
    assert (out / "edited" / foreign[3]).read_text() == foreign[3]
    assert not list((out / "train" / "videos").glob("*.mp4")) and len(pq.read_table(out / foreign[3])) == 1
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["media", "out"]


def test_an_update_keeps_samples_whose_media_cannot_be_read_now(studio: Studio, tmp_path: Path):
    out = tmp_path / "out"
    for name in "abc":
        studio.add(f"{name}.mp4")
    studio.export(out)
    before = files(out)
    outcome = studio.export(out, update=True, lost=("a.mp4", "never.mp4"))
    assert (outcome.differs, outcome.unchanged, files(out)) == (False, 3, before)
    assert "cannot be read now: 1" in outcome.notes[-1]
    (medium,) = (path for path in out.rglob("*.mp4") if path.stem == "a_" + sample_key("a.mp4"))
    medium.unlink()
    outcome = studio.export(out, update=True, lost=("a.mp4",))
    assert (outcome.removed, outcome.unchanged) == ([sample_key("a.mp4")], 2)
    assert not [name for name in files(out) if sample_key("a.mp4") in name]
    assert len(studio.export(tmp_path / "other", lost=("a.mp4",)).added) == 2
