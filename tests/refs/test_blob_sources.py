"""The sources of blobs, git's process and libgit2, keep one contract; which of them is chosen, and where."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

import pytest

from regenstore.errors import FormatError
from regenstore.refs.git import BlobReader, Git, blob_source
from regenstore.refs.git import blobs as reader
from regenstore.refs.git.cat_file import CatFile
from regenstore.refs.git.linked import Linked
from tests.conftest import Checkout, noise

Source = CatFile | Linked
LARGE = noise("large", 300_000)


@pytest.fixture
def cat_file(checkout: Checkout) -> Iterator[CatFile]:
    made = CatFile(Git(str(checkout.path)))
    yield made
    made.close()


@pytest.fixture(params=["git", "libgit2"])
def source(request: pytest.FixtureRequest, checkout: Checkout, cat_file: CatFile) -> Source:
    return cat_file if request.param == "git" else Linked([f"{checkout.path}/.git/objects"], cat_file)


@pytest.fixture
def checkout(tmp_path, environment, monkeypatch) -> Checkout:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    made = Checkout(tmp_path / "film", environment)
    made.path.mkdir()
    made.git("init", "-q")
    for name, data in (("a", b"one\n"), ("b", b"two\n"), ("empty", b""), ("large", LARGE)):
        made.write(name, data)
    made.commit()
    return made


def name_of(checkout: Checkout, expression: str) -> bytes:
    return checkout.git("rev-parse", expression).encode()


@pytest.mark.parametrize("packed", [False, True], ids=["loose", "packed"])
def test_every_source_gives_the_same(checkout: Checkout, source: Source, packed: bool) -> None:
    if packed:
        checkout.git("repack", "-q", "-a", "-d")
    names = [name_of(checkout, each) for each in (":a", "HEAD", ":empty", "HEAD^{tree}", ":large", ":b")]
    odd = [b"0" * 40, b"", b"HEAD:a", b"nonsense", b"HEAD:nowhere", b"z" * 40, b"HEAD:a b blob 5"]
    asked = [*names[:3], *odd, *names[3:]]
    blob, none = ("blob", b"one\n"), ("", None)
    texts = [blob, ("commit", None), ("blob", b""), none, none, blob, *[none] * 4, ("tree", None), ("blob", None)]
    assert source.texts(asked, 10) == [*texts, ("blob", b"two\n")]
    contents = [b"one\n", None, b"", None, None, b"one\n", None, None, None, None, None, LARGE[:11], b"two\n"]
    assert source.contents(asked, 10) == contents
    assert source.contents([names[4]], 300_000) == [LARGE]
    assert source.contents([names[4]], 299_990) == [LARGE[:299_991]]
    # What comes after the first question is found too, in whatever form.
    checkout.write("later", b"three\n")
    checkout.commit()
    later = name_of(checkout, ":later")
    assert source.contents([later], 10) == [b"three\n"]
    checkout.git("repack", "-q", "-a", "-d")
    checkout.git("prune-packed")
    assert source.contents([later, *names], 300_000) == [b"three\n", b"one\n", None, b"", None, LARGE, b"two\n"]


def test_every_source_passes_over_what_is_damaged(checkout: Checkout, source: Source) -> None:
    """Where all are needed it is an error; where one is asked for, that one is not there."""
    names = [name_of(checkout, each) for each in (":a", ":large", ":b")]
    bad = f"{checkout.path}/.git/objects/{names[1][:2].decode()}/{names[1][2:].decode()}"
    os.chmod(bad, 0o644)
    os.truncate(bad, 40_000)
    assert source.contents(names, 10) == [b"one\n", None, b"two\n"]
    assert source.contents(names, 1 << 20) == [b"one\n", None, b"two\n"]
    with pytest.raises(FormatError) as caught:
        source.texts(names, 1 << 20)
    assert caught.value.kind == "git-failed" and names[1].decode() in caught.value.message
    assert source.texts(names, 10) == [("blob", b"one\n"), ("blob", None), ("blob", b"two\n")]


def test_many_are_read_by_libgit2_and_few_are_not(checkout: Checkout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "WORTH_IT", 3)
    git = Git(str(checkout.path))
    names = [name_of(checkout, each) for each in (":a", ":b", ":empty", ":a")]
    expected = [b"one\n", b"two\n", b"", b"one\n"]
    with BlobReader(git) as blobs:
        assert [blobs.read(name, 10) for name in names[:2]] == expected[:2] and blobs._linked is None
        assert [blobs.read(name, 10) for name in names] == expected and blobs._linked is not None
    with BlobReader(git, expected=3) as blobs:
        assert list(blobs.texts(map(bytes.fromhex, map(bytes.decode, names)), 10)) and blobs._linked is not None
    # Where it is not installed, or of a version without what is needed, git serves.
    monkeypatch.setitem(sys.modules, "pygit2", None)
    assert blob_source(git)[0] is False and "cannot be imported" in blob_source(git)[1]
    with BlobReader(git, expected=3) as blobs:
        assert list(blobs.read_many(names, 10)) == expected and blobs._linked is None


def test_what_libgit2_cannot_follow_is_left_to_git(checkout: Checkout, tmp_path, monkeypatch) -> None:
    git = Git(str(checkout.path))
    assert blob_source(git)[0]

    def left(repository: Git = git) -> str:
        chosen, why = blob_source(repository)
        assert not chosen
        return why

    checkout.git("replace", ":a", ":b")
    assert "replacements" in left()
    checkout.git("replace", "-d", name_of(checkout, ":a").decode())
    grafts = checkout.write(".git/info/grafts", b"x")
    assert "grafts" in left()
    grafts.unlink()
    checkout.git("config", "remote.origin.promisor", "true")
    assert "partial clone" in left()
    checkout.git("config", "--unset", "remote.origin.promisor")
    monkeypatch.setenv("GIT_ALTERNATE_OBJECT_DIRECTORIES", "/nowhere")
    assert "GIT_ALTERNATE_OBJECT_DIRECTORIES" in left()
    monkeypatch.delenv("GIT_ALTERNATE_OBJECT_DIRECTORIES")
    checkout.git("init", "-q", "--object-format=sha256", str(tmp_path / "other"))
    assert "SHA-256" in left(Git(str(tmp_path / "other")))
    checkout.git("clone", "-q", "-s", ".", str(tmp_path / "clone"))
    clone = Git(str(tmp_path / "clone"))
    assert blob_source(clone)[0]  # alternates by whole paths are followed
    name = name_of(checkout, ":a")
    with BlobReader(clone, expected=reader.WORTH_IT) as blobs:
        assert blobs.read(name, 10) == b"one\n" and blobs._linked is not None
        assert blobs._cat_file._process is None  # git was not needed
    (tmp_path / "clone/.git/objects/info/alternates").write_text("../../../film/.git/objects\n")
    assert "alternates" in left(clone)
    assert "not a git repository" in left(Git(str(tmp_path))) or "where its objects" in left(Git(str(tmp_path)))
