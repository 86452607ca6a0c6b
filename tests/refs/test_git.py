"""Reading Git: blobs by name, ids of blobs, and errors with Git's own words."""

from __future__ import annotations

import os

import pytest

from regenstore.errors import FormatError, NotFound
from regenstore.refs.git import BlobReader, Git, blob_id, file_blob_id
from tests.conftest import Checkout, noise


@pytest.fixture(params=["sha1", "sha256"])
def checkout(tmp_path, environment, request, monkeypatch) -> Checkout:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    folder = tmp_path / "film"
    folder.mkdir()
    made = Checkout(folder, environment)
    made.git("init", "-q", f"--object-format={request.param}")
    return made


def test_blobs_are_read_by_any_name(checkout):
    checkout.write("a b.txt", b"one\n")
    checkout.write("empty", b"")
    checkout.write("large", noise("large", 300_000))
    checkout.commit()
    oid = checkout.git("rev-parse", ":a b.txt")
    with BlobReader(Git(str(checkout.path))) as blobs:
        for name in (oid, "HEAD:a b.txt", ":a b.txt"):
            assert blobs.read(name.encode(), 100) == b"one\n"
        assert blobs.read(b"HEAD:empty", 100) == b""
        for missing in (b"HEAD:none", b"0" * 40, b"", b"HEAD", b"HEAD^{tree}", b"a\nb", b"\xff"):
            assert blobs.read(missing, 100) is None
            assert blobs.read(b":a b.txt", 100) == b"one\n"
        assert blobs.read(b":large", 10) == noise("large", 300_000)[:11]
        assert blobs.read(b":large", 1 << 20) == noise("large", 300_000)


def test_odd_paths_are_read(checkout):
    names = [b"na\xffme", "é\U0001f30a".encode(), b"-leading", b"two words", b'quo"te', b"back\\slash"]
    for name in names:
        with open(os.path.join(os.fsencode(checkout.path), name), "wb") as file:
            file.write(b"<" + name + b">")
    checkout.commit()
    with BlobReader(Git(str(checkout.path))) as blobs:
        for name in names:
            assert blobs.read(b"HEAD:" + name, 100) == b"<" + name + b">"


def test_a_reader_that_was_closed_starts_again(checkout):
    checkout.write("a", b"x")
    checkout.commit()
    blobs = BlobReader(Git(str(checkout.path)))
    assert blobs.read(b":a", 10) == b"x"
    blobs.close()
    blobs.close()
    assert blobs.read(b":a", 10) == b"x"
    blobs.close()


@pytest.mark.parametrize("data", [b"", b"x", b"regenstore = 1\n", bytes(100_000)])
def test_blob_ids_are_gits(checkout, tmp_path, data):
    size = 32 if checkout.git("rev-parse", "--show-object-format") == "sha256" else 20
    expected = checkout.git("hash-object", "--stdin", stdin=data)
    (tmp_path / "f").write_bytes(data)
    assert blob_id(data, size).hex() == expected
    assert file_blob_id(str(tmp_path / "f"), size).hex() == expected


def test_failures_name_the_command_and_what_git_said(checkout):
    with pytest.raises(FormatError) as caught:
        Git(str(checkout.path)).run("rev-parse", "--verify", "nowhere")
    assert caught.value.kind == "git-failed"
    assert "git rev-parse --verify nowhere" in caught.value.message
    assert "Needed a single revision" in caught.value.message
    assert Git(str(checkout.path)).line("rev-parse", "--verify", "-q", "nowhere") is None


def test_a_missing_git_is_named(tmp_path):
    with pytest.raises(NotFound) as caught:
        Git(str(tmp_path), program="no-such-git").run("status")
    assert caught.value.kind == "git-missing"
