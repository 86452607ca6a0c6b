"""What doctor says of remotes, and that it asks them only when it is told to."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.conftest import Checkout

pytestmark = pytest.mark.heavy


def findings(film: Checkout, *args: str) -> list[tuple[str, str]]:
    told = json.loads(film.run("regenstore", "doctor", "--json", *args, check=False).stdout)["findings"]
    found = [(each["level"], each["message"]) for each in told if each["check"] == "remotes"]
    assert all(each["remedy"] for each in told if each["level"] in ("warning", "problem"))
    return found


def has(found: list[tuple[str, str]], level: str, text: str) -> bool:
    return any(each == level and text in message for each, message in found)


def test_no_remote(film: Checkout) -> None:
    assert has(findings(film), "note", "1 imported medium is on no remote")


def test_asked_and_not_asked(film: Checkout, tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    film.regenstore("remote", "add", "studio", str(shared), "--create")
    assert has(findings(film, "--remotes"), "warning", "1 imported medium is on no remote")
    film.regenstore("push")
    assert has(findings(film), "note", "1 of 1 imported media were not recently read back")
    found = findings(film, "--remotes")
    assert [level for level, _ in found] == ["ok"] and has(found, "ok", "has 1 of 1")
    # gc reads back what it relies on: after it, that is known here.
    film.regenstore("gc", "--dry-run")
    assert has(findings(film), "ok", "1 of 1 remotes can be used; none was contacted") and len(findings(film)) == 1
    shutil.rmtree(shared)
    assert len(findings(film)) == 1
    assert has(findings(film, "--remotes"), "warning", "does not answer")


def test_what_cannot_be_used(film: Checkout) -> None:
    film.write("regenstore.toml", '[remotes.team]\nurl = "https://media.example.org/film"\n')
    film.git("config", "regenstore.remote.odd.url", "gopher://host/x")
    found = findings(film, "--remotes")
    assert has(found, "warning", "declares the remote team") and has(
        found, "warning", "the remote odd (gopher://host/x)"
    )
    film.write("regenstore.toml", '[remotes.team]\nnothing = "x"\n')
    assert has(findings(film), "problem", "remotes.team")
