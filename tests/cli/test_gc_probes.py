"""gc and generators that are not built in: a take is made once more before anything goes by their proofs.

The generator reads ``shade`` outside of the repository, which nothing that is recorded of it can name.
"""

from __future__ import annotations

import json
import signal
import subprocess
import time
import tomllib
from pathlib import Path

import pytest

from tests.conftest import Checkout, built_on, copied

PRINT = """#!/bin/sh
outside="$(dirname "$0")/../../outside"
echo run >> "$outside/runs"
[ -f "$outside/wait" ] && sleep 60
[ -f "$outside/broken" ] && { echo no ink; exit 3; }
{ cat "$outside/shade"; printf '%s' "$2"; } > "$1"
"""
JOIN = """#!/bin/sh
cat "$2" "$2" > "$1"
"""
DECLARED = """
[generators.print]
version = "1"
command = ["tools/print", "{output}", "{word}"]
media_type = "application/octet-stream"
[generators.print.params.word]
type = "string"
[generators.join]
version = "1"
command = ["tools/join", "{output}", "{input.source}"]
media_type = "application/octet-stream"
[generators.join.inputs.source]
"""
WORDS = ("one", "two", "three")


class Printed(Checkout):
    """A repository with printed media, proven."""

    @property
    def outside(self) -> Path:
        return self.path.parent / "outside"

    @property
    def runs(self) -> int:
        return len((self.outside / "runs").read_text().splitlines())

    def change(self) -> None:
        """What the generator reads is another one from now on, and nobody was told."""
        (self.outside / "shade").write_text("dark ")

    def why(self, path: str) -> dict:
        return json.loads(self.regenstore("why", path, "--json"))

    def gc(self, *options: str, **extra: str) -> dict:
        done = self.run("regenstore", "gc", "--yes", "--json", *options, check=False, **extra)
        assert done.returncode in (0, 1), done.stderr.decode()
        return json.loads(done.stdout)["done"]

    def plan(self, *options: str, **extra: str) -> dict:
        return json.loads(self.run("regenstore", "gc", "-n", "--json", *options, check=False, **extra).stdout)

    def stored(self, path: str, revision: str = "") -> bool:
        digest = tomllib.loads(self.blob(path, revision).decode())["output"]["digest"].removeprefix("blake3:")
        return any((self.store / tree / digest[:2] / digest[2:]).exists() for tree in ("vault", "cache"))


