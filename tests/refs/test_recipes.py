"""Finding the recipe that made a content: in the index, anywhere in history, or nowhere."""

from __future__ import annotations

import pytest

from regenstore.errors import NotFound
from regenstore.objects import toml
from regenstore.objects.hashing import hash_bytes
from regenstore.objects.ids import Digest
from regenstore.objects.recipe import Output, Recipe, Take
from regenstore.refs.git import BlobReader, Git
from regenstore.refs.recipes import RecipeFinder, read_text
from tests.conftest import Checkout


def recipe(text: str, **about: object) -> Recipe:
    data = text.encode()
    return Recipe("g", "1", Output("x/y", take=Take(hash_bytes(data), len(data))), params={"text": text}, about=about)


def digest(text: str) -> Digest:
    return hash_bytes(text.encode())


class Film:
    """A repository whose filtered paths hold recipes, driven without the filter."""

    def __init__(self, checkout: Checkout) -> None:
        self.checkout = checkout
        self.looked = 0
        git = Git(str(checkout.path))
        self.blobs = BlobReader(git)
        self.finder = RecipeFinder(git, self.blobs, self.index)

    def index(self) -> dict[bytes, bytes]:
        self.looked += 1
        entries = {}
        for line in filter(None, self.checkout.run("git", "ls-files", "-s", "-z").stdout.split(b"\0")):
            head, _, path = line.partition(b"\t")
            entries[path] = bytes.fromhex(head.split(b" ")[1].decode())
        return entries

    def commit(self, name: str, content: Recipe | bytes) -> None:
        self.checkout.write(name, content if isinstance(content, bytes) else toml.encode(content))
        self.checkout.commit()

    def find(self, text: str, hint: str | None = None) -> Recipe | None:
        return next(self.finder.find(digest(text), hint), None)


@pytest.fixture
def film(tmp_path, environment, monkeypatch):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    folder = tmp_path / "film"
    folder.mkdir()
    checkout = Checkout(folder, environment)
    checkout.git("init", "-q")
    # The attribute decides where recipes may be; the filter itself is not configured here.
    checkout.write(".gitattributes", "*.bin filter=regenstore -text\n")
    checkout.commit()
    made = Film(checkout)
    yield made
    made.blobs.close()


def test_at_the_hinted_path(film):
    film.commit("a.bin", recipe("a"))
    assert film.find("a", "a.bin") == recipe("a")


def test_where_it_was_moved_to(film):
    film.commit("deep/er/b.bin", recipe("a"))
    for hint in ("a.bin", "deep/er", "", None, "../x"):
        assert film.find("a", hint) == recipe("a")


def test_in_history(film):
    film.commit("a.bin", recipe("a"))
    film.commit("a.bin", recipe("b"))
    film.checkout.git("rm", "-q", "a.bin")
    film.checkout.git("commit", "-q", "-m", "gone")
    assert film.find("a", "a.bin") == recipe("a")
    assert film.find("b", "a.bin") == recipe("b")


def test_on_another_branch_and_in_the_reflog(film):
    film.checkout.git("checkout", "-q", "-b", "side")
    film.commit("a.bin", recipe("a"))
    film.checkout.git("checkout", "-q", "main")
    assert film.find("a") == recipe("a")
    film.checkout.git("branch", "-D", "-q", "side")
    assert film.find("a") == recipe("a")


def test_in_a_merge_that_made_it(film):
    film.commit("a.bin", recipe("base"))
    film.checkout.git("checkout", "-q", "-b", "side")
    film.commit("a.bin", recipe("side"))
    film.checkout.git("checkout", "-q", "main")
    film.commit("a.bin", recipe("main"))
    film.checkout.git("merge", "-q", "side", check=False)
    film.commit("a.bin", recipe("merged"))
    film.commit("a.bin", recipe("later"))
    assert film.find("merged") == recipe("merged")


def test_a_recipe_that_only_mentions_the_digest_is_not_the_one(film):
    film.commit("a.bin", recipe("other", see=str(digest("a"))))
    assert film.find("a", "a.bin") is None
    film.commit("b.bin", b"regenstore = 1\nthis is broken\n# " + str(digest("a")).encode() + b"\n")
    assert film.find("a") is None


def test_nowhere(film):
    assert film.find("a") is None
    assert film.find("a", "missing.bin") is None


def test_in_a_repository_without_a_commit(tmp_path, environment, monkeypatch):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    folder = tmp_path / "new"
    folder.mkdir()
    checkout = Checkout(folder, environment)
    checkout.git("init", "-q")
    film = Film(checkout)
    assert film.find("a") is None
    film.blobs.close()


def test_a_missing_file_is_named(film):
    with pytest.raises(NotFound) as caught:
        read_text(film.blobs, b"HEAD:shots/none.bin")
    assert caught.value.kind == "no-such-path"
    assert "shots/none.bin" in caught.value.message
