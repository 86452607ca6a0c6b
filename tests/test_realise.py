"""Making media present: what is planned, in which order it is made, and what one failure does to the rest."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from regenstore.errors import RegenstoreError
from regenstore.generators.registry import Registry
from regenstore.jobs.local import LocalExecutor
from regenstore.objects import toml
from regenstore.objects.content_store import ContentStore
from regenstore.objects.hashing import hash_bytes
from regenstore.objects.holds import held
from regenstore.objects.ids import Digest
from regenstore.objects.recipe import Input, Output, Recipe, Take
from regenstore.objects.result import Content, Result
from regenstore.objects.results.cache import ResultCache
from regenstore.planning import Outcome, Want
from regenstore.project.trust import Approval, TrustRecord
from regenstore.realise import Realiser
from regenstore.refs.leases import lease

KIND = "application/octet-stream"
# Each run appends a line to the log, so that tests can count runs; what is made depends on the text alone.
SCRIPTS = {
    "text": 'echo "$2" >> log.txt\nprintf "%s" "$2" > "$1"\n',
    "join": 'echo "join $2" >> log.txt\ncat "$3" > "$1"; printf "+%s" "$2" >> "$1"\n',
    "copy": 'echo copy >> log.txt\ncat "$3" > "$1"\n',
    "drift": 'echo drift >> log.txt\ncat /proc/sys/kernel/random/uuid > "$1"\n',
    "fail": "echo fail >> log.txt\necho no luck; exit 3\n",
    "slow": 'echo slow >> log.txt\nsleep 1.2; printf "%s" "$2" > "$1"\n',
    "stuck": "echo stuck >> log.txt\nsleep 600\n",
}
SECONDS = {"text": 1.0, "join": 2.0, "slow": 3.0}
TABLE = """
[generators.{name}]
version = "1"
command = ["sh", "tools/{name}.sh", "{{output}}", "{{text}}"{more}]
media_type = "application/octet-stream"
{seconds}
[generators.{name}.params.text]
type = "string"
"""


class Recorder:
    """Progress that remembers."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []

    def started(self, label: str, seconds: float | None) -> None:
        self.told.append(("started", label))

    def advanced(self, label: str, fraction: float, note: str) -> None:
        self.told.append(("advanced", note))

    def finished(self, label: str, error: RegenstoreError | None) -> None:
        self.told.append(("finished" if error is None else error.kind, label))


