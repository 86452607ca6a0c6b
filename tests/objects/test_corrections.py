"""Corrections as files: whole ones come back, damaged, foreign and newer ones are passed over."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regenstore.objects.corrections import Correction, Corrections, decode, encode
from regenstore.objects.hashing import hash_bytes
from regenstore.objects.ids import Digest, RecipeKey

TAKE, BASE = hash_bytes(b"take"), hash_bytes(b"base")
ONE = Correction(RecipeKey(bytes(range(32))), TAKE, 4, BASE, 5, "bytes", "", b"\0\1\2 the difference")

digests = st.binary(min_size=32, max_size=32).map(Digest)
sizes = st.integers(0, 2**64 - 1)
words = st.text(st.characters(codec="ascii"), max_size=255)


@given(
    st.builds(
        Correction,
        st.binary(min_size=32, max_size=32).map(RecipeKey), digests, sizes, digests, sizes, words, words, st.binary(),
    )
)  # fmt: skip
def test_every_correction_comes_back(correction: Correction) -> None:
    assert decode(encode(correction)) == correction


def test_the_file_is_the_documented_one() -> None:
    file = encode(ONE)
    assert file.startswith(b"regencor\x01" + bytes(range(32)) + TAKE.raw + (4).to_bytes(8, "little") + BASE.raw)
    assert file[113:-32] == (5).to_bytes(8, "little") + b"\x05bytes\x00" + ONE.data
    assert file[-32:] == hash_bytes(file[:-32]).raw


def test_any_flipped_bit_and_any_cut_is_seen() -> None:
    file = encode(ONE)
    for at in range(len(file)):
        for bit in (1, 128):
            assert decode(file[:at] + bytes([file[at] ^ bit]) + file[at + 1 :]) is None
        assert decode(file[:at]) is None


def test_newer_ones_are_passed_over() -> None:
    body = bytearray(encode(ONE)[:-32])
    body[8] = 2
    assert decode(bytes(body) + hash_bytes(bytes(body)).raw) is None


@pytest.fixture
def kept(tmp_path: Path) -> Corrections:
    found = Corrections(str(tmp_path))
    found.put(ONE)
    return found


def test_they_are_found_by_take_and_base(kept: Corrections, tmp_path: Path) -> None:
    assert kept.find(TAKE, BASE) == ONE
    assert list(kept.of(TAKE)) == [ONE]
    assert kept.find(BASE, TAKE) is None and not list(kept.of(BASE))
    assert list(kept.paths()) == [kept.path(TAKE, BASE)]
    assert kept.path(TAKE, BASE) == f"{tmp_path}/corrections/{TAKE.hex[:2]}/{TAKE.hex[2:]}-{BASE.hex[:16]}"
    assert not list((tmp_path / "tmp").iterdir())


def test_a_damaged_or_misplaced_one_is_none(kept: Corrections) -> None:
    path = Path(kept.path(TAKE, BASE))
    other = Path(kept.path(BASE, TAKE))
    other.parent.mkdir(parents=True, exist_ok=True)
    other.write_bytes(path.read_bytes())
    assert kept.find(BASE, TAKE) is None and not list(kept.of(BASE))
    path.write_bytes(path.read_bytes()[:-1])
    assert kept.find(TAKE, BASE) is None and not list(kept.of(TAKE))
