"""Reading Git: blobs by name, ids of blobs, and errors with Git's own words."""

from __future__ import annotations

import os
from pathlib import Path

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
        Git(str(checkout.path)).ls_tree("nowhere")
    assert caught.value.kind == "git-failed"
    assert "git ls-tree -r -z --full-tree nowhere" in caught.value.message
    assert "Not a valid object name nowhere" in caught.value.message
    assert Git(str(checkout.path)).resolve("nowhere") is None


def test_a_missing_git_is_named(tmp_path):
    with pytest.raises(NotFound) as caught:
        Git(str(tmp_path), program="no-such-git").ls_files()
    assert caught.value.kind == "git-missing"
    with pytest.raises(NotFound) as caught:
        Git(str(tmp_path / "gone")).ls_files()
    assert caught.value.kind == "not-a-repository"


def fake(folder: Path, script: str) -> str:
    program = folder / "fake-git"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return str(program)


def test_an_old_git_is_told_as_the_cause_of_what_it_cannot_do(tmp_path):
    """Whether or not the failure would mean something, and at no cost while git does what it is asked."""
    script = (
        'case "$*" in --version) echo git version 2.38.9;; *ls-files*) ;; *) echo unknown option >&2; exit 129;; esac'
    )
    old = Git(str(tmp_path), program=fake(tmp_path, script))
    assert old.ls_files() == []
    for question in (old.require_version, lambda: old.resolve("HEAD"), lambda: old.ls_tree("HEAD")):
        with pytest.raises(NotFound) as caught:
            question()
        assert caught.value.kind == "git-too-old"
        assert "2.39 or newer" in caught.value.message and "2.38.9" in caught.value.message


