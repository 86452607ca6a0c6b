"""find: media by what their recipes say."""

from __future__ import annotations

import json
from typing import Any

import pytest

from regenstore.errors import InvalidInput
from regenstore.objects import toml
from regenstore.objects.ids import Digest
from regenstore.objects.recipe import Input, Output, Recipe, Take
from regenstore.objects.search_text import search_text, values
from regenstore.tracked.query import expression, is_expression
from tests.conftest import Checkout, noise

GRAPH = {
    "3": {"class_type": "KSampler", "inputs": {"seed": "18446744073709551615", "model": ["4", 0], "on": True}},
    "dotted.name": {"class_type": "Note", "inputs": {"text": 'two\nlines, "quoted" \\ back'}},
}
PORTRAIT = Recipe(
    "comfyui",
    "1",
    Output("image/png", take=Take(Digest(b"\x01" * 32), 12_000_000), seconds=3.5),
    model={"name": "xl/SDXL_base.safetensors", "files": {"detail.safetensors": {"role": "lora"}, "v": {"role": "vae"}}},
    params={
        "prompt": "A Lighthouse\nat dusk, seed=99",
        "seed": 42,
        "cfg": 7.0,
        "width": 832,
        "height": 1216,
        "loras": [{"name": "film.safetensors", "strength": 0.8}],
        "nodes": GRAPH,
    },
    inputs={"image": Input(Digest(b"\x02" * 32), "refs/face.png")},
    about={"tags": ["keep", "hero"], "captured": "graph"},
)


@pytest.mark.parametrize(
    ("argument", "found"),
    [
        ("seed=42", True),
        ("seed=42.0", True),
        ("seed=4.2e1", True),
        ("seed=0.042k", True),
        ("cfg=7", True),
        ("seed=99", False),  # a prompt's text is no field
        ("seed=18446744073709551615", True),  # at any depth, exactly
        ("seed=18446744073709551614", False),
        ("seed>18446744073709551614", True),
        ("nodes.3.inputs.seed=42", False),
        ("class_type=ksampler", True),
        ("nodes.3.class_type=KSampler", True),
        ("des.3.class_type=KSampler", False),
        ("nodes.dotted.name.class_type=Note", True),
        ("text~\nlines", True),
        ('text~"quoted" \\', True),
        ("on=true", True),
        ("on=1", False),
        ("prompt~lighthouse", True),
        ('prompt~"lighthouse"', True),
        ("prompt~/light.?house\\s+at/", True),
        ("prompt~/^light/", False),
        ("prompt=a lighthouse*", True),
        ("prompt=*lighthouse", False),
        ("model=sdxl*", True),
        ("model=xl/*", True),
        ("model!=sdxl*", False),
        ("model!=flux*", True),
        ("lora=film*", True),
        ("lora~detail", True),
        ("lora=v", False),
        ("strength>=0.8", True),
        ("strength>0.8", False),
        ("size>=1216", True),
        ("size>1216", False),
        ("width=832", True),
        ("bytes>10MB", True),
        ("bytes<12m", False),
        ("seconds<4", True),
        ("tag=hero", True),
        ("tag!=keep", False),
        ("about.tags=keep", True),
        ("captured=graph", True),
        ("generator=comfyui", True),
        ("type=image/*", True),
        ("input=face.png", True),
        ("digest~0101", True),
        ("scheduler?", False),
        ("scheduler!=*", True),
        ("lora?", True),
        ("steps<5", False),
    ],
)
def test_what_an_expression_finds(argument: str, found: bool) -> None:
    assert is_expression(argument)
    one = expression(argument)
    told = [value for text in search_text(PORTRAIT) for _, value in values(text, one.name)]
    assert (any(map(one.holds, told)) != one.negated) is found
    whole = "".join(search_text(PORTRAIT)).lower()  # SQLite looks for one of the parts first
    assert not found or not one.parts or any(part.lower() in whole for part in one.parts)


@pytest.mark.parametrize("argument", ["cfg>high", "prompt~/(/", "bytes>1x"])
def test_an_expression_that_cannot_be_meant(argument: str) -> None:
    with pytest.raises(InvalidInput, match=r"bytes>1x|not a"):
        expression(argument)


def test_paths_are_no_expressions() -> None:
    assert not any(map(is_expression, ["shots/a=b.png", "./a=b", "*.png", "shots", "a?.png", "7=x"]))


def test_in_the_index_in_a_revision_and_in_history(film: Checkout) -> None:
    def found(*arguments: str, code: int = 0) -> list[dict[str, Any]]:
        done = film.run("regenstore", "find", *arguments, "--json", check=False)
        assert done.returncode == code, done.stderr.decode()
        return json.loads(done.stdout)["found"]

    first = film.git("rev-parse", "HEAD")
    film.git("switch", "-q", "-c", "side")
    film.regenstore("set", "plates/sea.png", "seed=7")
    seven = film.commit("Seven")
    film.git("switch", "-q", "-")
    film.write("graphs/a b.png", toml.encode(PORTRAIT))
    film.git("add", "-A")

    assert [each["path"] for each in found("prompt~STORM")] == ["plates/sea.png"]
    assert [each["path"] for each in found("generator=imported")] == ["refs/photo.png"]
    assert found("seed=42", "width<100") == [
        {
            "path": "plates/sea.png",
            "blob": film.git("rev-parse", ":plates/sea.png"),
            "commit": None,
            "values": {"seed": [42], "width": [64]},
        }
    ]
    assert [each["path"] for each in found("seed?", "graphs")] == ["graphs/a b.png"]
    assert found("seed=7", code=1) == [] and found("seed=42", "refs", code=1) == []
    assert [each["path"] for each in found("seed=7", "--rev", "side")] == ["plates/sea.png"]
    listed = {(each["path"], each["commit"]) for each in found("seed?", "--all")}
    assert listed == {("plates/sea.png", seven), ("plates/sea.png", first), ("graphs/a b.png", None)}

    # What the database keeps is only a copy, and what it cannot keep is read again.
    (film.store / "results.sqlite").unlink()
    assert len(found("seed=42")) == 2
    film.regenstore("doctor", "--rebuild")
    assert len(found("seed=42")) == 2
    film.write("plates/broken.png", b"regenstore = 1\nnot a recipe\n" + noise("x", 10).hex().encode())
    broken = film.git("hash-object", "-w", "--no-filters", "plates/broken.png")
    film.git("update-index", "--add", "--cacheinfo", f"100644,{broken},plates/broken.png")
    done = film.run("regenstore", "find", "seed=42")
    assert b"1 recipe could not be read" in done.stderr
    (film.path / "graphs").joinpath("sub").mkdir()
    inside = film.run("regenstore", "-C", "graphs", "find", "class_type=ksampler", "-z")
    assert inside.stdout == b"a b.png\0"
