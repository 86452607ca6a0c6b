"""Surveys of a real store: who refers to what, how firmly, and in which order all of it is looked at."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from regenstore.config import GitEnvironment
from regenstore.errors import NotFound
from regenstore.objects import toml
from regenstore.objects.ids import Digest
from regenstore.proof import survey_inputs
from regenstore.proof.survey import Standing, Survey
from regenstore.proof.surveyor import Surveyor
from regenstore.repository import Repository
from tests.cli.conftest import SMALL
from tests.conftest import Checkout


@pytest.fixture
def repository(film: Checkout, monkeypatch: pytest.MonkeyPatch) -> Iterator[Repository]:
    for name, value in film.environment.items():
        monkeypatch.setenv(name, value)
    opened = Repository.discover(str(film.path), GitEnvironment.read())
    yield opened
    opened.close()


def make(film: Checkout, path: str, prompt: str) -> None:
    film.regenstore("new", path, "-g", "procedural.image", "-p", f"prompt={prompt}", *SMALL)


def take(text: bytes) -> Digest:
    found = toml.decode(text).output.take
    assert found is not None
    return found.digest


def survey(repository: Repository) -> Survey:
    found = repository.surveyor.survey()
    assert found.complete and not found.problems
    return found


def test_standings_from_the_worktree_down_to_what_no_root_reaches(film: Checkout, repository: Repository) -> None:
    old = take(film.blob("plates/sea.png"))
    film.regenstore("set", "plates/sea.png", "seed=7")
    film.commit("another seed")
    film.git("checkout", "-q", "-b", "side")
    make(film, "side.png", "side")
    film.commit("side")
    side = take(film.blob("side.png"))
    for branch in ("main", "side", "main"):  # a checkout of the path ends what was pending
        film.git("checkout", "-q", branch)
    make(film, "draft.png", "draft")
    draft = take(repository.pending.paths()[b"draft.png"])
    drafted = survey(repository)
    now = take(film.blob("plates/sea.png"))
    standings = [drafted.entries[digest].standing for digest in (old, side, now, draft)]
    assert standings == [Standing.SUPERSEDED, Standing.TIP, Standing.WORKING, Standing.WORKING]
    assert {old, now, side, draft} <= drafted.needed
    film.regenstore("set", "draft.png", "seed=9")  # the first draft is forgotten
    later = survey(repository)
    assert (later.entries[draft].standing, later.entries[draft].finding.rule) == (Standing.DEAD, "unproven")
    assert draft not in later.needed


def test_a_discarded_variant_is_known_with_what_it_was_made_from(film: Checkout, repository: Repository) -> None:
    film.regenstore("new", "small.png", "-g", "derive.image", "-i", "source=plates/sea.png", "-p", "width=32")
    made = repository.pending.paths()[b"small.png"]
    film.regenstore("set", "small.png", "width=16")
    entry = survey(repository).entries[take(made)]
    (referrer,) = entry.referrers
    assert (referrer.standing, referrer.where, referrer.generator) == (
        Standing.DEAD,
        survey_inputs.RESULT_CACHE,
        "derive.image",
    )
    assert referrer.inputs == (take(film.blob("plates/sea.png")),) and entry.own is not None


def test_proven_media_are_evictable_and_tell_their_cost(film: Checkout, repository: Repository) -> None:
    film.regenstore("verify", "--all")
    found = survey(repository)
    by_rule = {e.finding.rule: e for e in found.entries.values()}
    assert set(by_rule) == {"proven", "imported"}
    proven = by_rule["proven"]
    assert proven.evictable and proven.proof is not None and proven.proof.exact
    assert proven.own == proven.closure == proven.proof.seconds > 0
    assert proven.recipe_key == proven.proof.key
    assert by_rule["imported"].recipe_key is None and by_rule["imported"].closure is None


def test_the_store_is_looked_at_before_holds_and_those_before_roots(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    look = survey_inputs.look
    monkeypatch.setattr(survey_inputs, "look", lambda store: (order.append("store"), look(store))[1])

    def held() -> frozenset[Digest]:
        order.append("holds")
        return frozenset()

    def holders():
        order.append("roots")
        return []

    given = repository.surveyor
    Surveyor(given._store, given._cache, given._environments, holders, held).survey()
    assert order == ["store", "holds", "roots"]


def test_remotes_are_asked_only_of_what_is_kept_and_their_failure_is_told(
    film: Checkout, repository: Repository
) -> None:
    film.regenstore("verify", "--all")
    photo, given, asked = take(film.blob("refs/photo.png")), repository.surveyor, []
    size = len(film.read("refs/photo.png"))

    def confirm(digests):
        asked.extend(digests)
        return {photo: size}

    def failing(digests):
        raise NotFound("no-such-path", "the share is not mounted")

    def surveyed(remote):
        return Surveyor(given._store, given._cache, given._environments, given._holders, confirm=remote).survey()

    found = surveyed(confirm)
    assert asked == [photo] and found.entries[photo].finding.rule == "confirmed" and found.entries[photo].evictable
    found = surveyed(failing)
    assert found.entries[photo].finding.rule == "imported" and "not mounted" in found.problems[0]


def test_a_pending_recipe_that_cannot_be_read_keeps_what_it_mentions(film: Checkout, repository: Repository) -> None:
    film.regenstore("verify", "--all")
    sea = take(film.blob("plates/sea.png"))
    assert survey(repository).entries[sea].evictable
    repository.pending.set(b"later.png", b'regenstore = 2\nwhat = "' + str(sea).encode() + b'"\n')
    assert survey(repository).entries[sea].finding.rule == "shared"
