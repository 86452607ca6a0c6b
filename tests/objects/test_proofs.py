"""Proofs in the result cache, and databases from before there were any."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from regenstore.errors import FormatError
from regenstore.objects import toml
from regenstore.objects.hashing import hash_bytes
from regenstore.objects.ids import RecipeKey
from regenstore.objects.recipe import Input, Output, Recipe
from regenstore.objects.result import Proof
from regenstore.objects.results import database
from regenstore.objects.results.cache import ResultCache

KEY = RecipeKey(bytes(range(32)))
TAKE, SECOND = hash_bytes(b"take"), hash_bytes(b"second")
PROOF = Proof(KEY, TAKE, SECOND, "equivalent", "PSNR", 61.5, 45.0, 2.5, 1000.0, {"library": "1", "machine": "x"})


def test_proofs_come_back_as_they_were_newest_first(tmp_path: Path) -> None:
    cache = ResultCache(str(tmp_path))
    exact = PROOF._replace(
        tier="bytes", second=TAKE, metric="", score=None, threshold=None, fingerprint={}, created=2000.0
    )
    cache.add_proof(PROOF)
    cache.add_proof(exact)
    assert ResultCache(str(tmp_path)).proofs(KEY, TAKE) == [exact, PROOF]
    assert cache.proofs(KEY, SECOND) == []
    assert [proof.proves for proof in (exact, PROOF, PROOF._replace(tier="different"))] == [True, True, False]


def test_the_newest_proof_of_an_environment_replaces_the_one_before(tmp_path: Path) -> None:
    cache = ResultCache(str(tmp_path))
    later = PROOF._replace(tier="different", created=3000.0, fingerprint={"machine": "x", "library": "1"})
    cache.add_proof(PROOF)
    cache.add_proof(later)
    assert cache.proofs(KEY, TAKE) == [later]
    lucky = PROOF._replace(tier="bytes", second=TAKE, created=4000.0)
    cache.add_proof(lucky)
    assert cache.proofs(KEY, TAKE) == [lucky, later]  # what gave other bytes once is not forgotten
    assert list(cache.every_proof()) == [lucky, later]


def test_proofs_of_version_3_stay_and_inputs_of_its_recipes_are_read_when_asked_for(tmp_path: Path) -> None:
    plate = Recipe("g", "1", Output("image/png"), inputs={"a": Input(TAKE), "b": Input(SECOND)})
    assert plate.key is not None
    with sqlite3.connect(tmp_path / "results.sqlite") as db:
        for step in database._STEPS[:3]:
            for statement in step.split(";"):
                db.execute(statement)
        db.execute("INSERT INTO recipe VALUES (?, ?)", (plate.key.raw, toml.encode(plate)))
        row = (KEY.raw, TAKE.raw, '{"library": "1", "machine": "x"}', SECOND.raw)
        db.execute("INSERT INTO proof VALUES (?, ?, ?, ?, 'equivalent', 'PSNR', 61.5, 45.0, 2.5, 1000.0)", row)
        db.execute("PRAGMA user_version = 3")
    db.close()
    cache = ResultCache(str(tmp_path))
    assert cache.proofs(KEY, TAKE) == [PROOF]
    assert cache.inputs([plate.key, KEY]) == {plate.key: (TAKE, SECOND)}
    cache.close()
    with sqlite3.connect(tmp_path / "results.sqlite") as db:
        assert db.execute("SELECT inputs FROM recipe").fetchone()[0] == TAKE.raw + SECOND.raw
    db.close()


def test_a_database_of_version_1_is_taken_over_whole(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "results.sqlite") as db:
        for statement in database._SCHEMA.split(";"):
            db.execute(statement)
        db.execute("INSERT INTO recipe VALUES (?, ?)", (KEY.raw, b"text"))
        db.execute("PRAGMA user_version = 1")
    db.close()
    cache = ResultCache(str(tmp_path))
    cache.add_proof(PROOF)
    cache.close()
    with sqlite3.connect(tmp_path / "results.sqlite") as db:
        assert db.execute("PRAGMA user_version").fetchone()[0] == database.SCHEMA_VERSION
        assert db.execute("SELECT text FROM recipe").fetchall() == [(b"text",)]
        assert db.execute("SELECT count(*) FROM proof").fetchone()[0] == 1
    db.close()


def test_a_database_from_the_future_is_refused_untouched(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "results.sqlite") as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(FormatError) as raised:
        ResultCache(str(tmp_path)).add_proof(PROOF)
    assert raised.value.kind == "newer-store"