def test_git_speaks_english_and_starts_no_monitor(tmp_path, monkeypatch):
    """Characters stay what they are, whichever variable of the user's says so."""
    program = fake(tmp_path, 'printf \'%s\\0\' "$*" "$LC_ALL" "$LC_CTYPE" "$LC_MESSAGES" "$LANGUAGE" "$GIT_DIR"')
    for name in ("LANG", "LC_CTYPE", "LC_MESSAGES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    monkeypatch.setenv("LANGUAGE", "de")
    monkeypatch.setenv("GIT_DIR", "/somewhere")
    words = b"-c core.fsmonitor=false ls-files -z --"
    answer = [words, b"", b"de_DE.UTF-8", b"C", b"", b"/somewhere"]
    assert Git(str(tmp_path), program=program).ls_files() == answer
    assert Git(str(tmp_path), program=program, forget=["GIT_DIR"]).ls_files() == [*answer[:-1], b""]


def test_what_is_listed_has_odd_names_and_every_kind_of_entry(checkout):
    odd = ["na\udcffme", "two words", "new\nline", "tab\there", "é"]
    for name in odd:
        checkout.write(name, b"x")
    (checkout.path / "link").symlink_to("é")
    checkout.write(".gitattributes", b"*e filter=regenstore\n")
    commit = checkout.commit()
    git = Git(str(checkout.path))
    files = sorted(map(os.fsencode, [*odd, ".gitattributes"]))
    assert (
        [entry.path for entry in git.ls_entries() if entry.is_file]
        == files
        == [entry.path for entry in git.ls_tree("HEAD", sizes=True) if entry.is_file and entry.size is not None]
    )
    assert git.filtered(git.ls_files()) == [b"na\xffme", b"new\nline", b"tab\there"]
    assert {(change.status, change.path) for change in git.diff_tree(commit)} == {("A", p) for p in git.ls_files()}
    assert git.commit("HEAD") == commit and git.rev_list("HEAD") == [commit]
    assert git.for_each_ref() == [("refs/heads/" + checkout.git("branch", "--show-current"), commit)]
    headers = git.object_types(["HEAD", "nowhere", "HEAD:two words", "HEAD^{tree}"])
    assert [header and header.kind for header in headers] == ["commit", None, "blob", "tree"]
    assert headers[2] is not None and headers[2].size == 1
    checkout.write("two words", b"y")
    assert git.edited() == {b"two words"} and git.staged() == set()
    checkout.git("rm", "-q", "--cached", "é")
    assert [change.path for change in git.unstaged_from_head()] == ["é".encode()]
    assert git.ls_untracked() == ["é".encode()]
    git.set_config("regenstore.a.b", "one\ntwo")
    assert git.config(r"^regenstore\.") == {"regenstore.a.b": "one\ntwo"}
    assert git.remove_config_section("regenstore.a") and not git.remove_config_section("regenstore.a")


def test_the_changes_of_a_path_are_found_in_branches_merges_stashes_and_reflogs(checkout):
    path = b"a\n:*\xff"
    name = os.path.join(os.fsencode(checkout.path), path)

    def put(text, *command):
        Path(os.fsdecode(name)).write_bytes(text)
        checkout.git("add", "-A")
        checkout.git(*command)

    git = Git(str(checkout.path))
    assert list(git.path_changes(path)) == []
    checkout.git("config", "log.showSignature", "true")
    checkout.git("config", "log.follow", "true")
    checkout.write("other", b"x")
    put(b"first", "commit", "-q", "-m", "1")
    checkout.git("branch", "side")
    put(b"amended away", "commit", "-q", "-m", "2")
    put(b"second", "commit", "-q", "--amend", "-m", "2 :amended\n\nbody")
    checkout.git("switch", "-q", "side")
    put(b"side", "commit", "-q", "-m", "3")
    checkout.git("switch", "-q", "-")
    checkout.git("merge", "-q", "-s", "ours", "--no-commit", "side")
    put(b"by hand", "commit", "-q", "-m", "merged")
    put(b"stashed", "stash")
    checkout.git("rm", "-q", "-r", ".")
    checkout.git("commit", "-q", "-m", "gone")
    found = {change.oid: change for change in git.path_changes(path)}
    with BlobReader(git) as blobs:
        texts = dict(zip(found, blobs.read_many((oid.hex().encode() for oid in found), 100)))
    told = {texts[oid]: change for oid, change in found.items()}
    assert set(told) == {b"first", b"amended away", b"second", b"side", b"by hand", b"stashed"}
    assert told[b"second"].subject == "2 :amended"
    assert {texts[oid] for oid in told[b"by hand"].before} == {b"second", b"side"}
    assert not any(map(any, told[b"first"].before))
    assert list(git.path_changes(b"a")) == []


def test_a_damaged_blob_stops_nobody_else(checkout):
    """Where all are needed it is an error; where one is asked for, that one is not there."""
    for name in "abc":
        checkout.write(name, noise(name, 70_000))
    checkout.commit()
    oids = [bytes.fromhex(checkout.git("rev-parse", f":{name}")) for name in "abc"]
    bad = checkout.path / ".git" / "objects" / oids[1].hex()[:2] / oids[1].hex()[2:]
    bad.chmod(0o644)
    bad.write_bytes(bad.read_bytes()[:40_000])
    names = [oid.hex().encode() for oid in oids]
    with BlobReader(Git(str(checkout.path))) as blobs:
        assert list(blobs.read_many(names, 10)) == [noise("a", 70_000)[:11], None, noise("c", 70_000)[:11]]
        with pytest.raises(FormatError) as caught:
            list(blobs.texts(oids, 100_000))
        assert caught.value.kind == "git-failed"
        assert list(blobs.texts(oids, 10)) == [(oid, None) for oid in oids]
    with BlobReader(Git(os.devnull.rpartition("/")[0])) as nowhere:
        assert list(nowhere.read_many(names, 10)) == [None] * 3


def test_why_git_does_not_use_a_repository_is_said(checkout, monkeypatch):
    """Of another owner, and with a setting that Git cannot read; a folder without any is none."""
    from regenstore.config import GitEnvironment
    from regenstore.repository import Repository

    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    with pytest.raises(FormatError, match=r"(?s)dubious ownership.*safe\.directory"):
        Repository.discover(str(checkout.path), GitEnvironment.read())
    monkeypatch.delenv("GIT_TEST_ASSUME_DIFFERENT_OWNER")
    assert Git(str(checkout.path.parent)).places() is None
    assert Git(str(checkout.path / ".git")).places() is None
    checkout.write(".git/config", "[core\n")
    with pytest.raises(FormatError, match="bad config"):
        Git(str(checkout.path)).places()
