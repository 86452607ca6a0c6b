"""What people see of doctor, and its exit codes."""

from __future__ import annotations

import json
import os

from tests.conftest import Checkout


def test_a_healthy_repository(film: Checkout) -> None:
    said = film.regenstore("doctor")
    assert "ok       git filter: the filter starts and answers" in said
    assert said.endswith("all is well\n")


def test_a_problem_has_a_remedy_and_exit_code_1(film: Checkout) -> None:
    film.git("config", "filter.regenstore.process", "/nowhere/regenstore-filter process")
    film.git("config", "merge.renormalize", "true")
    done = film.run("regenstore", "doctor", check=False)
    said = done.stdout.decode()
    assert done.returncode == 1
    assert "problem  git filter: the filter does not start" in said and "Reinstall regenstore" in said
    assert "2 of " in said and "findings need a look" in said
    film.regenstore("init")
    assert film.run("regenstore", "doctor").returncode == 0  # a warning alone is no problem


def test_json(film: Checkout) -> None:
    data = json.loads(film.regenstore("doctor", "--json"))
    assert (data["type"], data["version"]) == ("regenstore.doctor", 1)
    assert all(set(f) == {"check", "level", "message", "remedy"} for f in data["findings"])
    assert {f["level"] for f in data["findings"]} <= {"ok", "note", "warning", "problem"}


def test_rebuild(film: Checkout) -> None:
    for path in film.store.glob("results.sqlite*"):
        path.unlink()
    assert "no result database" in film.regenstore("doctor")
    said = film.regenstore("doctor", "--rebuild")
    assert "recipe blobs in Git: 2; results to record: 1" in said
    for name in ("plates/sea.png", "refs/photo.png"):
        os.utime(film.path / name)
    assert film.status() == ""
    assert "the old database is" in film.regenstore("doctor", "--rebuild")


def test_outside_a_repository(film: Checkout) -> None:
    above = Checkout(film.path.parent, film.environment)
    for command in ("doctor", "fsck"):
        assert above.run("regenstore", command, check=False).returncode == 3
