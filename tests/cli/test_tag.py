"""Labels are versioned with the recipe, and change no medium."""

from __future__ import annotations

import json

import pytest

from regenstore.objects import toml


def about(film, name: str) -> dict:
    return dict(toml.decode(film.blob(name)).about)


def test_labels_are_written_and_change_no_medium(film):
    before = film.read("plates/sea.png")
    key = film.regenstore("show", "--key", "plates/sea.png")
    film.regenstore("tag", "plates/sea.png", "scene=sc010", "characters=ann,bob", "rating=4", "quality=0.75")
    film.regenstore("tag", "plates/sea.png", "tags+=night", "tags+=sea,night", "characters-=bob", "rating=5")
    assert film.status() == " M plates/sea.png"
    film.git("add", "plates/sea.png")
    assert about(film, "plates/sea.png") == {
        "scene": "sc010", "characters": ["ann"], "tags": ["night", "sea"], "rating": 5, "quality": 0.75,
    }  # fmt: skip
    assert film.read("plates/sea.png") == before
    assert film.regenstore("show", "--key", "plates/sea.png") == key
    film.git("commit", "-q", "-m", "labels")
    assert film.status() == ""
    film.regenstore("tag", "plates/sea.png", "--remove", "rating")
    told = json.loads(film.regenstore("tag", "plates/sea.png", "--json"))
    assert "rating" not in told["labels"]["plates/sea.png"]


def test_imported_media_and_recipe_texts_take_labels_too(film):
    film.regenstore("drop", "plates/sea.png")
    film.regenstore("tag", "refs/photo.png", "plates/sea.png", "scene=a b=c")
    assert film.is_recipe("plates/sea.png") and not film.is_recipe("refs/photo.png")
    film.git("add", "-A")
    assert about(film, "refs/photo.png")["scene"] == about(film, "plates/sea.png")["scene"] == "a b=c"
    film.git("commit", "-q", "-m", "labels")
    film.regenstore("get")
    assert film.status() == ""


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["scene=a", "plates/sea.png"], "expected a label"),
        (["rating=good"], "'rating' is a number"),
        (["edited_from=x"], "is not a label name"),
        (["a b=x"], "is not a label name"),
        (["tags-=nothing"], "'tags' has no 'nothing'"),
        (["--remove", "rating"], "there is no label 'rating'"),
    ],
)
def test_what_is_no_label_is_refused(film, given, told):
    done = film.run("regenstore", "tag", "plates/sea.png", *given, check=False)
    assert done.returncode == 2 and told in done.stderr.decode()
    assert film.status() == ""
