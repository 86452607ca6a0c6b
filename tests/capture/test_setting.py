"""Changing captured recipes: the value of the graph that a name means, without the program that made the medium."""

from __future__ import annotations

import json

import pytest

from regenstore.errors import InvalidInput
from regenstore.objects import toml
from regenstore.tracked.captured_params import changed, parsed
from tests.capture.pictures import INFOTEXT, graph, png
from tests.conftest import Checkout


def test_set_changes_the_value_in_the_graph(empty: Checkout) -> None:
    second = {**graph()["3"], "inputs": {**graph()["3"]["inputs"], "seed": 5, "steps": 7, "latent_image": ["3", 0]}}
    hires = {**graph(), "12": second}
    hires["8"]["inputs"]["samples"] = ["12", 0]
    empty.write("light.png", png({"prompt": json.dumps(hires)}))
    empty.write("params.png", png({"parameters": INFOTEXT}))
    empty.commit("captured")

    def set_value(*settings: str, path: str = "light.png") -> list[str]:
        empty.regenstore("set", path, *settings, "--no-generate")
        lines = empty.git("diff", "-U0", path).splitlines()
        empty.git("checkout", "-q", path)
        return [
            line
            for line in lines
            if line[0] in "+-" and not line.startswith(("---", "+++", "-digest", "-size", "-key"))
        ]

    assert set_value("seed=7", "sampler=dpmpp_2m") == [
        '-sampler = "euler"', '+sampler = "dpmpp_2m"', "-seed = 156680208700286", "+seed = 7",
    ]  # fmt: skip
    assert set_value("seed@12=18446744073709551615") == ["-seed = 5", '+seed = "18446744073709551615"']
    assert set_value("cfg=6.5", path="params.png")[:2] == ["-cfg = 7", "+cfg = 6.5"]
    for wrong, said in (("seed=x", "a number"), ("sead=1", "no value 'sead'"), ("lora@12=1", "node 12 has no value")):
        done = empty.run("regenstore", "set", "light.png", wrong, "--no-generate", check=False)
        assert done.returncode == 2
        assert said in done.stderr.decode()
    # What cannot be made here is not replaced either.
    done = empty.run("regenstore", "set", "light.png", "seed=7", check=False)
    assert done.returncode == 3
    assert b"there is no generator 'comfyui'" in done.stderr
    assert empty.status() == ""
    assert empty.read("light.png").startswith(b"\x89PNG")


def test_a_name_that_several_nodes_have_is_listed_with_them() -> None:
    empty_nodes = {"a": {"class_type": "A", "inputs": {"amount": 1}}, "b": {"class_type": "B", "inputs": {"amount": 2}}}
    with pytest.raises(InvalidInput) as caught:
        changed({"nodes": empty_nodes}, {"amount": "3"}, ())
    assert caught.value.kind == "ambiguous-parameter"
    assert "amount@a = 1 (A)" in caught.value.message
    assert "amount@b = 2 (B)" in caught.value.message
    assert changed({"nodes": empty_nodes}, {"amount@b": "3"}, ())["nodes"]["b"]["inputs"] == {"amount": 3}


def test_values_keep_their_types() -> None:
    assert parsed("x", "yes", False) is True
    assert parsed("x", "2.5", 1) == 2.5
    assert parsed("x", "12", "a prompt") == "12"
    assert parsed("seed", str(2**63), 1) == 2**63
    assert changed({"seed": 1}, {"seed": str(2**63)}, ()) == {"seed": str(2**63)}
    assert parsed("seed", "3", str(2**63)) == 3
    for present, text in ((True, "3"), (1, "nan"), (1, "a"), ([1], "2"), ({}, "2")):
        with pytest.raises(InvalidInput):
            parsed("x", text, present)


def test_labels_say_only_what_holds_for_the_take(empty: Checkout) -> None:
    """A medium made anew at the path tells nothing of how the captured one was made."""
    empty.write("light.png", png({"parameters": INFOTEXT}))
    empty.commit("captured")
    assert "settings" in toml.decode(empty.blob("light.png")).about["embedded"]
    empty.write("light.png", png({"parameters": INFOTEXT.replace(", Version: v1.10.1", "")}, 4))
    empty.git("add", "light.png")
    told = toml.decode(empty.blob("light.png")).about
    assert "Version" not in told["embedded"]["settings"]
    assert told["program"] == "AUTOMATIC1111 or alike"
    empty.write("light.png", png({}, 5))
    empty.git("add", "light.png")
    assert set(toml.decode(empty.blob("light.png")).about) == {"edited_from"}
