"""Whoever relies on a store is found, and keeps what it last held when it cannot be asked any more."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from regenstore.errors import FormatError
from regenstore.objects import toml
from regenstore.objects.results.cache import ResultCache
from regenstore.refs.enumeration import FULL, UNCHANGED
from regenstore.refs.registration import ID_FILE, identity, owner, register, registrations
from regenstore.refs.store_repositories import Holder, Holders, forget
from tests.conftest import Checkout, noise
from tests.refs.film import Film, recipe


class Shared:
    """A store and two repositories that share it."""

    def __init__(self, film: Film, folder: Path) -> None:
        self.store = str(folder / "store")
        os.mkdir(self.store)
        self.film = film
        self.other = Film(folder / "other", film.environment)
        self.other.path.mkdir()
        self.other.git("init", "-q")
        self.oid = bytes.fromhex(self.other.save("r.txt", toml.encode(recipe("theirs")).decode()))
        register(self.store, film.common)
        register(self.store, self.other.common)

    def ask(self, film: Film | None = None) -> list[Holder]:
        cache = ResultCache(self.store)
        try:
            return list(Holders((film or self.film).roots(), cache, self.store).holders())
        finally:
            cache.close()

    def ask_other(self) -> Holder:
        mine, other = self.ask()
        assert mine.reachable and mine.path == self.film.common
        return other

    def lost(self, reason: str) -> None:
        """The other one cannot be reached, and holds what it held."""
        held = self.ask_other()
        assert (held.reachable, held.told, set(held.records)) == (False, True, {self.oid})
        assert held.standing(self.oid) == 3
        assert reason in held.reason


@pytest.fixture
def shared(film: Film, tmp_path: Path) -> Shared:
    return Shared(film, tmp_path)


def test_all_that_registered_are_asked_from_each_of_them(shared: Shared) -> None:
    assert [holder.name for holder in shared.ask()] == [str(shared.film.path), str(shared.other.path)]
    mine, other = shared.ask(shared.other)
    assert (mine.name, set(mine.records), mine.how) == (str(shared.other.path), {shared.oid}, UNCHANGED)
    assert other.name == str(shared.film.path)
    register(shared.store, shared.other.common)
    assert len(registrations(shared.store)) == 2


def test_a_deleted_repository_keeps_what_it_held_until_it_is_forgotten(shared: Shared) -> None:
    shared.ask()
    shutil.rmtree(shared.other.path)
    shared.lost("is not there")
    shared.lost("is not there")
    assert [gone.path for gone in forget(shared.store, str(shared.other.path))] == [str(shared.other.path / ".git")]
    assert len(shared.ask()) == 1
    assert forget(shared.store, str(shared.other.path)) == []
    assert not [name for name in os.listdir(f"{shared.store}/repositories") if name.endswith(".held")][1:]


def test_one_that_never_told_is_known_to_hold_nobody_knows_what(shared: Shared) -> None:
    shutil.rmtree(shared.other.path)
    held = shared.ask_other()
    assert (held.reachable, held.told, held.complete, held.as_of) == (False, False, False, None)


def test_an_unmounted_one_comes_back(shared: Shared, tmp_path: Path) -> None:
    shared.ask()
    shared.other.path.rename(tmp_path / "away")
    shared.other.path.mkdir()
    shared.lost("is not there")
    shared.other.path.rmdir()
    (tmp_path / "away").rename(shared.other.path)
    assert shared.ask_other().reachable


def test_another_repository_in_its_place_is_not_it(shared: Shared) -> None:
    shared.ask()
    shutil.rmtree(shared.other.path)
    shared.other.path.mkdir()
    shared.other.git("init", "-q")
    shared.lost("not the repository that registered")
    register(shared.store, shared.other.common)
    others = shared.ask()[1:]
    assert sorted(held.reachable for held in others) == [False, True]
    assert {oid for held in others for oid in held.records} == {shared.oid}


@pytest.mark.parametrize("damage", ["ref", "object", "HEAD", "index"])
def test_a_damaged_one(shared: Shared, damage: str) -> None:
    shared.ask()
    there = shared.other.path / ".git"
    if damage == "ref":
        (there / "refs/heads/main").write_text("1" * 40 + "\n")
    elif damage == "object":
        tree = shared.other.git("rev-parse", "HEAD^{tree}")
        (there / "objects" / tree[:2] / tree[2:]).unlink()
        shared.other.git("tag", "new")
        (there / "index").unlink()  # it knew the tree's blobs
        shutil.rmtree(there / "logs")
    elif damage == "HEAD":
        (there / "HEAD").write_text("nonsense\n")
    else:
        (there / "index").write_bytes(b"DIRC nonsense")
    held = shared.ask_other()
    assert (held.reachable, set(held.records)) == (False, {shared.oid})
    assert held.reason
    if damage != "HEAD":  # where git sees no repository, no command gets this far
        with pytest.raises(FormatError):
            shared.ask(shared.other)


def test_one_that_git_refuses(shared: Shared, monkeypatch: pytest.MonkeyPatch) -> None:
    shared.ask()
    shared.film.git("config", "--global", "safe.directory", str(shared.film.path))
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    shared.lost("dubious ownership")
    shared.film.git("config", "--global", "--add", "safe.directory", str(shared.other.path))
    assert shared.ask_other().reachable


def test_the_callers_environment_is_not_another_repositorys(shared: Shared, monkeypatch: pytest.MonkeyPatch) -> None:
    """As inside a hook, where git says where everything is."""
    monkeypatch.setenv("GIT_DIR", shared.film.common)
    monkeypatch.setenv("GIT_INDEX_FILE", f"{shared.film.common}/index")
    monkeypatch.setenv("GIT_OBJECT_DIRECTORY", f"{shared.film.common}/objects")
    held = shared.ask_other()
    assert (held.reachable, set(held.records)) == (True, {shared.oid})


def test_a_moved_one_is_found_again_and_a_copy_is_another(shared: Shared, tmp_path: Path) -> None:
    shared.ask()
    moved, copy = Film(tmp_path / "moved", shared.film.environment), Film(tmp_path / "copy", shared.film.environment)
    shared.other.path.rename(moved.path)
    register(shared.store, moved.common)
    held = shared.ask_other()
    assert (held.path, held.reachable, held.as_of is not None) == (moved.common, True, True)
    shutil.copytree(moved.path, copy.path)
    register(shared.store, copy.common)
    assert identity(copy.common) == identity(moved.common)
    assert {held.path for held in shared.ask()} == {shared.film.common, moved.common, copy.common}
    expected = [(copy.common, True), (moved.common, False)]
    shutil.rmtree(moved.path)
    register(shared.store, copy.common)
    assert sorted((held.path, held.reachable) for held in shared.ask()[1:]) == expected


def test_a_copy_does_not_stand_for_what_it_was_made_from(shared: Shared, tmp_path: Path) -> None:
    shared.ask()
    copy, common = tmp_path / "copy", shared.other.common
    shutil.copytree(shared.other.path, copy)
    shared.other.path.rename(tmp_path / "away")
    register(shared.store, f"{copy}/.git")
    assert {held.path for held in shared.ask()} == {shared.film.common, common, f"{copy}/.git"}
    # Now the place of the first one is taken by a copy, and it is used where it was moved to.
    copy.rename(shared.other.path)
    register(shared.store, f"{tmp_path}/away/.git")
    assert {common, f"{tmp_path}/away/.git"} <= {held.path for held in shared.ask() if held.reachable}


def test_what_a_moved_one_held_goes_with_it(shared: Shared, tmp_path: Path) -> None:
    shared.ask()
    shared.other.path.rename(tmp_path / "moved")
    register(shared.store, str(tmp_path / "moved" / ".git"))
    shutil.rmtree(tmp_path / "moved")
    shared.lost("is not there")


def test_a_damaged_registration_is_not_overlooked(shared: Shared) -> None:
    shared.ask()
    (found,) = [found for found in registrations(shared.store) if found.path == shared.other.common]
    path = Path(shared.store, "repositories", f"{found.name}.json")
    for wrong in (b"", b"[]", b"{", json.dumps({"path": "/", "identity": "x", "place": [1, 2]}).encode()):
        path.write_bytes(wrong)
        shared.lost("its registration cannot be read")
    assert [gone.name for gone in forget(shared.store, found.name)] == [found.name]


def test_bare_repositories_worktrees_and_submodules(shared: Shared, tmp_path: Path) -> None:
    bare = Film(tmp_path / "bare.git", shared.film.environment)
    shared.film.git("clone", "-q", "--bare", str(shared.other.path), str(bare.path))
    register(shared.store, str(bare.path))
    shared.other.git("worktree", "add", "-q", "../linked")
    register(shared.store, shared.film.at("linked").common)  # the same repository
    shared.film.git("submodule", "add", "-q", str(shared.other.path), "sub")
    register(shared.store, shared.film.at("film/sub").common)
    found = shared.ask()
    assert len(found) == 4
    assert all(held.reachable for held in found), [held.reason for held in found]


def test_a_store_that_lies_in_a_repository_belongs_to_it(film: Film, tmp_path: Path) -> None:
    store = f"{film.common}/regenstore"
    os.mkdir(store)
    register(store, film.common)
    assert (owner(store), registrations(store), os.path.exists(f"{film.common}/{ID_FILE}")) == (film.common, [], False)
    asked = [list(Holders(film.roots(), ResultCache(store), store).holders()) for _ in range(2)]
    assert [[held.how for held in found] for found in asked] == [[FULL], [UNCHANGED]]
    other = Film(tmp_path / "other", film.environment)
    other.path.mkdir()
    other.git("init", "-q")
    register(store, other.common)
    for here in (film, other):
        found = list(Holders(here.roots(), ResultCache(store), store).holders())
        assert {held.path for held in found} == {film.common, other.common}
    common = film.common
    film.write(".git/HEAD", "nonsense")
    _, owning = Holders(other.roots(), ResultCache(store), store).holders()
    assert (owning.path, owning.reachable, owning.told) == (common, False, True)


def test_a_store_that_cannot_be_written_is_asked_all_the_same(shared: Shared) -> None:
    shared.ask()
    for held in Path(shared.store, "repositories").glob("*.held"):
        held.unlink()
        held.mkdir()
    assert [held.how for held in shared.ask()] == [FULL, FULL]


# ------------------------------------------------------------------------------------------- the programs


def test_a_repository_registers_when_it_first_uses_a_store(empty: Checkout, tmp_path: Path) -> None:
    """Also when regenstore.store was set after it had recipes, and when it only takes from the store."""
    empty.write("a.bin", noise("a", 5000))
    empty.commit()
    store = tmp_path / "shared"
    empty.git("config", "regenstore.store", str(store))
    assert registrations(str(store)) == []
    empty.write("b.bin", noise("b", 5000))
    empty.commit()
    assert [found.path for found in registrations(str(store))] == [str(empty.path / ".git")]
    clone = Checkout(tmp_path / "clone", empty.environment)
    empty.git(
        "clone",
        "-q",
        "-c",
        f"regenstore.store={store}",
        "-c",
        "filter.regenstore.process=regenstore-filter process",
        str(empty.path),
        str(clone.path),
    )
    clone.git("config", "regenstore.store", str(store))
    clone.git("checkout", "-q", "-f", "HEAD")
    clone.regenstore("status")
    assert {found.path for found in registrations(str(store))} == {str(empty.path / ".git"), str(clone.path / ".git")}
    clone.git("worktree", "add", "-q", "../linked")
    assert len(registrations(str(store))) == 2
    assert forget(str(store), str(clone.path))
    Checkout(tmp_path / "linked", empty.environment).regenstore("status")
    assert len(registrations(str(store))) == 2