class Studio:
    """The parts that realising takes, in one folder, with generators that shell scripts implement."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.top = root / "top"
        self.log = root / "log.txt"
        self.known: dict[Digest, Recipe] = {}
        self.asked: list[str | None] = []
        if not self.top.exists():
            (self.top / "tools").mkdir(parents=True)
            tables = []
            for name, script in SCRIPTS.items():
                (self.top / "tools" / f"{name}.sh").write_text(script.replace("log.txt", str(self.log)))
                more = ', "{input.a}"' if name in ("join", "copy") else ""
                inputs = f"[generators.{name}.inputs.a]\n" if name in ("join", "copy") else ""
                seconds = f"seconds = {SECONDS[name]}" if name in SECONDS else ""
                tables.append(TABLE.format(name=name, more=more, seconds=seconds) + inputs)
            (self.top / "regenstore.toml").write_text("".join(tables))
        self.registry = Registry(str(self.top), TrustRecord(str(root / "trusted.json")))
        self.store = ContentStore(str(root / "store"))
        self.store.prepare()
        self.cache = ResultCache(self.store.root)
        self.executor = LocalExecutor(2, 30.0, 1 << 20, {"PATH": os.environ["PATH"]})
        self.progress = Recorder()
        self.realiser = Realiser(self.store, self.cache, self.registry, self.executor, self.find)

    def trust(self) -> Studio:
        for name, declared in self.registry.declared.items():
            self.registry.trust.approve(Approval(declared.hash, name, 1.0))
        return self

    def find(self, digest: Digest, hint: str | None) -> Iterator[Recipe]:
        self.asked.append(hint)
        if digest in self.known:
            yield self.known[digest]

    def put(self, data: bytes) -> Digest:
        digest = hash_bytes(data)
        self.store.put_bytes(data, digest)
        return digest

    def plan(self, *recipes: Recipe, **labelled: Recipe):
        wants = [Want(str(n), recipe) for n, recipe in enumerate(recipes)]
        return self.realiser.plan(wants + [Want(label, recipe) for label, recipe in labelled.items()])

    def run(self, *recipes: Recipe, **more: Any) -> dict[str, Outcome]:
        return {o.want.label: o for o in self.realiser.run(self.plan(*recipes), self.progress, **more)}

    def read(self, outcome: Outcome) -> bytes:
        assert outcome.error is None, outcome.error.message
        return Path(self.store.find(outcome.content.digest, outcome.content.size)).read_bytes()

    def runs(self) -> list[str]:
        return self.log.read_text().split("\n")[:-1] if self.log.exists() else []

    def rows(self) -> list[tuple[str, str]]:
        with sqlite3.connect(self.cache.path) as db:
            return db.execute("SELECT state, message FROM run ORDER BY id").fetchall()


@pytest.fixture
def studio(tmp_path: Path) -> Iterator[Studio]:
    made = Studio(tmp_path).trust()
    yield made
    made.cache.close()


def recipe(generator: str, text: str, **inputs: Digest) -> Recipe:
    pinned = {name: Input(digest, f"plates/{name}.bin") for name, digest in inputs.items()}
    return Recipe(generator, "1", Output(KIND), params={"text": text}, inputs=pinned)


def taking(given: Recipe, data: bytes) -> Recipe:
    return given.with_take(Take(hash_bytes(data), len(data)), None)


def kinds(outcomes: list[Outcome]) -> list[str]:
    return [o.error.kind for o in outcomes]


# ------------------------------------------------------------------------------------------- planning


def test_planning_changes_nothing(studio):
    before = sorted(map(str, studio.root.rglob("*")))
    studio.plan(recipe("text", "a"), recipe("fail", "b"))
    assert sorted(map(str, studio.root.rglob("*"))) == before


def test_a_take_in_the_store_is_a_hit_whatever_made_it(studio):
    studio.put(b"take")
    unknown = Recipe("no.such", "9", Output(KIND, take=Take(hash_bytes(b"take"), 4), seconds=7))
    imported = Recipe.of_imported(Take(hash_bytes(b"take"), 4), KIND)
    plan = studio.plan(unknown, imported)
    assert [(o.content.digest, o.seconds) for o in plan.present] == [
        (hash_bytes(b"take"), 7),
        (hash_bytes(b"take"), None),
    ]
    assert not plan.steps
    assert not plan.failed


def test_a_recorded_result_is_a_hit_if_all_of_it_is_there(studio):
    wanted = recipe("text", "a")
    outputs = {"main": Content(studio.put(b"x"), 1, KIND), "mask": Content(hash_bytes(b"y"), 1, KIND)}
    studio.cache.record(wanted, Result(wanted.key, outputs, 5.0, 1.0))
    assert list(studio.plan(wanted).steps) == [wanted.key]
    studio.put(b"y")
    (hit,) = studio.plan(wanted).present
    assert (hit.content, hit.seconds, hit.drifted) == (outputs["main"], 5.0, False)
    mask = replace(wanted, output=wanted.output._replace(name="mask"))
    assert studio.plan(mask).present[0].content == outputs["mask"]


def test_a_result_without_the_needed_output_is_no_hit(studio):
    """As a rebuilt database has it: of a run with two outputs, Git knew one."""
    wanted = recipe("text", "a")
    studio.cache.record(wanted, Result(wanted.key, {"main": Content(studio.put(b"x"), 1, KIND)}, 5.0, 1.0))
    mask = replace(wanted, output=wanted.output._replace(name="mask"))
    (outcome,) = studio.run(mask).values()
    assert studio.runs() == ["a"]  # it was run, and not answered with half of it
    assert outcome.error.kind == "output-missing"  # this generator makes no mask


def test_a_truncated_take_is_no_hit(studio):
    path = studio.store.find(studio.put(b"take"))
    os.chmod(path, 0o644)
    Path(path).write_bytes(b"ta")
    assert len(studio.plan(taking(recipe("text", "take"), b"take")).steps) == 1


def test_what_is_needed_comes_first(studio):
    first = recipe("text", "sea")
    second = recipe("join", "b", a=hash_bytes(b"sea"))
    third = recipe("join", "c", a=hash_bytes(b"sea+b"))
    studio.known = {hash_bytes(b"sea"): first, hash_bytes(b"sea+b"): second}
    plan = studio.plan(third)
    assert list(plan.steps) == [first.key, second.key, third.key]
    assert plan.steps[third.key].depends == {second.key}
    assert plan.seconds == 5.0
    assert plan.closure(second.key) == {first.key, second.key}


def test_two_that_need_the_same_share_its_step(studio):
    first = recipe("text", "sea")
    studio.known = {hash_bytes(b"sea"): first}
    left, right = (recipe("join", name, a=hash_bytes(b"sea")) for name in "lr")
    plan = studio.plan(left, right, first)
    assert list(plan.steps) == [first.key, left.key, right.key]


def test_the_cache_knows_what_made_an_input(studio):
    first = recipe("text", "sea")
    studio.cache.record(first, Result(first.key, {"main": Content(hash_bytes(b"sea"), 3, KIND)}, 1.0, 1.0))
    plan = studio.plan(recipe("join", "b", a=hash_bytes(b"sea")))
    assert next(iter(plan.steps)) == first.key
    assert studio.asked == []


def test_a_very_long_chain_is_planned(studio):
    data = b"sea"
    made = recipe("text", "sea")
    for n in range(1500):
        studio.known[hash_bytes(data)] = made
        made = recipe("join", str(n), a=hash_bytes(data))
        data += b"+%d" % n
    plan = studio.plan(made)
    assert len(plan.steps) == 1501
    assert list(plan.steps)[-1] == made.key


@pytest.mark.parametrize(
    ("make", "kind", "words"),
    [
        (lambda s: Recipe.of_imported(Take(hash_bytes(b"?"), 1), KIND), "content-missing", "imported"),
        (lambda s: recipe("join", "x", a=hash_bytes(b"?")), "input-missing", "'a' (plates/a.bin)"),
        (lambda s: recipe("no.such", "x"), "no-such-generator", "no.such"),
        (lambda s: replace(recipe("text", "x"), version="2"), "generator-unavailable", "version 2"),
        (lambda s: replace(recipe("text", "x"), params={"txt": "x"}), "unknown-parameter", "did you mean 'text'"),
        (lambda s: replace(recipe("text", "x"), params={"text": 3}), "bad-parameter", "text"),
        (lambda s: replace(recipe("text", "x"), output=Output("image/png")), "bad-media-type", "image/png"),
    ],
    ids=["imported", "input", "generator", "version", "parameter", "value", "type"],
)
def test_what_cannot_be_had_is_said(studio, make, kind, words):
    plan = studio.plan(make(studio), recipe("text", "fine"))
    assert kinds(plan.failed) == [kind]
    assert words in plan.failed[0].error.message
    assert len(plan.steps) == 1


def test_an_imported_input_cannot_be_made(studio):
    digest = hash_bytes(b"photo")
    studio.known = {digest: Recipe.of_imported(Take(digest, 5), KIND)}
    (failed,) = studio.plan(recipe("join", "x", a=digest)).failed
    assert failed.error.kind == "input-missing"
    assert "imported" in failed.error.message


@pytest.mark.parametrize("length", [1, 2, 5])
def test_cycles_are_found(studio, length):
    pins = [hash_bytes(b"pin %d" % n) for n in range(length)]
    ring = [recipe("join", str(n), a=pins[n]) for n in range(length)]
    studio.known = {pins[n]: ring[(n + 1) % length] for n in range(length)}
    plan = studio.plan(ring[0], recipe("text", "fine"))
    assert kinds(plan.failed) == ["dependency-cycle"]
    assert len(plan.steps) == 1


def test_a_recipe_that_gives_its_input_back_is_not_its_own_source(studio):
    """A copy has the bytes of what it was made from: whoever made those first is asked."""
    made = studio.run(recipe("text", "same"))["0"]
    copy = recipe("copy", "", a=made.content.digest)
    assert studio.run(copy)["0"].content.digest == made.content.digest
    os.unlink(studio.store.find(made.content.digest))
    again = studio.run(copy)["0"]
    assert studio.read(again) == b"same"
    assert studio.runs() == ["same", "copy", "same"]


def test_a_want_that_fails_leaves_no_step_behind(studio):
    """Its first input could be made; nobody needs it, because the second one cannot."""
    (studio.top / "regenstore.toml").write_text(
        (studio.top / "regenstore.toml")
        .read_text()
        .replace("[generators.join.inputs.a]", "[generators.join.inputs.a]\n[generators.join.inputs.b]")
    )
    fresh = Studio(studio.root).trust()
    fresh.known = {hash_bytes(b"sea"): recipe("text", "sea")}
    plan = fresh.plan(recipe("join", "x", a=hash_bytes(b"sea"), b=hash_bytes(b"?")))
    assert kinds(plan.failed) == ["input-missing"]
    assert plan.steps == {}
    assert plan.seconds == 0


@pytest.mark.parametrize("hint", ["../../etc/passwd", "/etc/passwd", ".git/config", "a/../../b"])
def test_hints_that_leave_the_worktree_are_not_followed(studio, hint):
    needy = replace(recipe("join", "x"), inputs={"a": Input(hash_bytes(b"?"), hint)})
    studio.plan(needy)
    assert studio.asked == [None]


def test_untrusted_generators_do_not_run(tmp_path):
    studio = Studio(tmp_path)
    outcomes = studio.run(recipe("text", "a"))
    assert outcomes["0"].error.kind == "untrusted-generator"
    assert studio.runs() == []


def test_a_script_that_changed_needs_trust_again(studio):
    (studio.top / "tools" / "text.sh").write_text("rm -rf /nothing\n")
    changed = Studio(studio.root)
    assert kinds(changed.plan(recipe("text", "a")).failed) == ["untrusted-generator"]


# ------------------------------------------------------------------------------------------- budgets


def test_a_budget_is_spent_first_come_first_served(studio):
    plan = studio.plan(*(recipe("text", name) for name in "abc")).within(2.5)
    assert len(plan.steps) == 2
    assert kinds(plan.failed) == ["over-budget"]
    assert plan.failed[0].want.label == "2"


def test_a_shared_input_is_paid_once(studio):
    studio.known = {hash_bytes(b"sea"): recipe("text", "sea")}
    plan = studio.plan(*(recipe("join", name, a=hash_bytes(b"sea")) for name in "ab"))
    assert plan.seconds == 5.0
    assert len(plan.within(5.0).steps) == 3
    assert len(plan.within(4.9).steps) == 2
    assert len(plan.within(2.9).steps) == 0


def test_an_unknown_cost_is_over_any_budget(studio):
    plan = studio.plan(recipe("drift", "a"), recipe("text", "b"))
    assert plan.seconds is None
    kept = plan.within(1e9)
    assert [o.want.label for o in kept.failed] == ["0"]
    assert "not known" in kept.failed[0].error.message
    assert len(kept.steps) == 1


def test_a_negative_budget_makes_nothing(studio):
    studio.put(b"take")
    plan = studio.plan(recipe("text", "a"), taking(recipe("text", "b"), b"take")).within(-1.0)
    assert (len(plan.present), len(plan.failed), len(plan.steps)) == (1, 1, 0)


def test_a_blob_cannot_talk_its_cost_down(studio):
    cheap = recipe("text", "a").with_take(None, 0.001)
    dear = recipe("text", "b").with_take(None, 50)
    assert [step.seconds for step in studio.plan(cheap, dear).steps.values()] == [1.0, 50.0]


def test_a_recipe_or_earlier_runs_tell_a_cost(studio):
    told = recipe("drift", "a").with_take(None, 4)
    assert studio.plan(told).seconds == 4.0
    for n, seconds in enumerate((8.0, 9.0, 10.0)):
        other = recipe("drift", f"other {n}")
        studio.cache.record(other, Result(other.key, {"main": Content(hash_bytes(b"x"), 1, KIND)}, seconds, 1.0))
    assert studio.plan(recipe("drift", "b")).seconds == 9.0


# ------------------------------------------------------------------------------------------- making


def test_what_is_missing_is_made_and_recorded(studio):
    wanted = recipe("text", "sea")
    outcome = studio.run(wanted)["0"]
    assert studio.read(outcome) == b"sea"
    assert outcome.content == Content(hash_bytes(b"sea"), 3, KIND)
    assert not outcome.drifted
    (recorded,) = studio.cache.results(wanted.key)
    assert recorded.outputs["main"] == outcome.content
    assert recorded.seconds == outcome.seconds > 0
    assert {"definition", "program", "machine", "processors"} <= set(recorded.fingerprint)
    assert studio.run(wanted)["0"].content == outcome.content
    assert studio.runs() == ["sea"]
    assert held(studio.store.root) == {outcome.content.digest}
    studio.store.holds.release()
    assert os.listdir(f"{studio.store.root}/tmp") == os.listdir(f"{studio.store.root}/leases") == []


def test_one_key_runs_once_for_all_its_paths(studio):
    outcomes = studio.run(*[recipe("text", "sea")] * 3, replace(recipe("text", "sea"), about={"note": "x"}))
    assert {studio.read(o) for o in outcomes.values()} == {b"sea"}
    assert studio.runs() == ["sea"]


def test_a_chain_is_made_in_order(studio):
    studio.known = {
        hash_bytes(b"sea"): recipe("text", "sea"),
        hash_bytes(b"sea+b"): recipe("join", "b", a=hash_bytes(b"sea")),
    }
    outcome = studio.run(recipe("join", "c", a=hash_bytes(b"sea+b")))["0"]
    assert studio.read(outcome) == b"sea+b+c"
    assert studio.runs() == ["sea", "join b", "join c"]


def test_outcomes_come_with_what_is_present_first(studio):
    studio.put(b"take")
    plan = studio.plan(recipe("text", "a"), recipe("no.such", "b"), taking(recipe("text", "c"), b"take"))
    labels = [o.want.label for o in studio.realiser.run(plan, studio.progress)]
    assert labels == ["2", "1", "0"]
    assert studio.progress.told == [("started", "0"), ("finished", "0")]


def test_other_bytes_than_the_take_are_told(studio):
    take = taking(recipe("drift", "a"), b"what the artist saw")
    outcome = studio.run(take)["0"]
    assert outcome.error is None
    assert outcome.drifted
    assert outcome.content.digest != take.output.take.digest
    assert not studio.run(taking(recipe("text", "sea"), b"sea"))["0"].drifted


def test_an_output_that_the_run_has_not_is_told(studio):
    mask = replace(recipe("text", "a"), output=Output(KIND, "mask"))
    outcomes = studio.run(mask, recipe("text", "a"))
    assert outcomes["0"].error.kind == "output-missing"
    assert "(it gave: main)" in outcomes["0"].error.message
    assert studio.read(outcomes["1"]) == b"a"


def test_one_failure_leaves_the_rest(studio):
    outcomes = studio.run(recipe("text", "a"), recipe("fail", "b"), recipe("text", "c"))
    assert outcomes["1"].error.kind == "generator-failed"
    assert "no luck" in outcomes["1"].error.message
    assert [studio.read(outcomes[n]) for n in "02"] == [b"a", b"c"]
    assert ("generator-failed", "1") in studio.progress.told
    assert os.listdir(f"{studio.store.root}/tmp") == []


def test_what_needs_a_failed_input_fails_by_that_name(studio):
    studio.known = {hash_bytes(b"sea"): recipe("fail", "sea")}
    outcomes = studio.run(recipe("join", "x", a=hash_bytes(b"sea")), recipe("text", "fine"))
    assert outcomes["0"].error.kind == "input-missing"
    assert "plates/a.bin could not be made" in outcomes["0"].error.message
    assert studio.read(outcomes["1"]) == b"fine"
    assert "join x" not in studio.runs()


def test_an_input_with_other_bytes_than_pinned_is_told(studio):
    studio.known = {hash_bytes(b"sea"): recipe("drift", "sea")}
    error = studio.run(recipe("join", "x", a=hash_bytes(b"sea")))["0"].error
    assert error.kind == "input-changed"
    assert str(hash_bytes(b"sea")) in error.message
    assert "join x" not in studio.runs()


@pytest.mark.parametrize("damage", [b"se", b"SEA"], ids=["short", "changed"])
def test_nothing_is_made_from_a_damaged_input(studio, damage):
    path = Path(studio.store.find(studio.put(b"sea")))
    good = recipe("join", "good", a=studio.put(b"plate"))
    path.chmod(0o644)
    path.write_bytes(damage)
    outcomes = studio.run(recipe("join", "x", a=hash_bytes(b"sea")), good)
    assert outcomes["0"].error.kind == "store-damaged"
    assert str(path) in outcomes["0"].error.message
    assert studio.read(outcomes["1"]) == b"plate+good"
    assert "join x" not in studio.runs()
    path.unlink()
    studio.put(b"sea")
    assert studio.read(studio.run(recipe("join", "x", a=hash_bytes(b"sea")))["0"]) == b"sea+x"


def test_the_limit_stops_everything(studio):
    begun = time.monotonic()
    outcomes = studio.run(recipe("stuck", "a"), recipe("stuck", "b"), recipe("stuck", "c"), limit=1.0)
    assert {o.error.kind for o in outcomes.values()} == {"generator-timeout"}
    assert time.monotonic() - begun < 6
    assert len(studio.runs()) <= 2


def test_leaving_early_cancels(studio):
    plan = studio.plan(recipe("text", "a"), recipe("stuck", "b"), recipe("stuck", "c"))
    running = studio.realiser.run(plan, studio.progress)
    assert studio.read(next(running)) == b"a"
    begun = time.monotonic()
    running.close()
    assert time.monotonic() - begun < 4
    assert {state for state, _ in studio.rows()} <= {"done", "cancelled"}
    studio.store.holds.release()
    assert os.listdir(f"{studio.store.root}/tmp") == os.listdir(f"{studio.store.root}/leases") == []


def test_a_failing_disk_is_an_outcome(studio):
    os.rmdir(f"{studio.store.root}/leases")
    Path(f"{studio.store.root}/leases").write_text("in the way")
    outcomes = studio.run(recipe("text", "a"))
    assert outcomes["0"].error.category == "storage"


def test_a_bug_in_one_item_is_an_outcome(studio, monkeypatch):
    real = studio.store.adopt

    def broken(path: str, **named: Any) -> Any:
        if Path(path).read_bytes() == b"bad":
            raise ZeroDivisionError("oops")
        return real(path, **named)

    monkeypatch.setattr(studio.store, "adopt", broken)
    outcomes = studio.run(recipe("text", "bad"), recipe("text", "good"))
    assert outcomes["0"].error.kind == "bug"
    assert "ZeroDivisionError: oops" in outcomes["0"].error.message
    assert studio.read(outcomes["1"]) == b"good"
    assert sorted(studio.rows()) == [("done", ""), ("failed", "oops")]


# ------------------------------------------------------------------------------------------- the journal


# ------------------------------------------------------------------------------------------- proofs


ELSEWHERE = {"machine": "another"}


def proofs(studio: Studio, given: Recipe, data: bytes) -> list[str]:
    return [proof.tier for proof in studio.cache.proofs(given.key, hash_bytes(data))]


def lose(studio: Studio, *contents: bytes) -> None:
    for data in contents:
        os.unlink(studio.store.find(hash_bytes(data)))


def test_a_first_run_proves_nothing_and_one_that_gives_the_take_again_does(studio):
    first = recipe("text", "sea")
    studio.run(first)
    assert proofs(studio, first, b"sea") == []
    lose(studio, b"sea")
    outcome = studio.run(taking(first, b"sea"))["0"]
    (proof,) = studio.cache.proofs(first.key, hash_bytes(b"sea"))
    assert (proof.exact, proof.second, proof.seconds) == (True, hash_bytes(b"sea"), outcome.seconds)
    assert proof.fingerprint == outcome.fingerprint == studio.cache.results(first.key)[0].fingerprint


def test_the_word_of_a_recipe_or_of_an_earlier_result_counts_as_the_first_run(studio):
    told = taking(recipe("text", "told"), b"told")  # as in a fresh clone
    studio.run(told)
    assert proofs(studio, told, b"told") == ["bytes"]
    wanted = recipe("text", "wanted")
    studio.run(wanted)
    lose(studio, b"wanted")
    studio.run(wanted)
    assert proofs(studio, wanted, b"wanted") == ["bytes"]


def test_an_input_that_is_made_again_is_proven_too(studio):
    first = recipe("text", "sea")
    studio.known = {hash_bytes(b"sea"): first}
    studio.run(recipe("join", "b", a=hash_bytes(b"sea")))
    assert proofs(studio, first, b"sea") == ["bytes"]


def test_other_bytes_prove_nothing_and_are_remembered_with_where_they_came_from(studio):
    drift = taking(recipe("drift", "a"), b"what the artist saw")
    gave = studio.run(drift)["0"]
    assert proofs(studio, drift, b"what the artist saw") == []
    lose(studio, Path(studio.store.find(gave.content.digest)).read_bytes())
    more = studio.run(drift)["0"]
    results = studio.cache.results(drift.key)
    assert {r.outputs["main"].digest for r in results} == {gave.content.digest, more.content.digest}
    assert results[0].fingerprint == results[1].fingerprint


def other_result(
    studio: Studio, given: Recipe, data: bytes, created: float = 1.0, fingerprint: Mapping[str, str] = ELSEWHERE
) -> None:
    """Bytes that the same key gave otherwise, and that are in the store."""
    content = Content(studio.put(data), len(data), KIND)
    studio.cache.record(given, Result(given.key, {"main": content}, 1.0, created, fingerprint))


def test_a_proven_take_is_made_again_although_another_result_is_there(studio):
    proven = taking(recipe("text", "sea"), b"sea")
    studio.run(proven)
    other_result(studio, proven, b"other sea")
    lose(studio, b"sea")
    assert studio.read(studio.run(proven)["0"]) == b"sea"
    other_result(studio, proven, b"a later one", created=1e12)
    lose(studio, b"sea")
    assert studio.read(studio.run(proven)["0"]) == b"sea"  # what another machine made since says nothing
    (proof, *_) = studio.cache.proofs(proven.key, hash_bytes(b"sea"))
    other_result(studio, proven, b"the last one", created=2e12, fingerprint=proof.fingerprint)
    lose(studio, b"sea")
    assert studio.run(proven)["0"].drifted  # it was tried here since, and gave something else


def test_a_proven_input_is_made_again_although_another_result_is_there(studio):
    first = recipe("text", "sea")
    studio.run(taking(first, b"sea"))
    other_result(studio, first, b"other sea")
    lose(studio, b"sea")
    assert studio.read(studio.run(recipe("join", "b", a=hash_bytes(b"sea")))["0"]) == b"sea+b"


def test_of_several_recipes_that_made_an_input_the_proven_one_is_run(studio):
    steady, other = recipe("text", "sea"), recipe("drift", "sea")
    studio.run(taking(steady, b"sea"))
    content = Content(hash_bytes(b"sea"), 3, KIND)
    studio.cache.record(other, Result(other.key, {"main": content}, 1.0, 1e12))
    lose(studio, b"sea")
    assert studio.read(studio.run(recipe("join", "b", a=hash_bytes(b"sea")))["0"]) == b"sea+b"
    assert "drift sea" not in studio.runs()


def test_where_one_recipe_cannot_run_or_lacks_an_input_another_is_taken(studio):
    content = Content(hash_bytes(b"sea"), 3, KIND)
    needy = recipe("copy", "sea", a=hash_bytes(b"nobody has it"))
    for created, other in enumerate((recipe("text", "sea"), needy, recipe("no.such", "sea"))):
        studio.cache.record(other, Result(other.key, {"main": content}, 1.0, float(created)))
    plan = studio.plan(recipe("join", "b", a=hash_bytes(b"sea")))
    assert [step.recipe.generator for step in plan.steps.values()] == ["text", "join"]
    studio.known = {}
    without = studio.plan(recipe("join", "b", a=hash_bytes(b"nobody has it")))
    assert kinds(without.failed) == ["input-missing"] and not without.steps


def test_runs_are_recorded_with_how_they_ended(studio):
    studio.run(recipe("text", "a"))
    studio.run(recipe("fail", "b"))
    studio.run(recipe("text", "a"))
    assert [state for state, _ in studio.rows()] == ["done", "failed"]
    assert "no luck" in studio.rows()[1][1]


def test_a_run_is_recorded_before_it_runs(studio):
    plan = studio.plan(recipe("slow", "a"))
    seen: list[Any] = []

    def look() -> None:
        for _ in range(400):
            if studio.runs():
                seen.append(studio.rows())
                return
            time.sleep(0.01)

    watcher = threading.Thread(target=look)
    watcher.start()
    list(studio.realiser.run(plan, studio.progress))
    watcher.join()
    assert seen == [[("running", "")]]
    with sqlite3.connect(studio.cache.path) as db:
        (text,) = db.execute("SELECT recipe FROM run").fetchone()
    assert toml.decode(text) == recipe("slow", "a")


# ------------------------------------------------------------------------------------------- several processes

CHILD = """
import json, sys
from pathlib import Path
from tests.test_realise import Studio, recipe
studio = Studio(Path(sys.argv[1]))
outcomes = studio.run(*(recipe(*name.split("/")) for name in sys.argv[2:]))
print(json.dumps({o.want.recipe.params["text"]: studio.read(o).decode() for o in outcomes.values()}))
"""


@pytest.fixture
def child(studio: Studio) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    started = []

    def start(*names: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", CHILD, str(studio.root), *names]
        started.append(
            subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)
        )
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_two_processes_make_a_key_once(studio, child):
    both = [child("slow/a", "text/b"), child("text/b", "slow/a")]
    for process in both:
        out, said = process.communicate(timeout=60)
        assert process.returncode == 0, said
        assert json.loads(out) == {"a": "a", "b": "b"}
    assert sorted(studio.runs()) == ["b", "slow"]
    assert [state for state, _ in studio.rows()] == ["done", "done"]


def wait_for(condition: Callable[[], object]) -> None:
    for _ in range(600):
        if condition():
            return
        time.sleep(0.02)
    raise AssertionError("it never came")


def test_a_killed_process_does_not_block_the_next(studio, child):
    process = child("slow/a")
    wait_for(studio.runs)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert studio.rows() == [("running", "")]
    assert studio.cache.results(recipe("slow", "a").key) == []
    assert studio.read(studio.run(recipe("slow", "a"))["0"]) == b"a"
    assert studio.runs() == ["slow", "slow"]


def test_waiting_for_another_process_is_told_and_limited(studio):
    wanted = recipe("text", "a")
    with lease(f"{studio.store.root}/leases", wanted.key.hex, lambda: None):
        outcome = studio.run(wanted, limit=0.4)["0"]
    assert outcome.error.kind == "generator-timeout"
    assert ("advanced", "another process is making it") in studio.progress.told
    assert studio.runs() == []
