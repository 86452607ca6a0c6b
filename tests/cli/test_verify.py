"""verify, takes, accept: on a real generator that gives other bytes each time, and on one that does not."""

from __future__ import annotations

import json
import sys
import tomllib
from pathlib import Path

import pytest

from regenstore.objects.hashing import hash_bytes
from tests.conftest import Checkout, built_on, copied

# Each run's picture depends on how often it ran: 'near' changes one value by one, 'far' all of them.
RESTLESS = f"""#!{sys.executable}
import pathlib, sys
from PIL import Image
count = pathlib.Path(__file__).with_suffix(f".{{sys.argv[2]}}.count")
runs = int(count.read_text()) + 1 if count.exists() else 1
count.write_text(str(runs))
level = 100 + (runs * 40 % 150 if sys.argv[2] == "far" else 0)
picture = Image.new("RGB", (64, 48), (level, 120, 140))
picture.putpixel((runs % 64, 3), (level + 1, 120, 140))
picture.save(sys.argv[1], format="PNG")
"""
DECLARED = """
[generators.restless]
version = "1"
command = ["tools/restless", "{output}", "{kind}"]
media_type = "image/png"
[generators.restless.params.kind]
type = "string"
"""


@pytest.fixture(scope="session")
def restless_template(film_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    def build(film: Checkout) -> None:
        film.write("tools/restless", RESTLESS).chmod(0o755)
        film.write(".gitignore", "*.count\n")
        film.write("regenstore.toml", DECLARED)
        film.regenstore("trust", "--yes")
        for kind in ("near", "far"):
            film.regenstore("new", f"{kind}.png", "-g", "restless", "-p", f"kind={kind}")
        film.commit("restless")

    return built_on(tmp_path_factory, "restless-template", film_template, Checkout, build)


@pytest.fixture
def restless(restless_template: Path, tmp_path: Path) -> Checkout:
    return copied(restless_template, tmp_path, Checkout)


def tiers(film: Checkout, *arguments: str) -> dict[str, str]:
    done = film.run("regenstore", "verify", *arguments, "--json", check=False)
    data = json.loads(done.stdout)
    assert (data["type"], data["version"]) == ("regenstore.verify", 1)
    return {row["path"]: row.get("tier", row.get("kind")) for row in data["paths"]}


def test_tiers_of_a_steady_and_of_a_restless_generator(restless: Checkout) -> None:
    before = {name: restless.read(name) for name in ("plates/sea.png", "near.png", "far.png")}
    assert tiers(restless, "--all") == {"plates/sea.png": "bytes", "near.png": "equivalent", "far.png": "different"}
    assert {name: restless.read(name) for name in before} == before
    assert restless.status() == ""


def test_verify_says_how_they_differ_keeps_both_and_fails(restless: Checkout) -> None:
    done = restless.run("regenstore", "verify", "near.png", "far.png", check=False)
    said = done.stdout.decode()
    assert done.returncode == 1
    assert "PSNR" in said and "(at least 45)" in said and "values differ, by at most 1" in said
    assert "both are kept" in said and "1 of 2 takes come back" in said
    assert said.count("it varies: its runs in this environment gave 2 different contents") == 2
    assert restless.run("regenstore", "verify", "plates/sea.png").returncode == 0


def test_only_what_has_no_proof_here_is_run(restless: Checkout) -> None:
    tiers(restless, "plates/sea.png", "near.png")
    assert set(tiers(restless, "--changed")) == {"far.png"}
    assert tiers(restless, "--changed") == {}
    restless.write("tools/restless", RESTLESS + "# another build\n").chmod(0o755)
    restless.regenstore("trust", "--yes")
    assert set(tiers(restless, "--changed")) == {"near.png", "far.png"}  # the environment's fingerprint changed


def test_samples_and_dry_runs(restless: Checkout) -> None:
    assert len(tiers(restless, "--sample", "2")) == 2
    runs = (restless.path / "tools" / "restless.near.count").read_text()
    said = restless.regenstore("verify", "--all", "--dry-run")
    assert said.count("would run") == 3
    assert (restless.path / "tools" / "restless.near.count").read_text() == runs


def test_another_take_is_accepted_and_the_diff_shows_it(restless: Checkout) -> None:
    tiers(restless, "near.png")
    known = json.loads(restless.regenstore("takes", "near.png", "--json"))["takes"]
    past = json.loads(restless.regenstore("history", "near.png", "--json"))["contents"]
    assert {each["digest"]: each["from"] for each in past} == {
        each["digest"]: "commit" if each["recorded"] else "result" for each in known
    }
    assert [(take["recorded"], take["tier"]) for take in known] == [(True, None), (False, "equivalent")]
    restless.regenstore("accept", "near.png")
    assert restless.status() == " M near.png"
    assert f'+digest = "{known[1]["digest"]}"' in restless.git("diff")
    restless.commit("the other one")
    recorded = tomllib.loads(restless.blob("near.png", "HEAD").decode())["output"]["digest"]
    assert recorded == known[1]["digest"] == str(hash_bytes(restless.read("near.png")))
    restless.git("checkout", "-q", "HEAD~1")
    assert str(hash_bytes(restless.read("near.png"))) == known[0]["digest"]  # both are kept
    assert restless.status() == ""


def test_accepting_needs_to_be_clear(restless: Checkout) -> None:
    done = restless.run("regenstore", "accept", "plates/sea.png", check=False)
    assert done.returncode == 2 and b"no other take is known" in done.stderr
    for _ in range(2):
        tiers(restless, "far.png")
    done = restless.run("regenstore", "accept", "far.png", check=False)
    assert done.returncode == 2 and b"not clear which take" in done.stderr
    digest = json.loads(restless.regenstore("takes", "far.png", "--json"))["takes"][2]["digest"]
    restless.regenstore("accept", "far.png", "--take", digest[:16])
    assert str(hash_bytes(restless.read("far.png"))) == digest


def test_what_cannot_be_verified_says_why(restless: Checkout) -> None:
    assert restless.run("regenstore", "verify", check=False).returncode == 2
    assert restless.run("regenstore", "takes", "refs/photo.png", check=False).returncode == 2
    restless.regenstore("trust", "--revoke", "restless")
    assert tiers(restless, "--all")["near.png"] == "untrusted-generator"


def test_a_take_that_is_lost_is_proven_by_coming_back(restless: Checkout) -> None:
    digest = tomllib.loads(restless.blob("plates/sea.png").decode())["output"]["digest"].removeprefix("blake3:")
    (restless.store / "vault" / digest[:2] / digest[2:]).unlink()
    assert tiers(restless, "plates/sea.png") == {"plates/sea.png": "bytes"}
    assert (restless.store / "vault" / digest[:2] / digest[2:]).exists()
