"""What is enumerated by what changed is what a full walk gives; what is kept of it checks itself."""

from __future__ import annotations

import itertools
import random
import shutil
import threading
from pathlib import Path

import pytest

from regenstore.objects import toml
from regenstore.objects.hashing import hash_bytes
from regenstore.objects.ids import RecipeKey
from regenstore.objects.result import BlobRecord
from regenstore.objects.results.cache import ResultCache
from regenstore.refs import root_snapshot as files
from regenstore.refs.enumeration import ADDED, FULL, UNCHANGED, Enumerated, Enumeration
from regenstore.refs.git import Git
from regenstore.refs.registration import register
from regenstore.refs.root_snapshot import REACHED, TIP, WORKING, Basis, LiveRecipes
from regenstore.refs.roots import Roots
from regenstore.refs.store_repositories import Holder, Holders
from tests.conftest import fresh_seed
from tests.refs.film import Film, History, reachable_by_name, recipe, standing_by_name


def text(said: str) -> str:
    return toml.encode(recipe(said)).decode()


class Kept:
    """A repository whose enumeration is kept."""

    def __init__(self, film: Film, store: Path) -> None:
        self.film = film
        self.cache = ResultCache(str(store))
        self.path = str(store / "x.held")

    def ask(self, how: str | None = None) -> LiveRecipes:
        """What it holds, found in the given way; always what a full walk finds."""
        found = Enumeration(self.film.roots(), self.cache, self.path, "x").run()
        assert how in (found.how, None)
        same_as_full(found, Enumeration(self.film.roots(), self.cache, None, "x").run())
        return found.held


def same_as_full(found: Enumerated | Holder, full: Enumerated) -> None:
    for name in ("records", "marks", "unreadable", "missing", "pins"):
        assert getattr(found.held, name) == getattr(full.held, name), f"{name}, {found.how}"
    assert sorted(found.held.pending) == sorted(full.held.pending)
    assert full.how == FULL


@pytest.fixture
def kept(film: Film, tmp_path: Path) -> Kept:
    (tmp_path / "store").mkdir()
    film.save("r.txt", text("one"))
    return Kept(film, tmp_path / "store")


def oid_of(film: Film, said: str) -> bytes:
    return bytes.fromhex(film.git("hash-object", "--stdin", stdin=text(said).encode()))


def test_nothing_changed_asks_git_nothing(kept: Kept) -> None:
    first = kept.ask(FULL)
    assert set(first.records) == {oid_of(kept.film, "one")}
    no_git = Roots(
        Git(str(kept.film.path), program="no-such-git"), kept.film.common, kept.film.common, f"{kept.film.common}/index"
    )
    again = Enumeration(no_git, kept.cache, kept.path, "x").run()
    assert (again.how, again.held) == (UNCHANGED, first)


def test_additions_are_added(kept: Kept) -> None:
    film = kept.film
    kept.ask(FULL)
    film.save("r.txt", text("two"))
    kept.ask(ADDED)
    film.git("checkout", "-q", "-b", "side")
    film.save("s.txt", text("three"))
    kept.ask(ADDED)
    film.git("checkout", "-q", "main")
    film.git("stash", "list")
    film.write("r.txt", text("stashed"))
    film.git("stash", "-q")
    kept.ask(ADDED)
    film.git("tag", "-a", "-m", "t", "t")
    film.pin(text("pinned"))
    film.git("pack-refs", "--all")
    held = kept.ask(ADDED)
    said = ("one", "two", "three", "stashed", "pinned")
    assert set(held.records) == {oid_of(film, each) for each in said}
    assert [held.standing(oid_of(film, each)) for each in said] == [1, 3, 2, 2, 2]


def test_an_index_alone(kept: Kept) -> None:
    kept.ask(FULL)
    kept.film.put("i.txt", text("staged"))
    assert kept.ask(ADDED).standing(oid_of(kept.film, "staged")) == 3
    kept.film.git("rm", "-q", "-f", "--cached", "i.txt")
    assert oid_of(kept.film, "staged") not in kept.ask(ADDED).records


TAKEN_AWAY = {
    "a branch": ["branch -q -D side"],
    "a pin": ["update-ref -d refs/regenstore/pins/" + hash_bytes(text("pinned").encode()).hex],
    "a stash": ["stash drop -q"],
    "reflogs": ["reflog expire --expire=now --all"],
    "a worktree": ["worktree remove -f ../other"],
    "what a reset left": ["reset -q --hard HEAD~1", "reflog delete HEAD@{1}"],
}


