"""What was computed once per content: kept, and never believed when damaged."""

from __future__ import annotations

import os

import pytest

from regenstore.objects.fact_cache import ContentFacts
from regenstore.objects.hashing import hash_bytes

ONE, TWO = hash_bytes(b"one"), hash_bytes(b"two")


@pytest.fixture
def facts(tmp_path):
    return ContentFacts(str(tmp_path / "store"))


@pytest.mark.parametrize("payload", [b"", b"x", os.urandom(100_000)])
def test_what_was_put_comes_back(facts, payload):
    assert facts.get(ONE, "probe", 1) is None
    assert facts.put(ONE, "probe", 1, payload)
    assert facts.get(ONE, "probe", 1) == payload
    assert facts.get(ONE, "probe", 2) is None
    assert facts.get(ONE, "frames", 1) is None
    assert facts.get(TWO, "probe", 1) is None


@pytest.mark.parametrize("at", [0, 31, 32, 40, -1])
def test_a_flipped_bit_is_noticed(facts, at):
    facts.put(ONE, "probe", 1, b"payload " * 10)
    path = facts.path(ONE, "probe", 1)
    with open(path, "rb") as file:
        data = bytearray(file.read())
    data[at] ^= 1
    with open(path, "wb") as file:
        file.write(data)
    assert facts.get(ONE, "probe", 1) is None


def test_a_file_of_another_content_is_not_believed(facts):
    facts.put(ONE, "probe", 1, b"of one")
    os.makedirs(os.path.dirname(facts.path(TWO, "probe", 1)), exist_ok=True)
    os.rename(facts.path(ONE, "probe", 1), facts.path(TWO, "probe", 1))
    assert facts.get(TWO, "probe", 1) is None


def test_a_truncated_file_and_a_bomb_are_no_facts(facts):
    facts.put(ONE, "probe", 1, os.urandom(1000))
    path = facts.path(ONE, "probe", 1)
    os.truncate(path, 500)
    assert facts.get(ONE, "probe", 1) is None


def test_a_store_that_cannot_be_written_keeps_none(tmp_path):
    (tmp_path / "file").write_text("no folder")
    assert not ContentFacts(str(tmp_path / "file")).put(ONE, "probe", 1, b"x")


def test_a_kind_is_a_word(facts):
    with pytest.raises(ValueError, match="no kind"):
        facts.get(ONE, "../x", 1)
