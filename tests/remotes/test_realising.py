"""Hit, else fetch, else generate: what comes from a remote, what is made, and what happens when either fails."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from regenstore.errors import StorageError
from regenstore.objects.hashing import hash_bytes
from regenstore.objects.ids import Digest
from regenstore.objects.recipe import Recipe, Take
from regenstore.realise import Realiser
from regenstore.remotes import layout
from regenstore.remotes.backends.directory import Directory
from regenstore.remotes.records import Records
from regenstore.remotes.remote import Remote
from regenstore.remotes.remote_set import RemoteSet, nobody
from tests.test_realise import KIND, Studio, recipe, taking


class Artist(Studio):
    """A studio that shares a folder with others."""

    def __init__(self, root: Path, shared: Path) -> None:
        root.mkdir(exist_ok=True)
        super().__init__(root)
        self.backend = Directory(str(shared), create=True)
        self.remote = Remote("studio", self.backend, self.store)
        self.trust()
        self.meet()

    def meet(self) -> None:
        """Open the remotes anew, as the next command does."""
        self.elsewhere = RemoteSet([self.remote])
        self.realiser = Realiser(
            self.store, self.cache, self.registry, self.executor, self.find, remotes=lambda: self.elsewhere
        )

    def push(self) -> None:
        digests = [digest for digest, _ in self.store.contents("vault")]
        assert not [moved for moved in self.remote.send(digests, nobody) if moved.error]
        Records(self.remote).push(self.cache, digests)

    def costs(self, seconds: float) -> None:
        """Let bringing anything take that long, by what is known."""
        self.remote.estimate = lambda sizes: seconds * len(sizes)


@pytest.fixture
def artists(tmp_path: Path) -> Iterator[tuple[Artist, Artist]]:
    one, other = (Artist(tmp_path / name, tmp_path / "shared") for name in ("one", "other"))
    yield one, other
    for artist in (one, other):
        artist.cache.close()


def test_a_take_that_is_dear_to_make_is_fetched(artists: tuple[Artist, Artist]) -> None:
    one, other = artists
    one.put(b"a")
    one.push()
    wanted = taking(recipe("text", "a"), b"a")
    plan = other.plan(wanted)
    assert list(plan.fetches) == [hash_bytes(b"a")] and not plan.steps
    (outcome,) = other.realiser.run(plan, other.progress)
    assert other.read(outcome) == b"a" and other.runs() == []


def test_what_is_quicker_to_make_is_made(artists: tuple[Artist, Artist]) -> None:
    one, other = artists
    one.put(b"a")
    one.push()
    other.costs(60.0)
    wanted = taking(recipe("text", "a"), b"a").with_take(Take(hash_bytes(b"a"), 1), 1.0)
    assert other.read(other.run(wanted)["0"]) == b"a"
    assert other.runs() == ["a"]


@pytest.mark.parametrize(("prefer", "runs"), [("fetch", []), ("generate", ["a"])])
def test_a_preference_decides(artists: tuple[Artist, Artist], prefer: str, runs: list[str]) -> None:
    one, other = artists
    one.put(b"a")
    one.push()
    other.costs(60.0 if prefer == "fetch" else 0.0)
    other.realiser.prefer = prefer
    assert other.read(other.run(taking(recipe("text", "a"), b"a"))["0"]) == b"a"
    assert other.runs() == runs


def test_what_does_not_fit_the_budget_is_fetched(artists: tuple[Artist, Artist]) -> None:
    one, other = artists
    one.put(b"a")
    one.push()
    other.costs(60.0)
    wanted = taking(recipe("text", "a"), b"a").with_take(Take(hash_bytes(b"a"), 1), 1.0)
    plan = other.plan(wanted)
    assert plan.steps
    small = plan.within(0.5)
    assert not small.steps and list(small.fetches) == [hash_bytes(b"a")]
    (outcome,) = other.realiser.run(small, other.progress)
    assert other.read(outcome) == b"a" and other.runs() == []


def test_imported_media_come_from_nowhere_else(artists: tuple[Artist, Artist]) -> None:
    one, other = artists
    one.put(b"photo")
    wanted = Recipe.of_imported(Take(hash_bytes(b"photo"), 5), KIND)
    assert other.run(wanted)["0"].error.kind == "content-missing"
    one.push()
    other.meet()
    assert other.read(other.run(wanted)["0"]) == b"photo"


def test_an_input_is_fetched_for_what_is_made(artists: tuple[Artist, Artist]) -> None:
    one, other = artists
    plate = one.put(b"plate")
    one.push()
    assert other.read(other.run(recipe("join", "x", a=plate))["0"]) == b"plate+x"
    assert other.runs() == ["join x"]


def test_a_deep_input_is_fetched_too(artists: tuple[Artist, Artist]) -> None:
    """The plate is on the remote, what was made from it is nowhere, and the wanted one is made from that."""
    one, other = artists
    plate = one.put(b"plate")
    one.push()
    middle = recipe("join", "x", a=plate)
    other.known[hash_bytes(b"plate+x")] = middle
    assert other.read(other.run(recipe("join", "y", a=hash_bytes(b"plate+x")))["0"]) == b"plate+x+y"


def test_a_recipe_without_a_take_gets_what_somebody_made(artists: tuple[Artist, Artist]) -> None:
    one, other = artists
    wanted = recipe("slow", "film")
    assert one.read(one.run(wanted)["0"]) == b"film"
    one.push()
    outcome = other.run(wanted)["0"]
    assert other.read(outcome) == b"film" and other.runs() == []
    assert wanted.key is not None
    (known,) = other.cache.results(wanted.key)
    assert known.digests == {hash_bytes(b"film")}


def test_the_recipe_of_a_lost_input_is_known_from_others(artists: tuple[Artist, Artist]) -> None:
    one, other = artists
    made = one.run(recipe("text", "a"))["0"]
    one.push()
    digest = made.content.digest
    one.backend.delete(layout.content(digest))
    assert other.read(other.run(recipe("join", "b", a=digest))["0"]) == b"a+b"
    assert other.runs() == ["a", "join b"]


def test_wrong_bytes_on_the_remote_are_made_instead(artists: tuple[Artist, Artist]) -> None:
    one, other = artists
    digest = one.put(b"a")
    one.push()
    one.backend.write(layout.content(digest), b"b")
    assert other.read(other.run(taking(recipe("text", "a"), b"a"))["0"]) == b"a"
    assert other.runs() == ["a"]
    photo = Recipe.of_imported(Take(one.put(b"photo"), 5), KIND)
    one.push()
    one.backend.write(layout.content(hash_bytes(b"photo")), b"other")
    other.meet()
    assert other.run(photo)["0"].error.kind == "remote-wrong-bytes"


def test_a_budget_holds_also_for_what_could_not_be_fetched(artists: tuple[Artist, Artist]) -> None:
    one, other = artists
    digest = one.put(b"a")
    one.push()
    one.backend.write(layout.content(digest), b"b")
    wanted = taking(recipe("text", "a"), b"a")
    (outcome,) = other.realiser.run(other.plan(wanted).within(0.5), other.progress)
    assert outcome.error is not None and outcome.error.kind == "remote-wrong-bytes"
    assert other.runs() == []


def test_a_remote_that_is_away_is_as_good_as_none(
    artists: tuple[Artist, Artist], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, other = artists
    asked: list[str] = []

    def away(name: str) -> None:
        asked.append(name)
        raise StorageError("remote-unreachable", "nobody answers")

    monkeypatch.setattr(other.backend, "head", away)
    assert other.read(other.run(taking(recipe("text", "a"), b"a"))["0"]) == b"a"
    assert [error.kind for error in other.elsewhere.problems.values()] == ["remote-unreachable"]
    before = len(asked)
    other.run(taking(recipe("text", "b"), b"b"))
    assert len(asked) == before


def test_a_take_that_does_not_come_back_is_fetched_after_all(artists: tuple[Artist, Artist]) -> None:
    one, other = artists
    one.put(b"as it fell")
    one.push()
    other.realiser.prefer = "generate"
    outcome = other.run(taking(recipe("drift", "a"), b"as it fell"))["0"]
    assert other.read(outcome) == b"as it fell" and not outcome.drifted
    assert other.runs() == ["drift"]


def test_only_here_asks_nobody(artists: tuple[Artist, Artist], monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = artists
    digest = one.put(b"photo")
    one.push()
    monkeypatch.setattr(other.backend, "head", lambda name: pytest.fail("it was asked"))
    from regenstore.planning import Want

    other.realiser.local = True
    plan = other.realiser.plan([Want("p", Recipe.of_imported(Take(digest, 5), KIND))])
    assert [outcome.error.kind for outcome in plan.failed if outcome.error] == ["content-missing"]


def test_many_wants_are_asked_for_at_once(artists: tuple[Artist, Artist], monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = artists
    data = [b"%d" % number for number in range(600)]
    digests: list[Digest] = [one.put(each) for each in data]
    one.push()
    listed: list[str] = []
    names = other.backend.names
    monkeypatch.setattr(other.backend, "names", lambda prefix: listed.append(prefix) or names(prefix))
    monkeypatch.setattr(other.backend, "head", lambda name: pytest.fail("it was asked for one"))
    plan = other.plan(*[Recipe.of_imported(Take(digest, len(each)), KIND) for digest, each in zip(digests, data)])
    assert len(plan.fetches) == 600 and 0 < len(listed) <= 256
    assert all(outcome.content for outcome in other.realiser.run(plan, other.progress))