@pytest.fixture(scope="session")
def printed_template(empty_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    def build(made: Printed) -> None:
        made.outside.mkdir()
        (made.outside / "shade").write_text("light ")
        made.write("tools/print", PRINT).chmod(0o755)
        made.write("tools/join", JOIN).chmod(0o755)
        made.write("regenstore.toml", DECLARED)
        made.regenstore("trust", "--yes")
        for word in WORDS:
            made.regenstore("new", f"{word}.bin", "-g", "print", "-p", f"word={word}")
        made.commit("printed")
        made.regenstore("verify", "--all")

    return built_on(tmp_path_factory, "printed-template", empty_template, Printed, build)


@pytest.fixture
def printed(printed_template: Path, tmp_path: Path) -> Printed:
    return copied(printed_template, tmp_path, Printed)


def paths() -> list[str]:
    return [f"{word}.bin" for word in WORDS]


def test_what_no_longer_comes_back_is_found_out_before_anything_goes(printed: Printed) -> None:
    before, runs = {path: printed.read(path) for path in paths()}, printed.runs
    planned = printed.plan("--free", "1g")
    assert len(planned["evict"]) == 3 and printed.runs == runs  # a plan runs nothing
    (probe,) = planned["probes"]
    assert probe["generator"] == "print" and probe["paths"][0] in paths()
    assert 0 < probe["seconds"] == planned["probe_seconds"] <= planned["probe_budget"] == 60
    printed.change()
    done = printed.gc("--free", "1g")
    assert done["evicted"]["contents"] == done["purged"]["contents"] == 0
    assert [told["state"] for told in done["probes"]] == ["different"] and printed.runs == runs + 1
    for path in paths():
        said = printed.why(path)
        assert (said["state"], said["rule"]) == ("kept", "lapsed") and "a different output" in said["detail"]
    again = printed.plan("--free", "1g")
    assert (again["evict"], again["probes"]) == ([], [])
    printed.regenstore("drop")
    printed.regenstore("get")
    assert {path: printed.read(path) for path in paths()} == before and printed.status() == ""
    (printed.outside / "shade").write_text("light ")  # as it was: who proves it again may let it go again
    printed.regenstore("verify", "--all")
    assert sorted(printed.why(path)["state"] for path in paths()) == ["evictable", "evictable", "kept"]


def test_one_take_of_a_generator_speaks_for_all_and_is_a_new_proof(printed: Printed) -> None:
    runs, before = printed.runs, {path: printed.read(path) for path in paths()}
    (probe,) = printed.plan("--free", "1g")["probes"]
    proven = printed.why(probe["paths"][0])["proof"]["created"]
    done = printed.gc("--free", "1g")
    assert done["purged"]["contents"] == 3 and [told["state"] for told in done["probes"]] == ["passed"]
    assert printed.runs == runs + 1 and printed.why(probe["paths"][0])["proof"]["created"] > proven
    assert not any(map(printed.stored, paths()))
    for path in paths():
        (printed.path / path).unlink()
    printed.git("checkout", "--", ".")
    assert {path: printed.read(path) for path in paths()} == before
    printed.gc("--free", "1")  # by way of cache/, where proven ones lie, and of a run that puts one into vault/
    assert printed.gc("--free", "1g")["purged"]["contents"] == 2


def test_what_cannot_be_tried_keeps_everything_and_its_proofs(printed: Printed) -> None:
    assert printed.plan("--free", "1g", REGENSTORE_GC_BUDGET="0")["kept"]["unprobed"]["contents"] == 3
    assert printed.gc("--free", "1g", REGENSTORE_GC_BUDGET="0.0001")["purged"]["contents"] == 0
    printed.git("config", "regenstore.gcBudget", "soon")
    done = printed.run("regenstore", "gc", "-n", check=False)
    assert done.returncode == 2 and b"regenstore.gcBudget" in done.stderr
    printed.git("config", "--unset", "regenstore.gcBudget")
    (printed.outside / "broken").touch()
    done = printed.gc("--free", "1g")
    assert done["purged"]["contents"] == 0 and "no ink" in done["probes"][0]["reason"]
    assert printed.why("one.bin")["state"] == "evictable"  # nothing was shown to be wrong
    (printed.outside / "broken").unlink()
    assert printed.gc("--free", "1g")["purged"]["contents"] == 3


def test_what_waits_in_the_trash_is_tried_before_it_is_deleted(printed: Printed) -> None:
    printed.regenstore("set", "one.bin", "word=four")
    printed.commit("four")
    assert printed.gc()["evicted"]["contents"] == 1
    printed.change()
    done = printed.gc("--purge", REGENSTORE_GC_BUDGET="0")
    assert done["purged"]["contents"] == 0 and not printed.stored("one.bin", "HEAD~1")  # it waits on
    assert printed.gc("--purge")["purged"]["contents"] == 0
    assert printed.stored("one.bin", "HEAD~1")  # it came back, as nothing proves any more that it would


def test_a_probe_of_what_lies_in_the_trash_leaves_nothing_behind(printed: Printed) -> None:
    printed.regenstore("set", "one.bin", "word=four")
    printed.commit("four")
    assert printed.gc()["evicted"]["contents"] == 1
    done = printed.gc("--purge")
    assert done["purged"]["contents"] == 1 and [told["state"] for told in done["probes"]] == ["passed"]
    assert not printed.stored("one.bin", "HEAD~1") and not (printed.store / "trash").exists()


def test_an_input_that_a_probe_took_from_the_trash_does_not_stay(printed: Printed) -> None:
    printed.regenstore("new", "twice.bin", "-g", "join", "-i", "source=one.bin")
    printed.commit("twice")
    printed.regenstore("verify", "twice.bin")
    for name in paths():  # any of them may be the one that is tried for all
        printed.regenstore("set", name, f"word=another {name}")
    printed.regenstore("new", "--force", "twice.bin", "-g", "join", "-i", "source=one.bin")
    printed.commit("others")
    assert printed.gc()["evicted"]["contents"] == len(paths()) + 1
    done = printed.gc("--purge")
    assert {told["generator"]: told["state"] for told in done["probes"]} == {"join": "passed", "print": "passed"}
    assert not any(printed.stored(name, "HEAD~1") for name in (*paths(), "twice.bin"))
    assert not (printed.store / "trash").exists()


def test_a_chain_needs_every_generator_in_it(printed: Printed) -> None:
    """The input is gone already; what was made from it goes only if the input would come back too."""
    printed.regenstore("new", "twice.bin", "-g", "join", "-i", "source=one.bin")
    printed.commit("twice")
    printed.regenstore("verify", "twice.bin")
    before = printed.read("twice.bin")
    assert printed.gc("--free", "1g", "--select", "one.bin")["purged"]["contents"] == 1
    assert {probe["generator"] for probe in printed.plan("--free", "1g", "--select", "twice.bin")["probes"]} == {
        "join",
        "print",
    }
    printed.change()
    done = printed.gc("--free", "1g", "--select", "twice.bin")
    assert done["purged"]["contents"] == 0
    assert {told["generator"]: told["state"] for told in done["probes"]}["print"] == "different"
    assert printed.stored("twice.bin") and printed.read("twice.bin") == before
    assert printed.why("two.bin")["rule"] == "lapsed"


def test_a_limit_obeys_the_same_rule(printed: Printed) -> None:
    printed.git("config", "regenstore.maxSize", "1")
    printed.change()
    printed.regenstore("gc", "--auto")
    assert all(map(printed.stored, paths()))
    assert printed.why("one.bin")["rule"] == "lapsed"


def test_killed_while_it_tries_nothing_is_lost(printed: Printed) -> None:
    (printed.outside / "wait").touch()
    runs = printed.runs
    process = subprocess.Popen(["regenstore", "gc", "--yes", "--free", "1g"], cwd=printed.path, env=printed.environment)
    deadline = time.monotonic() + 120
    while printed.runs == runs:
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    (printed.outside / "wait").unlink()
    assert all(map(printed.stored, paths())) and not (printed.store / "trash").exists()
    printed.regenstore("fsck")
    assert printed.gc("--free", "1g")["purged"]["contents"] == 3


def test_built_in_generators_are_believed_without_a_run(film: Checkout) -> None:
    film.regenstore("verify", "--all")
    planned = json.loads(film.run("regenstore", "gc", "-n", "--json", "--free", "1g", check=False).stdout)
    assert len(planned["evict"]) == 1 and planned["probes"] == []
    done = film.run("regenstore", "gc", "--yes", "--json", "--free", "1g", check=False, REGENSTORE_GC_BUDGET="0")
    told = json.loads(done.stdout)["done"]
    assert told["purged"]["contents"] == 1 and told["probes"] == []


def test_an_edited_module_asks_for_trust_and_its_proofs_lapse(printed: Printed) -> None:
    """The script sources a file that its definition does not name: it lies beside it, and is tracked."""
    printed.write("tools/print", PRINT.replace("cat ", '. "$(dirname "$0")/ink.sh"; printf "%s" "$ink"; cat '))
    printed.write("tools/ink.sh", "ink=black\n")
    printed.commit("ink of its own")
    printed.regenstore("trust", "--yes")
    printed.regenstore("new", "four.bin", "-g", "print", "-p", "word=four")
    printed.commit("four")
    printed.regenstore("verify", "four.bin")
    assert printed.why("four.bin")["state"] == "evictable"
    said = printed.why("four.bin")["unchanged"]
    assert said["probed"] and "tools/ink.sh" in " ".join(said["covers"]) and "the time" in said["not_covered"]
    runs = printed.runs
    printed.write("tools/ink.sh", "ink=blue\n")
    done = printed.gc("--free", "1g")
    assert (done["purged"]["contents"], done["probes"], printed.runs) == (0, [], runs)
    why = printed.why("four.bin")
    assert why["rule"] == "generator" and "tools/ink.sh changed since you trusted it" in why["detail"]
    printed.regenstore("trust", "--yes")
    assert printed.why("four.bin")["rule"] == "lapsed"
    assert printed.gc("--free", "1g")["purged"]["contents"] == 0 and printed.runs == runs
    printed.write("tools/ink.sh", "ink=black\n")
    assert printed.why("four.bin")["state"] == "evictable"
