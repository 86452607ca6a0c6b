"""pin, unpin, pins: a pin is a root that git keeps, and that travels with its reason."""

from __future__ import annotations

import json

from blake3 import blake3

from tests.conftest import Checkout


def key_of(film: Checkout, path: str) -> str:
    return film.regenstore("show", "--key", path).strip()


def pins(film: Checkout) -> list[dict[str, object]]:
    data = json.loads(film.regenstore("pins", "--json"))
    assert (data["type"], data["version"]) == ("regenstore.pins", 1)
    return data["pins"]


def test_a_pin_by_path_is_listed_and_taken_away(film: Checkout) -> None:
    assert film.regenstore("pins") == "Nothing is pinned.\n"
    film.regenstore("pin", "plates/sea.png", "--reason", "approved, as it is\n\nby Ada – 50 %")
    key = key_of(film, "plates/sea.png")
    (pin,) = pins(film)
    assert (pin["subject"], pin["paths"]) == (key, ["plates/sea.png"])
    assert pin["reason"] == "approved, as it is\n\nby Ada – 50 %"
    assert film.git("rev-parse", f"refs/regenstore/pins/{key[4:]}^{{}}") == pin["blob"]
    assert film.git("rev-parse", "HEAD:plates/sea.png") == pin["blob"]
    assert film.status() == ""
    said = film.regenstore("pins")
    assert key in said and "plates/sea.png" in said and "by Ada" in said
    film.regenstore("unpin", "plates/sea.png")
    assert pins(film) == []
    assert film.git("for-each-ref", "refs/regenstore") == ""


def test_pinning_again_replaces_the_reason(film: Checkout) -> None:
    for reason in ("first", "second", ""):
        film.regenstore("pin", "plates/sea.png", "--reason", reason)
        assert [pin["reason"] for pin in pins(film)] == [reason or None]


def test_a_key_is_pinned_wherever_git_has_its_recipe(film: Checkout) -> None:
    key = key_of(film, "plates/sea.png")
    film.git("rm", "-q", "plates/sea.png")
    film.git("commit", "-q", "-m", "gone")
    film.regenstore("pin", key)
    (pin,) = pins(film)
    assert pin["paths"] == [] and pin["blob"] == film.git("rev-parse", "HEAD~1:plates/sea.png")
    film.regenstore("unpin", key)
    film.regenstore("pin", key.removeprefix("key:"), "--reason", "bare digits")
    assert [found["subject"] for found in pins(film)] == [key]


def test_a_key_that_only_the_result_cache_knows(film: Checkout) -> None:
    before = key_of(film, "plates/sea.png")
    film.regenstore("set", "plates/sea.png", "seed=43")
    other = key_of(film, "plates/sea.png")
    film.regenstore("set", "plates/sea.png", "seed=42")
    assert before == key_of(film, "plates/sea.png") != other
    film.regenstore("pin", other)
    blob = film.run("git", "cat-file", "blob", str(pins(film)[0]["blob"])).stdout
    assert b"seed = 43" in blob and b'digest = "blake3:' in blob


def test_imported_media_are_pinned_by_their_digest(film: Checkout) -> None:
    film.regenstore("pin", "refs/photo.png", "--reason", "cleared")
    (pin,) = pins(film)
    assert str(pin["subject"]).startswith("blake3:") and pin["paths"] == ["refs/photo.png"]
    film.git("rm", "-q", "refs/photo.png")
    film.regenstore("unpin", str(pin["subject"]))
    assert pins(film) == []
    film.regenstore("pin", str(pin["subject"]))
    assert pins(film)[0]["blob"] == pin["blob"]


def test_git_gc_keeps_what_only_a_pin_names(film: Checkout) -> None:
    film.regenstore("new", "plates/fog.png", "-g", "procedural.image", "-p", "prompt=fog", "-p", "width=64")
    film.regenstore("pin", "plates/fog.png", "--reason", "look")
    film.write("plates/fog.png", b"")
    (film.path / "plates" / "fog.png").unlink()
    film.git("gc", "-q", "--prune=now")
    film.git("pack-refs", "--all")
    (pin,) = pins(film)
    assert b'prompt = "fog"' in film.run("git", "cat-file", "blob", str(pin["blob"])).stdout
    assert pin["reason"] == "look"


def test_a_pin_travels_with_its_reason(film: Checkout) -> None:
    film.regenstore("pin", "plates/sea.png", "--reason", "for the trailer")
    other = Checkout(film.path.parent / "other", film.environment)
    film.git("clone", "-q", "--no-checkout", str(film.path), str(other.path))
    assert pins(other) == []
    other.git("fetch", "-q", "origin", "refs/regenstore/pins/*:refs/regenstore/pins/*")
    assert [pin["reason"] for pin in pins(other)] == ["for the trailer"]


def test_pins_that_somebody_made_by_hand_are_read(film: Checkout) -> None:
    blob = film.git("rev-parse", "HEAD:plates/sea.png")
    film.git("update-ref", "refs/regenstore/pins/by-hand", blob)
    film.git("update-ref", "refs/regenstore/pins/odd", "HEAD")
    (pin,) = pins(film)
    assert (pin["blob"], pin["reason"], pin["created"]) == (blob, None, None)


def test_nobody_has_to_have_a_name(film: Checkout) -> None:
    nameless = {name: value for name, value in film.environment.items() if not name.startswith("GIT_COMMITTER")}
    unnamed = Checkout(film.path, nameless)
    unnamed.git("config", "user.useConfigOnly", "true")
    unnamed.regenstore("pin", "plates/sea.png", "--reason", "x")
    assert len(pins(unnamed)) == 1


def test_what_cannot_be_pinned_says_why(film: Checkout) -> None:
    for arguments, code, message in (
        (("pin", "none.png"), 3, b"no such file"),
        (("pin", "key:" + "0" * 64), 3, b"no recipe is known for key:000"),
        (("unpin", "plates/sea.png"), 3, b"plates/sea.png is not pinned"),
        (("unpin", "0" * 64), 3, b"is not pinned"),
        (("pin", "../outside.png"), 2, b"outside"),
    ):
        done = film.run("regenstore", *arguments, check=False)
        assert done.returncode == code and message in done.stderr, (arguments, done.stderr)
    assert pins(film) == []


def test_a_pin_keeps_bytes_that_were_never_added(film: Checkout) -> None:
    film.write("shots/paint.png", b"\x89PNG\r\n\x1a\n" + b"by hand" * 50)
    film.regenstore("pin", "shots/paint.png")
    hexa = blake3((film.path / "shots/paint.png").read_bytes()).hexdigest()
    assert (film.store / "vault" / hexa[:2] / hexa[2:]).exists()
