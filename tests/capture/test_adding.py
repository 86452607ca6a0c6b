"""git add of media whose metadata tell how they were made: what the recipe says, and that nothing is lost by it."""

from __future__ import annotations

import json

from regenstore.objects import toml
from tests.capture.pictures import INFOTEXT, comfyui, png
from tests.conftest import Checkout


def added(film: Checkout, name: str, data: bytes) -> toml.Recipe:
    film.write(name, data)
    film.git("add", name)
    return toml.decode(film.blob(name))


def test_a_picture_of_comfyui_has_its_graph_as_recipe(empty: Checkout) -> None:
    data = comfyui()
    recipe = added(empty, "light.png", data)
    assert (recipe.generator, recipe.captured) == ("comfyui", "graph")
    assert recipe.params["prompt"] == "a lighthouse at dusk"
    assert (recipe.params["seed"], recipe.params["steps"], recipe.params["width"]) == (156680208700286, 20, 512)
    assert recipe.model["name"] == "sd_xl_base_1.0.safetensors"
    assert recipe.output.take is not None and recipe.output.take.size == len(data)
    # Another seed is one line of difference.
    empty.commit("one")
    added(empty, "light.png", comfyui(91, seed=7))
    changed = [
        line for line in empty.git("diff", "--cached", "-U0").splitlines()
        if line.startswith(("+", "-")) and line[1:].split(" ")[0] not in ("++", "--", "digest", "size", "key")
    ]  # fmt: skip
    shown = [line for line in changed if not line.startswith(("+++", "---", "+edited_from"))]
    assert shown == ["-seed = 156680208700286", "+seed = 7"]


def test_a_captured_medium_is_kept_and_comes_back(empty: Checkout) -> None:
    """No run has proven it, so gc keeps it, and a checkout places the very bytes."""
    data = comfyui()
    added(empty, "light.png", data)
    first = empty.commit("one")
    added(empty, "light.png", comfyui(91, seed=7))
    empty.commit("two")
    why = json.loads(empty.regenstore("why", "light.png", "--json"))
    assert (why["state"], why["captured"]) == ("kept", "graph")
    assert why["rule"] in ("unproven", "imported")
    empty.regenstore("gc", "--free", "all", "--yes", check=False)
    empty.git("checkout", "-q", first)
    assert empty.read("light.png") == data
    assert empty.status() == ""
    paths = json.loads(empty.regenstore("status", "--json"))["paths"]
    assert [(each["captured"], each["state"]) for each in paths] == [("graph", "placed")]


def test_labels_stay_when_another_take_is_added(empty: Checkout) -> None:
    added(empty, "light.png", png({"parameters": INFOTEXT}))
    empty.regenstore("tag", "light.png", "scene=harbour")
    empty.git("add", "light.png")
    recipe = added(empty, "light.png", comfyui(91))
    assert (recipe.generator, recipe.captured) == ("comfyui", "graph")
    assert recipe.about["scene"] == "harbour"
    assert recipe.edited_from is not None
    assert recipe.about["program"] == "ComfyUI"
    # Without metadata it is an edit, with the labels and without a level.
    recipe = added(empty, "light.png", png({}, 92))
    assert recipe.imported
    assert recipe.captured is None
    assert recipe.about["scene"] == "harbour"


def test_what_is_taken_can_be_set(empty: Checkout) -> None:
    flow = json.dumps({"nodes": [{"id": 3, "type": "KSampler", "pos": [1, 2]}], "links": [], "version": 0.4})

    def picture(kind: str) -> bytes:
        return png({"prompt": json.dumps({"1": {"class_type": kind, "inputs": {}}}), "workflow": flow})

    assert "workflow" in added(empty, "full.png", picture("A")).extra
    empty.git("config", "regenstore.capture", "lean")
    lean = added(empty, "lean.png", picture("B"))
    assert lean.generator == "comfyui"
    assert not lean.extra
    empty.git("config", "regenstore.capture", "off")
    assert added(empty, "off.png", comfyui(99)).imported
    empty.git("config", "regenstore.capture", "sometimes")
    empty.write("other.png", comfyui(98))
    refused = empty.run("git", "add", "other.png", check=False)
    assert b"full, lean or off" in refused.stderr


def test_media_that_were_imported_before_get_recipes(empty: Checkout) -> None:
    data = {"a.png": comfyui(), "b.png": png({"parameters": INFOTEXT}), "c.png": png({}, 93)}
    for name, picture in data.items():
        empty.write(name, picture)
    empty.git("-c", "regenstore.capture=off", "add", "-A")
    empty.git("commit", "-q", "-m", "imported")
    assert all(toml.decode(empty.blob(name)).imported for name in data)

    def captured(*options: str) -> dict[str, object]:
        found = json.loads(empty.regenstore("capture", "--json", *options, "."))
        return {each["path"]: (each["level"], each["changes"]) for each in found["files"]}

    expected = {"a.png": ("graph", True), "b.png": ("parameters", True), "c.png": (None, False)}
    assert captured("-n") == expected
    assert empty.status() == ""
    assert captured() == expected
    assert {name: empty.read(name) for name in data} == data
    empty.git("add", "-A")
    assert toml.decode(empty.blob("a.png")).generator == "comfyui"
    assert toml.decode(empty.blob("b.png")).generator == "a1111"
    assert toml.decode(empty.blob("c.png")).imported
    assert captured()["a.png"] == ("graph", False)


def test_files_anywhere_can_be_looked_at(empty: Checkout) -> None:
    outside = empty.path.parent / "output"
    outside.mkdir()
    (outside / "x.png").write_bytes(comfyui())
    (outside / "notes.txt").write_text("no medium")
    said = empty.regenstore("capture", str(outside))
    assert "exact graph" in said
    assert "exact graph 1, none 1" in said
    inside = Checkout(empty.path / "sub", empty.environment)
    inside.path.mkdir()
    assert f"../../{outside.name}/x.png" in inside.regenstore("capture", f"../../{outside.name}/x.png")
    elsewhere = Checkout(outside, empty.environment)
    assert "a lighthouse at dusk" in elsewhere.regenstore("capture", "x.png")
    gone = elsewhere.run("regenstore", "capture", "gone.png", check=False)
    assert gone.returncode == 3
    assert b"gone.png: there is no such file" in gone.stderr