@pytest.mark.parametrize("take", TAKEN_AWAY.values(), ids=TAKEN_AWAY)
def test_what_was_taken_away_is_gone(kept: Kept, take: list[str]) -> None:
    film = kept.film
    film.git("checkout", "-q", "-b", "side")
    film.save("s.txt", text("side"))
    film.git("checkout", "-q", "main")
    film.save("r.txt", text("two"))
    film.pin(text("pinned"))
    film.git("worktree", "add", "-q", "--detach", "../other")
    film.at("other").put("w.txt", text("elsewhere"))
    film.write("r.txt", text("stashed"))
    film.git("stash", "-q")
    film.git("reflog", "expire", "--expire=now", "refs/heads/side", "HEAD")
    before = kept.ask(FULL)
    for line in take:
        film.git(*line.split(" "))
    after = kept.ask()
    assert after.records.keys() <= before.records.keys()
    film.git("reflog", "expire", "--expire=now", "--all")
    film.git("gc", "-q", "--prune=now")
    kept.ask()


def test_a_rewound_branch_without_reflogs(kept: Kept) -> None:
    film = kept.film
    film.git("config", "core.logAllRefUpdates", "false")
    shutil.rmtree(film.path / ".git" / "logs")
    film.save("r.txt", text("two"))
    kept.ask(FULL)
    film.save("r.txt", text("three"))
    kept.ask(ADDED)  # the old tip is in the new one's history
    film.git("reset", "-q", "--hard", "HEAD~1")
    (film.path / ".git" / "ORIG_HEAD").unlink()
    assert oid_of(film, "three") not in kept.ask(FULL).records


def test_a_graft_and_a_shallow_boundary_are_seen(kept: Kept, tmp_path: Path) -> None:
    film = kept.film
    film.save("r.txt", text("two"))
    clone = film.at("clone")
    film.git("clone", "-q", "--depth=1", f"file://{film.path}", str(clone.path))
    there = Kept(clone, tmp_path / "store")
    assert oid_of(film, "one") not in there.ask(FULL).records
    clone.git("fetch", "-q", "--unshallow")
    (clone.path / ".git" / "FETCH_HEAD").unlink()
    assert oid_of(film, "one") in there.ask(FULL).records


def test_operations_that_stopped_are_walked_in_full(kept: Kept) -> None:
    film = kept.film
    film.git("checkout", "-q", "-b", "side")
    film.save("r.txt", text("theirs"))
    film.git("checkout", "-q", "main")
    film.save("r.txt", text("ours"))
    kept.ask(FULL)
    film.git("merge", "-q", "side", check=False)
    held = kept.ask()
    assert held.standing(oid_of(film, "theirs")) == 3
    film.git("branch", "-q", "-D", "side")
    film.git("reflog", "expire", "--expire=now", "--all")
    assert oid_of(film, "theirs") in kept.ask(FULL).records
    film.git("merge", "--abort")
    kept.ask()


def test_a_file_that_comes_to_name_something(kept: Kept) -> None:
    film = kept.film
    blob = film.git("hash-object", "-w", "--stdin", stdin=text("put").encode())
    tree = film.git("mktree", stdin=f"100644 blob {blob}\ta".encode())
    kept.ask(FULL)
    film.write(".git/FETCH_HEAD", film.git("commit-tree", "-m", "x", tree) + "\t\tbranch 'x' of elsewhere\n")
    assert oid_of(film, "put") in kept.ask().records


def test_a_reflog_alone(kept: Kept) -> None:
    film = kept.film
    film.save("r.txt", text("before"))
    film.put("r.txt", text("after"))
    film.git("commit", "-q", "--amend", "-m", "after")
    assert kept.ask(FULL).standing(oid_of(film, "before")) == 1
    film.git("reflog", "expire", "--expire=now", "--all")
    assert oid_of(film, "before") not in kept.ask(FULL).records


