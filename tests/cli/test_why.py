"""why: the rule that keeps a medium or lets it go, proven on a real store; it never deletes anything."""

from __future__ import annotations

import json
import sys
import tomllib
from pathlib import Path

import pytest

from tests.cli.conftest import SMALL
from tests.conftest import Checkout, built_on, copied

# Paints what it is told; with 'again' another picture at each run.
PAINT = f"""#!{sys.executable}
import pathlib, sys
from PIL import Image
level = int(sys.argv[2])
if sys.argv[3] == "again":
    count = pathlib.Path(__file__).with_suffix(".count")
    runs = int(count.read_text()) + 1 if count.exists() else 1
    count.write_text(str(runs))
    level += runs * 90 % 150
Image.new("RGB", (64, 48), (level, 120, 140)).save(sys.argv[1], format="PNG")
"""
DECLARED = """
[generators.paint]
version = "1"
command = ["tools/paint", "{output}", "{level}", "{kind}"]
media_type = "image/png"
[generators.paint.params.level]
type = "integer"
[generators.paint.params.kind]
type = "string"
default = "steady"
"""


@pytest.fixture(scope="session")
def painted_template(film_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    def build(film: Checkout) -> None:
        film.write("tools/paint", PAINT).chmod(0o755)
        film.write(".gitignore", "*.count\n")
        film.write("regenstore.toml", DECLARED)
        film.regenstore("trust", "--yes")
        film.regenstore("new", "paint.png", "-g", "paint", "-p", "level=9")
        film.regenstore("new", "small.png", "-g", "derive.image", "-i", "source=paint.png", "-p", "width=32")
        film.commit("painted")

    return built_on(tmp_path_factory, "painted-template", film_template, Checkout, build)


@pytest.fixture
def painted(painted_template: Path, tmp_path: Path) -> Checkout:
    """The film with ``paint.png``, by a trusted program, and ``small.png``, derived from it."""
    return copied(painted_template, tmp_path, Checkout)


def why(film: Checkout, path: str) -> dict:
    """What it says of a path; the store has the same contents afterwards."""
    before = contents(film)
    data = json.loads(film.regenstore("why", path, "--json"))
    assert (data["type"], data["version"]) == ("regenstore.why", 1)
    assert contents(film) == before
    return data


def contents(film: Checkout) -> set[str]:
    return {str(path) for tree in ("vault", "cache") for path in (film.store / tree).rglob("*") if path.is_file()}


def stored(film: Checkout, path: str) -> Path:
    digest = tomllib.loads(film.blob(path).decode())["output"]["digest"].removeprefix("blake3:")
    return film.store / "vault" / digest[:2] / digest[2:]


def test_imported_media_are_kept(film: Checkout) -> None:
    said = why(film, "refs/photo.png")
    assert (said["state"], said["rule"], said["proof"], said["cost"]) == ("kept", "imported", None, None)


def test_what_was_never_run_has_nothing_to_keep(film: Checkout) -> None:
    film.regenstore("new", "later.png", "-g", "procedural.image", "-p", "prompt=x", *SMALL, "--no-generate")
    said = why(film, "later.png")
    assert (said["state"], said["take"], said["roots"]) == ("wanted", None, [])


def test_only_a_proof_lets_it_go(film: Checkout) -> None:
    said = why(film, "plates/sea.png")
    assert (said["state"], said["rule"], said["proof"]) == ("kept", "unproven", None)
    film.regenstore("verify", "plates/sea.png")
    said = why(film, "plates/sea.png")
    assert (said["state"], said["rule"], said["stored"]) == ("evictable", "proven", True)
    assert (said["proof"]["tier"], said["proof"]["holds"], said["proof"]["differs"]) == ("bytes", True, [])
    assert said["cost"]["own"] == said["cost"]["closure"] > 0 and said["standing"] == "working"


def test_a_pin_keeps_what_is_proven(film: Checkout) -> None:
    film.regenstore("verify", "plates/sea.png")
    film.regenstore("pin", "plates/sea.png", "--reason", "poster")
    said = why(film, "plates/sea.png")
    assert (said["state"], said["rule"], said["detail"]) == ("kept", "pinned", "poster")
    assert said["proof"]["holds"] and said["pin"]["reason"] == "poster"
    assert any(name.startswith("refs/regenstore/pins/") for name in said["roots"])
    assert film.regenstore("why", "plates/sea.png").startswith("plates/sea.png: kept: it is pinned (poster)\n")
    film.regenstore("unpin", "plates/sea.png")
    assert why(film, "plates/sea.png")["state"] == "evictable"


def test_a_take_that_does_not_come_back_is_kept(painted: Checkout) -> None:
    painted.regenstore("new", "restless.png", "-g", "paint", "-p", "level=1", "-p", "kind=again")
    painted.regenstore("verify", "paint.png")
    painted.git("add", "-A")
    assert painted.run("regenstore", "verify", "restless.png", check=False).returncode == 1
    said = why(painted, "restless.png")
    assert (said["state"], said["rule"], said["proof"]["tier"]) == ("kept", "different", "different")
    assert why(painted, "paint.png")["state"] == "evictable"


def test_a_checkout_that_makes_the_take_again_is_a_proof(film: Checkout, tmp_path: Path) -> None:
    film.git("clone", "-q", "--bare", str(film.path), "../hub.git")  # which has no store
    film.regenstore("clone", "../hub.git", str(tmp_path / "second"))
    second = Checkout(tmp_path / "second", film.environment)
    assert not second.is_recipe("plates/sea.png")
    said = why(second, "plates/sea.png")
    assert (said["rule"], said["proof"]["tier"], said["proof"]["holds"]) == ("proven", "bytes", True)


def test_a_run_that_gives_other_bytes_is_remembered_although_the_take_is_lost(painted: Checkout) -> None:
    painted.regenstore("new", "restless.png", "-g", "paint", "-p", "level=1", "-p", "kind=again")
    painted.commit("restless")
    painted.regenstore("drop", "restless.png")
    stored(painted, "restless.png").unlink()
    painted.run("regenstore", "get", "restless.png", check=False)
    said = why(painted, "restless.png")
    assert (said["rule"], len(said["others"]), said["stored"]) == ("unproven", 1, False)
    assert "gave other bytes too: " in painted.regenstore("why", "restless.png")


def test_the_generator_must_be_there_trusted_and_unchanged(painted: Checkout) -> None:
    painted.regenstore("verify", "paint.png")
    assert why(painted, "paint.png")["rule"] == "proven"
    painted.write("tools/paint", PAINT + "# another build\n").chmod(0o755)
    said = why(painted, "paint.png")
    assert (said["rule"], said["state"], said["proof"]["holds"]) == ("generator", "kept", False)
    assert "no longer trusted" in said["detail"]
    painted.regenstore("trust", "--yes")
    said = why(painted, "paint.png")
    assert (said["rule"], said["state"], said["proof"]["holds"]) == ("lapsed", "kept", False)
    assert said["proof"]["differs"] and all(d["then"] != d["here"] for d in said["proof"]["differs"])
    assert "does not hold here now" in painted.regenstore("why", "paint.png")
    painted.regenstore("verify", "paint.png")
    assert why(painted, "paint.png")["rule"] == "proven"
    painted.write("regenstore.toml", "")
    said = why(painted, "paint.png")
    assert said["rule"] == "generator" and "no generator 'paint'" in said["detail"]


def test_inputs_must_be_there_or_come_back_themselves(painted: Checkout) -> None:
    painted.regenstore("verify", "small.png")
    assert why(painted, "small.png")["rule"] == "proven"  # its input is in the store
    gone = stored(painted, "paint.png")
    data = gone.read_bytes()
    gone.unlink()
    said = why(painted, "small.png")
    assert (said["rule"], said["state"]) == ("inputs", "kept")
    assert said["detail"] == "paint.png: no second run has proved that its take comes back"
    gone.write_bytes(data)
    painted.regenstore("verify", "paint.png")
    gone.unlink()
    assert why(painted, "small.png")["state"] == "evictable"
    assert why(painted, "paint.png")["stored"] is False


def test_an_imported_input_that_is_lost_keeps_what_was_made_from_it(film: Checkout) -> None:
    film.regenstore("new", "plain.png", "-g", "procedural.image", "-p", "prompt=plain", *SMALL)
    photo = film.read("plain.png")
    film.write("refs/still.png", photo + b"trailing bytes: a file of its own")
    film.git("add", "refs/still.png")
    film.regenstore("new", "small.png", "-g", "derive.image", "-i", "source=refs/still.png", "-p", "width=32")
    film.commit("small")
    film.regenstore("verify", "small.png")
    assert why(film, "small.png")["rule"] == "proven"
    stored(film, "refs/still.png").unlink()
    said = why(film, "small.png")
    assert said["rule"] == "inputs" and "imported media" in said["detail"]


def test_bytes_that_another_recipe_keeps_are_kept(painted: Checkout) -> None:
    """The same picture from another key, and then as imported media."""
    painted.regenstore("verify", "paint.png")
    painted.regenstore("new", "twin.png", "-g", "paint", "-p", "level=9", "-p", "kind=still")
    assert painted.read("twin.png") == painted.read("paint.png")
    painted.git("add", "twin.png")
    said = why(painted, "paint.png")
    assert (said["rule"], said["state"]) == ("shared", "kept") and "no second run" in said["detail"]
    painted.regenstore("verify", "twin.png")
    assert why(painted, "paint.png")["state"] == "evictable"
    painted.git("commit", "-q", "-m", "twins")
    digest, size = said["take"], said["size"]
    text = f'regenstore = 1\n\n[output]\nname = "main"\nmedia_type = "image/png"\ndigest = "{digest}"\nsize = {size}\n'
    blob = painted.git("hash-object", "-w", "--stdin", stdin=text.encode())
    painted.git("update-index", "--add", "--cacheinfo", f"100644,{blob},photo.png")
    painted.git("stash", "-q")
    said = why(painted, "paint.png")
    assert said["rule"] == "shared" and "imported media" in said["detail"]


def test_a_recipe_that_cannot_be_read_keeps_the_digests_that_it_mentions(film: Checkout) -> None:
    film.regenstore("verify", "plates/sea.png")
    digest = why(film, "plates/sea.png")["take"]
    blob = film.git("hash-object", "-w", "--stdin", stdin=f"regenstore = 2\nfuture = '{digest}'\n".encode())
    film.git("tag", "newer", blob)
    assert why(film, "plates/sea.png")["rule"] == "shared"
    film.git("tag", "-d", "newer")
    assert why(film, "plates/sea.png")["rule"] == "proven"


def test_cost_dependents_and_roots(painted: Checkout) -> None:
    painted.git("tag", "v1")
    made, source = why(painted, "small.png"), why(painted, "paint.png")
    assert made["cost"]["closure"] == made["cost"]["own"] > 0
    assert (source["input_of"], made["input_of"]) == (["small.png"], [])
    assert {"HEAD", "refs/heads/main", "refs/tags/v1", "index", "HEAD (reflog)"} <= set(source["roots"])
    said = painted.regenstore("why", "paint.png")
    assert "and 2 more" in said and "input of  small.png" in said
    stored(painted, "paint.png").unlink()
    made = why(painted, "small.png")
    assert made["cost"]["closure"] == pytest.approx(made["cost"]["own"] + source["cost"]["own"])
    assert "with the inputs that are not in the store" in painted.regenstore("why", "small.png")


def test_what_no_root_holds_any_more(painted: Checkout) -> None:
    painted.regenstore("new", "draft.png", "-g", "paint", "-p", "level=77")
    assert why(painted, "draft.png")["roots"] == []  # made, and not added yet
    painted.git("add", "draft.png")
    assert why(painted, "draft.png")["roots"] == ["index"]


def test_a_path_with_nothing(film: Checkout) -> None:
    assert film.run("regenstore", "why", "none.png", check=False).returncode == 3
