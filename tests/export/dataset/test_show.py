"""Reading datasets back."""

from __future__ import annotations

import tarfile
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from regenstore.errors import NotFound
from regenstore.export.dataset import read_back
from regenstore.export.dataset.contact_sheet import page
from regenstore.export.dataset.manifest import LAYOUTS
from regenstore.export.media_set import Chosen, LeftOut
from tests.export.dataset.studio import Studio


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_format_is_read_back(difficult: Studio, tmp_path: Path, places, layout, monkeypatch):
    out = tmp_path / ("set.zip" if layout == "zip" else "set")
    difficult.export(out, layout=layout, explicit=places)
    shown = read_back.read(str(out))
    assert shown.manifest.counts == {"train": 3, "validation": 2, "test": 2}
    assert shown.problems == []
    assert shown.labels["characters"] == {"val": {"train": 1}, "test-shots": {"validation": 1}}
    rating = shown.scores["rating"]["train"]
    assert (rating.count, rating.least, rating.most, sum(rating.histogram)) == (1, 4, 4, 1)
    with monkeypatch.context() as patched:  # each archive is opened once
        opened: list[str] = []
        for module, name in ((zipfile, "ZipFile"), (tarfile, "open")):
            real = getattr(module, name)
            patched.setattr(module, name, lambda path, *mode, real=real: opened.append(path) or real(path, *mode))
        assert list(read_back.damaged(str(out), shown.manifest)) == []
    assert len(opened) == len({*opened}) == {"dir": 0, "zip": 1, "zip-splits": 4, "webdataset": 3}[layout]
    sheet = "".join(page(str(out), shown, 2))
    assert sheet.count("<figure>") == 6 and sheet.count("data:image/jpeg") == 6
    assert "<script" not in sheet and "and 1 more" in sheet


def test_texts_of_a_sheet_are_no_markup(studio: Studio, tmp_path: Path):
    studio.add("a.mp4", prompt="<script>alert(1)</script>", about={"tags": ['"><img src=x onerror=y>']})
    studio.export(tmp_path / "set", name="<b>set</b>")
    sheet = "".join(page(str(tmp_path / "set"), read_back.read(str(tmp_path / "set")), 9))
    assert not [mark for mark in ("<script", "<img src", "<b>") if mark in sheet]


def test_damage_is_found(difficult: Studio, tmp_path: Path, places):
    difficult.export(tmp_path / "set", explicit=places)
    first, second = sorted((tmp_path / "set" / "train" / "videos").glob("*.mp4"))[:2]
    first.write_bytes(b"x" * first.stat().st_size)
    second.unlink()
    shown = read_back.read(str(tmp_path / "set"))
    found = sorted(read_back.damaged(str(tmp_path / "set"), shown.manifest))
    assert found == sorted(
        [f"train/videos/{first.name}: other bytes than recorded", f"train/videos/{second.name}: missing or damaged"]
    )


def test_drift_against_the_repository(difficult: Studio, tmp_path: Path):
    difficult.export(tmp_path / "set")
    shown = read_back.read(str(tmp_path / "set"))
    now = {path: Chosen(path.encode(), medium.recipe) for path, medium in difficult.media.items()}
    assert read_back.drift(shown, str(tmp_path / "set"), now.values(), LeftOut()) == read_back.Drift()
    del now["shots/g.mp4"]
    recipe = now["shots/a.mp4"].recipe
    now["shots/a.mp4"] = replace(now["shots/a.mp4"], recipe=replace(recipe, about={"rating": 1}))
    now["shots/b.mp4"] = replace(now["shots/b.mp4"], recipe=now["shots/b.mp4"].recipe.with_take(None, None))
    now["shots/z.mp4"] = Chosen(b"shots/z.mp4", recipe)
    found = read_back.drift(shown, str(tmp_path / "set"), now.values(), LeftOut())
    assert (found.new, found.changed, found.gone) == (["shots/z.mp4"], ["shots/a.mp4", "shots/b.mp4"], ["shots/g.mp4"])


def test_what_is_no_dataset(tmp_path: Path):
    for name in ("nothing", ""):
        with pytest.raises(NotFound, match="is not a dataset"):
            read_back.read(str(tmp_path / name))
