"""Ids and digests."""

from __future__ import annotations

import pytest
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st

from regenstore.errors import FormatError
from regenstore.objects.hashing import hash_bytes, hash_fd, hash_file, hash_own_file
from regenstore.objects.ids import Digest, RecipeKey

RAW = bytes(range(32))


def test_text_and_back():
    digest = Digest(RAW)
    assert str(digest) == "blake3:" + RAW.hex()
    assert Digest.parse(str(digest)) == digest
    assert digest.short == RAW.hex()[:12]
    assert str(RecipeKey(RAW)) == "key:" + RAW.hex()


def test_kinds_of_ids_are_never_equal():
    assert Digest(RAW) != RecipeKey(RAW)
    assert len({Digest(RAW), RecipeKey(RAW), Digest(RAW)}) == 2
    assert Digest(RAW) != RAW
    assert sorted([Digest(b"\2" * 32), Digest(b"\1" * 32)])[0].raw == b"\1" * 32


@pytest.mark.parametrize(
    "text",
    [
        "",
        "blake3:",
        RAW.hex(),
        "key:" + RAW.hex(),
        "BLAKE3:" + RAW.hex(),
        "blake3:" + RAW.hex().upper(),
        "blake3:" + RAW.hex()[:-1],
        "blake3:" + RAW.hex() + "0",
        "blake3:" + RAW.hex()[:-2] + "0 ",
        "blake3:" + RAW.hex()[:-1] + "\u0663",
        "blake3:blake3:" + RAW.hex()[7:],
    ],
)
def test_anything_else_is_refused(text):
    with pytest.raises(FormatError) as caught:
        Digest.parse(text)
    assert caught.value.kind == "bad-recipe"


def test_ids_have_32_bytes():
    with pytest.raises(ValueError, match="32"):
        Digest(b"short")


@given(st.binary(max_size=3000), st.integers(1, 40))
def test_all_ways_of_hashing_agree(tmp_path_factory, data, repeat):
    path = tmp_path_factory.mktemp("hash") / "f"
    data *= repeat
    path.write_bytes(data)
    expected = blake3(data).hexdigest()
    assert hash_bytes(data).hex == expected
    assert hash_file(str(path)) == hash_own_file(str(path)) == (Digest.parse(f"blake3:{expected}"), len(data))


def test_large_files_are_hashed_alike(tmp_path):
    path = tmp_path / "large"
    path.write_bytes(bytes(5 << 20) + b"end")
    assert hash_file(str(path)) == hash_own_file(str(path)) == hash_file(bytes(path))


def test_hashing_starts_at_the_present_position(tmp_path):
    path = tmp_path / "f"
    path.write_bytes(b"head and tail")
    with open(path, "rb", buffering=0) as file:
        file.read(9)
        assert hash_fd(file.fileno()) == (hash_bytes(b"tail"), 4)


def test_missing_files_are_the_callers_business(tmp_path):
    with pytest.raises(FileNotFoundError):
        hash_file(str(tmp_path / "none"))
