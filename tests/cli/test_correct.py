"""Corrections, the whole way: a take made on two processors comes back to the byte from runs on one.

The generator is a real program that sums in float32, in as many parts as it may use processors: a few of
its pixels are off by one when that number changes, as with any renderer.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from regenstore.objects.corrections import decode
from tests.conftest import Checkout

SUMMING = f"""#!{sys.executable}
import os, pathlib, sys
import numpy as np
from PIL import Image, PngImagePlugin
parts = len(os.sched_getaffinity(0))
with open(pathlib.Path(__file__).with_suffix(".runs"), "a") as runs:
    runs.write(f"{{parts}}\\n")
y, x = np.mgrid[0:300, 0:400].astype(np.float32)
terms = [np.sin(x * np.float32(k) / 97 + y / (k + 3)) * np.float32(40 / k) for k in range(1, 65)]
terms = [np.full_like(x, 3000), *terms, np.full_like(x, -3000)]
total = np.float32(0)
for part in range(parts):
    some = np.float32(0)
    for term in terms[part::parts]:
        some = some + term
    total = total + some
if sys.argv[2] == "restless":
    total = total + np.random.default_rng().normal(0, 0.2, total.shape)
pixels = np.stack([total + shift for shift in (128, 120, 110)], -1).clip(0, 255).round().astype(np.uint8)
text = PngImagePlugin.PngInfo()
text.add_text("prompt", '{{"1": {{"class_type": "Summing"}}}}')
Image.fromarray(pixels).save(sys.argv[1], "PNG", pnginfo=text, compress_level=4)
"""
DECLARED = """
[generators.summing]
version = "1"
command = ["tools/summing", "{output}", "{mood}"]
media_type = "image/png"
[generators.summing.params.mood]
type = "string"
"""

pytestmark = pytest.mark.skipif(
    not hasattr(os, "sched_getaffinity") or len(os.sched_getaffinity(0)) < 2, reason="needs two processors"
)


class Machine:
    """A number of processors of this machine, as the programs see it."""

    def __init__(self, film: Checkout, count: int) -> None:
        self._film = film
        self._count = count

    def run(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[bytes]:
        before = os.sched_getaffinity(0)
        os.sched_setaffinity(0, sorted(before)[: self._count])  # what is started inherits it
        try:
            return self._film.run(*command, check=check)
        finally:
            os.sched_setaffinity(0, before)


@pytest.fixture
def one(summing: Checkout) -> Machine:
    return Machine(summing, 1)


@pytest.fixture
def two(summing: Checkout) -> Machine:
    return Machine(summing, 2)


@pytest.fixture
def summing(film: Checkout) -> Checkout:
    film.write("tools/summing", SUMMING).chmod(0o755)
    film.write(".gitignore", "*.runs\n")
    film.write("regenstore.toml", DECLARED)
    film.regenstore("trust", "--yes")
    Machine(film, 2).run("regenstore", "new", "waves.png", "-g", "summing", "-p", "mood=calm")
    film.commit("waves, on two processors")
    return film


def digest(film: Checkout, name: str) -> str:
    return tomllib.loads(film.blob(name).decode())["output"]["digest"].removeprefix("blake3:")


def stored(film: Checkout, hexa: str) -> list[Path]:
    return [path for tree in ("cache", "vault") if (path := film.store / tree / hexa[:2] / hexa[2:]).exists()]


def lose(film: Checkout, *hexas: str) -> None:
    for hexa in hexas:
        for path in stored(film, hexa):
            path.unlink()


def runs(film: Checkout) -> list[str]:
    return (film.path / "tools" / "summing.runs").read_text().split()


def verified(machine: Machine, name: str = "waves.png") -> dict[str, object]:
    done = machine.run("regenstore", "verify", name, "--json", check=False)
    (row,) = json.loads(done.stdout)["paths"]
    assert (done.returncode == 0) == row["comes_back"]
    return dict(row)


def correction(film: Checkout) -> Path:
    (found,) = (film.store / "corrections").glob("*/*")
    return found


def rule(machine: Machine) -> tuple[str, str]:
    data = json.loads(machine.run("regenstore", "why", "waves.png", "--json").stdout)
    return data["state"], data["rule"]


def test_a_take_of_two_processors_comes_back_from_one(summing: Checkout, one: Machine, two: Machine) -> None:
    take = summing.read("waves.png")
    row = verified(one)
    assert row["tier"] == "equivalent" and row["second"] != row["take"]
    assert row["correction"]["size"] < 0.05 * len(take) and not row["correction"]["reason"]
    assert runs(summing) == ["2", "1", "1"]  # the take, the second run and the third
    base = str(row["second"]).removeprefix("blake3:")
    kept = decode(correction(summing).read_bytes())
    assert kept is not None and (kept.take.hex, kept.base.hex) == (digest(summing, "waves.png"), base)

    assert rule(one) == ("evictable", "corrected")
    assert rule(two) == ("kept", "lapsed")  # nobody ran it on two a second time
    summing.regenstore("drop", "waves.png")
    lose(summing, digest(summing, "waves.png"), base)
    one.run("regenstore", "get", "waves.png")
    assert summing.read("waves.png") == take
    assert runs(summing) == ["2", "1", "1", "1"]
    assert summing.status() == ""


@pytest.mark.heavy
def test_what_a_run_gave_before_is_enough(summing: Checkout, one: Machine) -> None:
    take = summing.read("waves.png")
    verified(one)
    summing.regenstore("drop", "waves.png")
    lose(summing, digest(summing, "waves.png"))
    summing.regenstore("get", "waves.png")
    assert summing.read("waves.png") == take and len(runs(summing)) == 3


@pytest.mark.heavy
def test_a_checkout_brings_it_back(summing: Checkout, one: Machine) -> None:
    take, branch = summing.read("waves.png"), summing.git("branch", "--show-current")
    base = str(verified(one)["second"]).removeprefix("blake3:")
    summing.git("checkout", "-q", "HEAD~1")
    lose(summing, digest_at(summing, branch), base)
    one.run("git", "checkout", "-q", branch)
    assert summing.read("waves.png") == take
    assert summing.status() == ""


def digest_at(film: Checkout, revision: str) -> str:
    return tomllib.loads(film.blob("waves.png", revision).decode())["output"]["digest"].removeprefix("blake3:")


@pytest.mark.heavy
def test_what_is_made_from_it_comes_back_too(summing: Checkout, one: Machine) -> None:
    summing.regenstore("new", "small.png", "-g", "derive.image", "-i", "source=waves.png", "-p", "width=64")
    summing.commit("a small one")
    small = summing.read("small.png")
    base = str(verified(one)["second"]).removeprefix("blake3:")
    summing.regenstore("drop", "small.png")
    lose(summing, digest(summing, "waves.png"), digest(summing, "small.png"), base)
    one.run("regenstore", "get", "small.png")
    assert summing.read("small.png") == small


@pytest.mark.heavy
def test_verifying_again_makes_no_third_run(summing: Checkout, one: Machine, two: Machine) -> None:
    verified(one)
    row = verified(one)
    assert row["comes_back"] and row["tier"] == "equivalent" and len(runs(summing)) == 4
    assert verified(two)["tier"] == "bytes"


@pytest.mark.heavy
def test_a_lost_take_can_be_verified_by_its_correction(summing: Checkout, one: Machine) -> None:
    verified(one)
    lose(summing, digest(summing, "waves.png"))
    assert verified(one)["comes_back"]
    assert stored(summing, digest(summing, "waves.png"))


def test_a_damaged_correction_is_never_applied(summing: Checkout, one: Machine) -> None:
    base = str(verified(one)["second"]).removeprefix("blake3:")
    path = correction(summing)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))
    summing.regenstore("drop", "waves.png")
    take = digest(summing, "waves.png")
    lose(summing, take)
    done = one.run("regenstore", "get", "waves.png", check=False)
    assert not stored(summing, take)
    assert summing.read("waves.png") == stored(summing, base)[0].read_bytes()
    assert b"waves.png" in done.stdout + done.stderr  # it says that other bytes came


def test_a_restless_generator_gets_none(summing: Checkout, one: Machine) -> None:
    summing.regenstore("new", "storm.png", "-g", "summing", "-p", "mood=restless")
    summing.commit("storm")
    row = verified(one, "storm.png")
    assert row["correction"]["reason"]
    assert not (summing.store / "corrections").exists()


@pytest.mark.heavy
def test_people_are_told(summing: Checkout, one: Machine) -> None:
    said = one.run("regenstore", "verify", "waves.png").stdout.decode()
    assert "corrected  waves.png" in said and "of it) gives the take" in said and "1 of 1 take comes back" in said
