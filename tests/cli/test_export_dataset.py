"""Datasets from a repository: what an earlier export knew is believed only as long as nothing has changed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from regenstore.export.dataset.manifest import load
from tests.conftest import Checkout, built_on, copied

SMALL = ("-p", "width=32", "-p", "height=24")


@pytest.fixture(scope="session")
def plates_template(film_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    def build(film: Checkout) -> None:
        film.git("rm", "-q", "-f", "refs/photo.png")
        film.regenstore("new", "plates/sky.png", "-g", "procedural.image", "-p", "prompt=blue", "-p", "seed=7", *SMALL)
        film.regenstore("tag", "plates/sky.png", "scene=sky", "rating=3")
        film.commit("Two plates")

    return built_on(tmp_path_factory, "plates-template", film_template, Checkout, build)


@pytest.fixture
def plates(plates_template: Path, tmp_path: Path) -> Checkout:
    return copied(plates_template, tmp_path, Checkout)


def export(film: Checkout, name: str, *more: str) -> Any:
    return json.loads(film.regenstore("export", "dataset", f"../{name}", "--json", *more))


def rows(film: Checkout, name: str) -> dict[str, dict[str, Any]]:
    lines = (film.path.parent / name / "samples.jsonl").read_text(encoding="utf-8").splitlines()
    return {row["source"]: row for row in map(json.loads, lines)}


def kept(film: Checkout) -> bytes:
    (file,) = film.store.glob("facts/rows-*/*/*")
    return file.read_bytes()


def counts(told: dict[str, Any]) -> tuple[int, int, int, int]:
    return told["added"], told["changed"], told["removed"], told["unchanged"]


def test_what_nothing_changed_is_not_looked_at_again(plates: Checkout) -> None:
    export(plates, "one")
    before = kept(plates)
    export(plates, "two")
    assert kept(plates) == before
    assert load(str(plates.path / "../one")).samples == load(str(plates.path / "../two")).samples
    again = export(plates, "one", "--update")
    shown = json.loads(plates.regenstore("export", "show", "../one", "--json"))
    assert counts(again) == (0, 0, 0, 2)
    assert [(told["version"], told["dataset_version"]) for told in (again, shown)] == [(2, "1.0.1")] * 2
    file = next(plates.store.glob("facts/rows-*/*/*"))
    file.write_bytes(before.replace(b"storm", b"steam"))
    assert counts(export(plates, "two", "--update")) == (0, 0, 0, 2)
    assert b"steam" not in (plates.path / "../two/samples.jsonl").read_bytes()


def changed_label(film: Checkout) -> None:
    film.regenstore("tag", "plates/sky.png", "rating=5")


def changed_and_added(film: Checkout) -> None:
    changed_label(film)
    film.git("add", ".")


def another_take(film: Checkout) -> None:
    film.regenstore("set", "plates/sky.png", "seed=8")


def proven(film: Checkout) -> None:
    film.regenstore("verify", "plates/sky.png")


@pytest.mark.parametrize("change", [changed_label, changed_and_added, another_take, proven])
def test_what_changed_is_told(plates: Checkout, change: Callable[[Checkout], None]) -> None:
    export(plates, "one")
    before = rows(plates, "one")
    change(plates)
    assert counts(export(plates, "one", "--update")) == (0, 1, 0, 1)
    after = rows(plates, "one")
    assert [path for path in before if before[path] != after[path]] == ["plates/sky.png"]
    export(plates, "fresh")
    assert rows(plates, "fresh") == after


def test_another_revision_has_rows_of_its_own(plates: Checkout) -> None:
    export(plates, "one")
    changed_and_added(plates)
    plates.commit("a label")
    export(plates, "now")
    assert rows(plates, "now")["plates/sky.png"]["rating"] == 5
    for _ in range(2):
        export(plates, "then", "--rev", "HEAD~1", "--force")
        assert rows(plates, "then") == rows(plates, "one")
    with_nothing = plates.run(
        "regenstore", "export", "dataset", "../x", "--rev", "HEAD~1", ".gitattributes", check=False
    )
    assert with_nothing.returncode == 3 and b".gitattributes" in with_nothing.stderr


def test_media_that_left_are_made_again(plates: Checkout) -> None:
    first = export(plates, "one")
    (content,) = [path for path in plates.store.glob("*/??/*") if path.name.endswith(sky(plates))]
    content.unlink()
    plan = export(plates, "two", "--dry-run")
    assert (plan["considered"], plan["missing"]) == (2, 1)
    assert export(plates, "two")["splits"] == first["splits"]
    assert content.exists()
    assert rows(plates, "two").keys() == rows(plates, "one").keys()


def sky(film: Checkout) -> str:
    """The name of the content in its folder of the store."""
    digest: str = rows(film, "one")["plates/sky.png"]["digest"]
    return digest.partition(":")[2][2:]


def test_conditions_drop_the_same_of_what_is_known(plates: Checkout) -> None:
    limits = ("--min-rating", "2", "--min-size", "30x20", "--select", "width == 32", "--dry-run")
    first = export(plates, "one", *limits)
    export(plates, "all")
    assert export(plates, "one", *limits) == first
    assert first["dropped"] == {"--min-rating 2": 1, "--min-size 30x20": 0, "--select width == 32": 0}
    assert (first["considered"], first["kept"]) == (2, 1)
    assert not (plates.path / "../one").exists()


def test_a_recipe_without_a_take_is_asked_for_again(plates: Checkout) -> None:
    text = plates.blob("plates/sky.png").decode()
    lines = [line for line in text.splitlines() if not line.startswith(("digest =", "size ="))]
    Path(plates.path / "plates/sky.png").write_text("\n".join(lines) + "\n", encoding="utf-8")
    plates.git("add", ".")
    for name in ("one", "two"):
        assert counts(export(plates, name)) == (2, 0, 0, 0)
        assert rows(plates, name)["plates/sky.png"]["rating"] == 3


def test_what_cannot_be_read_is_left_out_and_told(plates: Checkout) -> None:
    plates.write("bad.png", b"bad")
    plates.write("cut.png", (plates.path / "plates/sky.png").read_bytes()[:-40])
    plates.write("worse.png", b"worse")
    plates.commit("Three that cannot be read")
    for command, place in (("dataset", ("../out",)), ("sidecar", ("--to", "../side"))):
        strict = plates.run("regenstore", "export", command, *place, "--strict", check=False)
        assert strict.returncode == 2 and b"bad.png" in strict.stderr
        assert not (plates.path / place[-1]).exists()
        done = plates.run("regenstore", "export", command, *place, "--json", check=False)
        assert done.returncode == 1
        failed = json.loads(done.stdout)["failed"]
        assert [(each["path"], each["kind"]) for each in failed] == [
            (p, "bad-export") for p in ("bad.png", "cut.png", "worse.png")
        ]
        assert b"left out: 3 media" in done.stderr and b"worse.png: the medium is not readable" in done.stderr
        assert b"cut.png: it is cut off" in done.stderr
    assert len(rows(plates, "out")) == 2
    assert (plates.path / "../side/sky.xmp").exists()
    alone = plates.run("regenstore", "export", "dataset", "../alone", "*.png", check=False)
    assert alone.returncode == 2 and b"bad.png" in alone.stderr and b"(and 2 more)" in alone.stderr


def test_an_invalid_recipe_in_the_index_is_one_more_medium_left_out(plates: Checkout) -> None:
    (plates.path / "text").write_bytes(b"regenstore = 1\n\n[output]\nsize = 4\n")
    blob = plates.git("hash-object", "-w", "text")
    plates.git("update-index", "--add", "--cacheinfo", f"100644,{blob},plates/odd.png")
    for command, place in (("dataset", ("../out",)), ("sidecar", ("--to", "../side"))):
        done = plates.run("regenstore", "export", command, *place, check=False)
        assert done.returncode == 1 and b"left out: 1 medium" in done.stderr and b"plates/odd.png" in done.stderr
    assert len(rows(plates, "out")) == 2
    plates.git("update-index", "--cacheinfo", f"100644,{blob},plates/sky.png")  # it is no sample that has gone
    plates.git("restore", "plates/sky.png")
    shown = plates.run("regenstore", "export", "show", "../out")
    assert b"0 new, 0 changed, 0 gone" in shown.stdout and b"not compared: plates/sky.png" in shown.stderr
    fields = plates.run("regenstore", "template", "fields", ".")
    assert b"left out: plates/odd.png" in fields.stderr and b"plates/sea.png" in fields.stdout


def test_an_update_repeats_the_order(plates: Checkout) -> None:
    first = ("--min-rating", "3", "--license", "mit", "--split", "70/15/15", "--trainer", "none")
    assert export(plates, "one", "plates", *first)["added"] == 1
    assert counts(export(plates, "one", "--update")) == (0, 0, 0, 1)
    more = ("--min-rating", "1", "--license", "mit", "--trigger", "zwx")
    done = plates.run("regenstore", "export", "dataset", "../one", "--update", *more)
    assert [line for line in done.stderr.splitlines() if line.startswith(b"changed:")] == [
        b"changed: --min-rating: was 3.0, is now 1.0", b"changed: --trigger: was none, is now zwx",
    ]  # fmt: skip
    assert load(str(plates.path / "../one")).filters == ["--min-rating 1"]
    assert export(plates, "one", "--update", "--reset-options")["added"] == 1
    manifest = plates.path / "../one/manifest.json"
    told = json.loads(manifest.read_bytes())
    del told["settings"]["options"]  # as an earlier version wrote it
    told |= {"filters": ["--min-quality motion 0.5", "--select rating > 1.0", "--tag a b", "--max-bytes 1e+06"]}
    manifest.write_text(json.dumps(told))
    done = plates.run("regenstore", "export", "dataset", "../one", "--update", "--dry-run")
    assert [line for line in done.stdout.decode().splitlines() if "--" in line] == [
        "      -2  --tag a b", "       0  --min-quality motion 0.5", "       0  --max-bytes 1e+06",
        "       0  --select rating > 1.0",
    ]  # fmt: skip


def test_splits_follow_another_dataset(plates: Checkout) -> None:
    export(plates, "one", "--split", "test=1")
    export(plates, "two", "--splits-from", "../one", "--split", "train=1")
    assert {row["split"] for row in rows(plates, "two").values()} == {"test"}
    inside = plates.run("regenstore", "export", "dataset", "set.zip")
    assert b"is in the worktree" in inside.stderr and (plates.path / "set.zip").is_file()
