"""Several kinds of media in one export: a dataset each, as loaders read one kind."""

from __future__ import annotations

from pathlib import Path

import pytest

from regenstore.errors import Conflict, InvalidInput
from regenstore.export.dataset import manifest as manifests
from regenstore.export.dataset import places, splits
from regenstore.export.dataset.places import datasets_at
from regenstore.export.dataset.selection import Limits
from regenstore.export.media_set import RecipePath
from tests.export.dataset.studio import Studio


@pytest.fixture
def mixed(tmp_path: Path) -> Studio:
    (tmp_path / "media").mkdir()
    studio = Studio(tmp_path / "media")
    for name in "abcd":
        studio.add(f"{name}.mp4", prompt=f"film {name}")
        studio.add(f"{name}.png", prompt=f"still {name}")
    return studio


def sources(out: str | Path) -> set[str]:
    return {entry.source for entry in manifests.load(str(out)).samples.values()}


@pytest.mark.parametrize("layout", ["dir", "zip", "zip-splits", "webdataset"])
def test_each_kind_has_its_own(mixed: Studio, tmp_path: Path, layout: str):
    out = tmp_path / ("set.zip" if layout == "zip" else "set")
    done = mixed.export_all(out, layout=layout)
    assert list(done) == datasets_at(str(out))
    assert [manifests.load(place).kind for place in done] == ["video", "image"]
    film, still = done
    assert sources(film) == {f"{name}.mp4" for name in "abcd"} and sources(still) == {f"{name}.png" for name in "abcd"}
    assert not manifests.is_dataset(str(out))
    mixed.label("b.png", rating=2)
    again = mixed.export_all(out, layout=layout, update=True)
    assert [len(outcome.changed) for outcome in again.values()] == [0, 1]
    assert [outcome.manifest.export for outcome in again.values()] == [1, 2]


def test_a_kind_joins_later_and_one_can_be_updated_alone(mixed: Studio, tmp_path: Path):
    out = tmp_path / "set"
    mixed.export_all(out)
    mixed.label("a.mp4", rating=1)
    mixed.label("a.png", rating=1)
    done = mixed.export_all(out, Limits(kind="image"), update=True)
    assert list(done) == [str(out / "image")] and len(done[str(out / "image")].changed) == 1
    assert len(mixed.export_all(out, update=True)[str(out / "video")].changed) == 1


def test_a_readme_says_how_to_load_each_unless_there_is_another(mixed: Studio, tmp_path: Path):
    films = [medium for path, medium in mixed.media.items() if path.endswith("mp4")]
    out = tmp_path / "set"
    mixed.export_all(out)
    card = out / "README.md"
    assert 'images = load_dataset("PATH/image")' in card.read_text() and "[video](video/README.md)" in card.read_text()
    card.write_text("by hand")
    mixed.export_all(out, update=True)
    assert card.read_text() == "by hand"
    mixed.export_all(tmp_path / "alone", media=films)
    assert "Datasets by kind" not in (tmp_path / "alone" / "README.md").read_text()


def test_what_would_be_mixed_up_is_refused(mixed: Studio, tmp_path: Path):
    films = {path: medium for path, medium in mixed.media.items() if path.endswith("mp4")}
    out = tmp_path / "set"
    mixed.export_all(out, media=list(films.values()))
    before = sorted(out.rglob("*"))
    for given in ({"update": True}, {"force": True}, {}):
        with pytest.raises(InvalidInput, match="one kind of media"):
            mixed.export_all(out, **given)
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "notes.txt").write_text("mine")
    with pytest.raises(Conflict, match=r"no(t a)? dataset"):
        mixed.export_all(foreign, force=True)
    assert sorted(out.rglob("*")) == before and len(list(foreign.iterdir())) == 1


def test_a_kind_that_has_no_samples_any_more_is_not_passed_over(mixed: Studio, tmp_path: Path):
    mixed.export_all(tmp_path / "set")
    for name in "abcd":
        del mixed.media[f"{name}.png"]
    mixed.label("a.mp4", rating=1)
    with pytest.raises(InvalidInput, match=r"no sample is left for .*image"):
        mixed.export_all(tmp_path / "set", update=True)
    with pytest.raises(Conflict, match="video is there"):
        mixed.add("a.png", prompt="again")
        mixed.export_all(tmp_path / "set")
    assert sources(tmp_path / "set/image") == {f"{name}.png" for name in "abcd"}


def test_nothing_is_written_where_one_is_refused(mixed: Studio, tmp_path: Path):
    (tmp_path / "set-image.zip").write_bytes(b"no zip")
    with pytest.raises(Conflict, match=r"no(t a)? dataset"):
        mixed.export_all(tmp_path / "set.zip", layout="zip")
    assert not (tmp_path / "set-video.zip").exists()


def test_media_in_a_dataset_are_copies_of_others(studio: Studio, tmp_path: Path):
    studio.add("a.png")
    studio.export(tmp_path / "sets" / "one")
    studio.export(tmp_path / "own")
    copies = [b"sets/one/train/images/s1.png", b"own/train/images/s1.png"]
    entries = [RecipePath(path) for path in (b"a.png", b"sets/b.png", *copies)]

    def taken(*arguments: bytes) -> tuple[list[bytes], list[str]]:
        kept, inside = places.outside_datasets(entries, str(tmp_path), str(tmp_path / "own"), arguments)
        return [entry.path for entry in kept], inside

    assert taken() == ([b"a.png", b"sets/b.png"], ["own", "sets/one"])
    assert taken(b"sets/one/train") == ([b"a.png", b"sets/b.png", copies[0]], ["own"])
    assert taken(b"own")[1] == ["own", "sets/one"]


def test_kinds_share_their_splits(studio: Studio, tmp_path: Path):
    """A clip's stills are in its split, in the dataset of another kind too, exported together or not."""
    rules = splits.Rules(splits.parse_shares("40/30/30"))
    clips = [studio.add(f"{n}.mp4", prompt=str(n)) for n in range(8)]
    for n, clip in enumerate(clips):
        studio.add(f"stills/{n}.png", inputs={"of": clip})
    together = studio.export_all(tmp_path / "both", rules=rules, trainers=())
    by_source: dict[str, str] = {}
    for outcome in together.values():
        by_source |= {each.source: each.split for each in outcome.manifest.samples.values()}
    assert len({*by_source.values()}) > 1
    assert all(by_source[f"{n}.mp4"] == by_source[f"stills/{n}.png"] for n in range(8))
    for each in ("video", "image"):
        alone = studio.export(tmp_path / each, Limits(kind=each), rules=rules, trainers=())
        assert {one.source: one.split for one in alone.manifest.samples.values()}.items() <= by_source.items()