def test_a_reflog_that_names_what_is_not_here_yet(kept: Kept, tmp_path: Path) -> None:
    film, other = kept.film, kept.film.at("other")
    film.git("clone", "-q", str(film.path), str(other.path))
    other.save("r.txt", text("elsewhere"))
    log, commit = film.path / ".git/logs/HEAD", other.git("rev-parse", "HEAD")
    log.write_text(log.read_text() + f"{commit} {film.git('rev-parse', 'HEAD')} A <a@b> 1 +0000\tx\n")
    kept.ask(FULL)
    pack = other.run("git", "pack-objects", "--all", "--stdout", "-q", stdin=b"").stdout
    film.run("git", "index-pack", "--stdin", stdin=pack)
    assert oid_of(film, "elsewhere") in kept.ask(FULL).records


def test_what_a_newer_program_can_read_is_read_again(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    film = kept.film
    mentioned = hash_bytes(b"take")
    oid = bytes.fromhex(film.save("n.txt", f'regenstore = 99\ndigest = "{mentioned}"\n'))
    assert kept.ask(FULL).unreadable == {oid: {mentioned}}
    assert kept.ask(UNCHANGED).unreadable == {oid: {mentioned}}
    newer = recipe("newer")
    monkeypatch.setattr(toml, "decode_or_none", lambda text: newer)
    held = Enumeration(film.roots(), kept.cache, kept.path, "x").run()
    assert (held.how, held.held.unreadable, held.held.records[oid].key) == (UNCHANGED, {}, newer.key)


def test_pending_recipes_of_every_worktree(kept: Kept) -> None:
    from regenstore.refs.pending import Pending

    film = kept.film
    film.git("worktree", "add", "-q", "../other")
    Pending(film.common).set(b"a", b"here")
    Pending(film.at("other").git("rev-parse", "--absolute-git-dir")).set(b"b", b"there")
    assert set(kept.ask(FULL).pending) == {b"here", b"there"}
    Pending(film.common).clear(b"a")
    assert kept.ask(UNCHANGED).pending == (b"there",)
    assert files.load(kept.path, "x").pending == (b"there",)


def test_while_somebody_works(kept: Kept) -> None:
    """What was committed, staged, or put aside before the question is in the answer, whatever moves meanwhile."""
    film = kept.film
    film.git("worktree", "add", "-q", "--detach", "../other")
    done: list[bytes] = []
    stop = threading.Event()

    def work() -> None:
        for n in itertools.count():
            here = film.at("other") if n % 2 else film
            staged = bytes.fromhex(here.put("r.txt", text(f"staged {n}")))
            done.append(staged)
            if n % 3 == 0:
                here.git("stash", "-q")
            elif n % 3 == 1:
                here.git("commit", "-q", "-m", "more")
                here.git("branch", "-q", f"b{n}")
                here.git("reset", "-q", "--hard", "HEAD~1")
            else:
                here.git("commit", "-q", "-m", "more")
            if n % 7 == 0:
                film.git("pack-refs", "--all")
            if stop.is_set():
                return

    worker = threading.Thread(target=work)
    worker.start()
    try:
        for _ in range(25):
            before = set(done)
            found = Enumeration(film.roots(), kept.cache, kept.path, "x").run()
            assert before <= found.held.records.keys(), found.how
    finally:
        stop.set()
        worker.join()
    kept.ask()
    kept.ask(UNCHANGED)


@pytest.mark.parametrize("look", ["in_worktrees", "reached", "in_tips", "reached_since", "points"])
@pytest.mark.parametrize("again", [False, True], ids=["first", "again"])
def test_what_moves_between_two_looks_is_seen(
    kept: Kept, monkeypatch: pytest.MonkeyPatch, look: str, again: bool
) -> None:
    """From the index to a commit that only a reflog remembers, right after one of the looks."""
    film = kept.film
    if again:
        kept.ask(FULL)
        film.save("s.txt", text("since"))
    film.put("r.txt", text("moving"))
    real = getattr(Roots, look)
    moves = iter([["commit -q -m moved", "reset -q --hard HEAD~1"]])

    def moved_after(self: Roots, *given: object) -> object:
        seen = real(self, *given)
        for line in next(moves, []):
            film.git(*line.split(" "))
        return seen

    monkeypatch.setattr(Roots, look, moved_after)
    found = Enumeration(film.roots(), kept.cache, kept.path, "x").run()
    assert oid_of(film, "moving") in found.held.records
    monkeypatch.undo()
    kept.ask()


# ------------------------------------------------------------------------------------------- the file


def some() -> LiveRecipes:
    digests = [hash_bytes(bytes([n])) for n in range(9)]
    records = []
    for n in range(9):
        key, digest = RecipeKey(bytes([n]) * 32) if n % 3 else None, digests[n] if n % 4 else None
        records.append(BlobRecord(bytes([n]) * 20, key, digest, n << 40, f"o{n % 2}", tuple(digests[: n % 3])))
        records[-1] = records[-1]._replace(
            generator="g" if n % 2 else None, version=f"{n}", seconds=n / 8 if n else None
        )
    odd = b"\x77" * 20
    return LiveRecipes(
        {record.oid: record for record in records},
        {**{record.oid: (REACHED, TIP, WORKING, 7)[n % 4] for n, record in enumerate(records)}, odd: WORKING},
        {odd: frozenset(digests[:2])},
        frozenset([b"\x55" * 20]),
        (b"pending \xff\0", b""),
        frozenset(["a", "b"]),
        12.5,
        Basis(b"s" * 32, b"h" * 32, frozenset([b"t" * 20]), frozenset([b"l" * 20, b"m" * 20])),
        frozenset([b"p" * 20, b"q" * 20]),
    )


def test_what_is_kept_comes_back() -> None:
    for held in (some(), LiveRecipes(), LiveRecipes(plain=frozenset([b"p" * 32]))):
        assert files.decode("x", files.encode("x", held)) == held


def test_a_damaged_or_foreign_file_is_not_there(kept: Kept) -> None:
    data = files.encode("x", some())
    assert files.decode("y", data) is None
    chance = random.Random(5)
    for cut in [0, 1, 17, 18, 25, 26, 60, len(data) - 1, *(chance.randrange(len(data)) for _ in range(40))]:
        assert files.decode("x", data[:cut]) is None
    for at in [*range(30), *(chance.randrange(len(data)) for _ in range(60))]:
        changed = bytearray(data)
        changed[at] ^= 1 << chance.randrange(8)
        assert files.decode("x", bytes(changed)) is None
    kept.ask(FULL)
    for wrong in (b"", data, Path(kept.path).read_bytes()[:-1]):
        Path(kept.path).write_bytes(wrong)
        kept.ask(None if wrong == data else FULL)
    kept.ask(UNCHANGED)
    Path(kept.path).unlink()
    Path(kept.path).mkdir()
    kept.ask(FULL)


# ------------------------------------------------------------------------------------------- random histories


@pytest.mark.parametrize("round", [0, pytest.param(1, marks=pytest.mark.heavy)])
def test_histories_enumerated_at_every_step(film: Film, tmp_path: Path, round: int) -> None:
    """Two repositories share a store; after every step of either, what each holds is what a full walk finds."""
    seed = fresh_seed() + round
    print(f"seed {seed}")
    chance = random.Random(seed)
    second = Film(tmp_path / "second" / "film", film.environment)
    second.path.mkdir(parents=True)
    second.git("init", "-q")
    second.save("a.txt", "first")
    store = tmp_path / "store"
    store.mkdir()
    histories = {film.common: History(film, chance), second.common: History(second, chance)}
    for common in histories:
        register(str(store), common)
    cache, ways = ResultCache(str(store)), []
    for step in range(30):
        history = chance.choice(list(histories.values()))
        history.step()
        asked = chance.choice([film, second])
        for holder in Holders(asked.roots(), cache, str(store)).holders():
            assert holder.reachable, holder.reason
            other = histories[holder.path].film
            full = Enumeration(other.roots(), cache, None, "").run()
            ways.append(holder.how)
            try:
                same_as_full(holder, full)
                if step % 10 == 9:
                    by_name = reachable_by_name(other)
                    live = {oid.hex() for oid in (*full.held.records, *full.held.unreadable)}
                    assert live == {oid for oid in by_name if oid in live}
                    assert not [how for oid, how in by_name.items() if oid not in live and looks(other, oid)]
                    at = standing_by_name(other)
                    assert {oid: at.get(oid, 1) for oid in live} == {
                        o.hex(): holder.standing(o) for o in full.held.marks
                    }
            except AssertionError:
                print("\n".join(history.log))
                raise
    print({how: ways.count(how) for how in ways})
    assert {UNCHANGED, ADDED, FULL} == set(ways)


def looks(film: Film, oid: str) -> bool:
    return toml.looks_like_recipe(film.run("git", "cat-file", "blob", oid).stdout)
