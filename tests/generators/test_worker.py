"""Whatever a generator does ends as one clear error for one item, and leaves no process behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from regenstore.errors import GenerationError, RegenstoreError
from regenstore.generators.worker_host import WorkerHost
from regenstore.jobs.local import Job, LocalExecutor, Slot
from tests.generators.conftest import MAX_OUTPUT, alive, processes


def silent(done: float, total: float, note: str) -> None:
    pass


def run(slot, declaration, item, deadline=None, progress=silent):
    return slot.run(declaration, "", item, deadline, progress)


def error_of(slot, declaration, item, **more) -> GenerationError:
    with pytest.raises(RegenstoreError) as caught:
        run(slot, declaration, item, **more)
    error = caught.value
    assert len(error.message) < 5000
    error.message.encode(errors="strict" if item.params["do"] != "surrogate" else "replace")
    return error


def gone(log: Path) -> bool:
    for _ in range(50):
        if not any(map(alive, processes(log))):
            return True
        time.sleep(0.02)
    return False


# ------------------------------------------------------------------------------------------- one item

FAULTS = {
    "raise": ("generator-failed", "the seed is unlucky"),
    "huge": ("generator-failed", "xxx"),
    "unspeakable": ("generator-failed", "Unspeakable"),
    "surrogate": ("generator-failed", "odd"),
    "exit": ("generator-crashed", "exit code 3; last output: about to leave"),
    "sysexit": ("generator-crashed", "exit code 0"),
    "segfault": ("generator-crashed", "SIGSEGV"),
    "oddsignal": ("generator-crashed", "signal"),
    "noise": ("generator-crashed", "protocol"),
    "list": ("generator-crashed", "protocol"),
    "half": ("generator-crashed", "protocol"),
    "endless": ("generator-crashed", ""),
    "nothing": ("output-missing", "without writing its output 'main'"),
    "empty": ("output-missing", "is empty"),
    "wrong-type": ("output-wrong-type", "expected application/octet-stream as output 'main', found image/png"),
    "wrong-side-type": ("output-wrong-type", "expected image/png as output 'mask', found audio/wav"),
    "outside": ("output-missing", "its own folder"),
    "dots": ("output-missing", "its own folder"),
    "link": ("output-missing", "regular file"),
    "linked-folder": ("output-missing", "its own folder"),
    "folder": ("output-missing", "regular file"),
    "fifo": ("output-missing", "regular file"),
    "big": ("output-too-large", str(MAX_OUTPUT)),
    "sparse": ("output-too-large", str(MAX_OUTPUT)),
    "no-main": ("output-missing", "main output"),
    "no-outputs": ("generator-failed", ""),
    "short": ("generator-failed", "main"),
    "numbers": ("generator-failed", "main"),
    "bytes": ("generator-failed", "bytes"),
    "nul": ("output-missing", "main"),
    "lone": ("output-missing", "main"),
    "bad-name": ("generator-failed", "name"),
    "bad-media-type": ("generator-failed", "no type"),
    "children-exit": ("generator-crashed", "exit code 4"),
}


def test_an_item_is_made(slot, odd, item):
    given = item("ok")
    made = run(slot, odd, given)
    assert made.outputs == {"main": (given.output(), "application/octet-stream")}
    assert Path(given.output()).read_bytes() == b"made " + given.id.encode()
    assert 0 <= made.seconds < 5
    assert made.fingerprint["odd"] == "1"


def test_extra_outputs_come_along(slot, odd, item):
    given = item("extra")
    assert run(slot, odd, given).outputs == {
        "main": (given.output(), "application/octet-stream"),
        "mask": (given.output("mask"), "image/png"),
    }


@pytest.mark.parametrize("do", ["chatter", "listen"])
def test_talking_and_listening_do_no_harm(slot, odd, item, do):
    assert "main" in run(slot, odd, item(do)).outputs
    assert "main" in run(slot, odd, item("ok")).outputs


def test_every_fault_is_one_clear_error_and_the_next_item_is_made(slot, odd, item, log):
    """One slot through all of them: it replaces its worker where it has to."""
    for do, (kind, words) in FAULTS.items():
        error = error_of(slot, odd, item(do))
        assert (error.kind, words in error.message) == (kind, True), f"{do}: {error.kind}: {error.message[:200]}"
        assert "main" in run(slot, odd, item("ok")).outputs, do
    slot.close()
    assert gone(log)


def test_a_generator_that_yields_nothing(slot, odd, item):
    error = error_of(slot, replace(odd, implementation="oddities:Nothing"), item("ok"))
    assert (error.kind, error.message) == ("generator-failed", "the generator yielded no result")


@pytest.mark.parametrize(
    ("implementation", "words"),
    [
        ("no_such_module:Odd", "no_such_module"),
        ("oddities:Missing", "Missing"),
        ("oddities", "oddities"),
        ("oddities:PNG", "not callable"),
    ],
)
def test_an_implementation_that_is_not_there(slot, odd, item, implementation, words):
    error = error_of(slot, replace(odd, implementation=implementation), item("ok"))
    assert error.kind == "generator-failed"
    assert words in error.message


@pytest.mark.parametrize("option", [{"broken": True}, {"no_load": "cannot be made"}])
def test_an_implementation_that_cannot_start(slot, odd, item, option):
    error = error_of(slot, replace(odd, options=option), item("ok"))
    assert (error.kind, error.message) == ("generator-failed", "cannot be made")
    assert "main" in run(slot, odd, item("ok")).outputs


def test_the_deadline_stops_a_hanging_item(slot, odd, item, log):
    begun = time.monotonic()
    error = error_of(slot, odd, item("children-hang"), deadline=begun + 2.5)
    assert error.kind == "generator-timeout"
    assert "stopped after" in error.message
    assert time.monotonic() - begun < 5
    assert gone(log)
    assert len(processes(log)) == 3
    assert "main" in run(slot, odd, item("ok")).outputs


def test_a_deadline_in_the_past_starts_nothing(slot, odd, item, log):
    assert error_of(slot, odd, item("ok"), deadline=time.monotonic() - 1).kind == "generator-timeout"
    assert log.read_text() == ""


def test_what_a_generator_leaves_running_ends_with_its_worker(slot, odd, item, log):
    run(slot, odd, item("children"))
    assert len(processes(log)) == 3
    slot.close()
    assert gone(log)


# ------------------------------------------------------------------------------------------- what it sees


def test_values_arrive_as_they_are(slot, odd, item):
    params = {"do": "echo", "seed": 2**64 - 1, "text": "$(id) `id` \"'\n\0 é \U0001f30a --", "x": -0.5, "on": True}
    model = {"name": "m", "released": date(2026, 1, 2), "at": datetime(2026, 1, 2, 3, tzinfo=UTC)}
    given = item("echo", params=params, inputs={"plate": "/a/b"}, model=model)
    run(slot, odd, given)
    seen, inputs, seen_model, _ = json.loads(Path(given.output()).read_text())
    assert seen == params
    assert inputs == {"plate": "/a/b"}
    assert seen_model == {"name": "m", "released": "2026-01-02", "at": "2026-01-02T03:00:00Z"}


def test_the_environment_is_scrubbed(slot, odd, item, monkeypatch):
    monkeypatch.setenv("SECRET_TOKEN", "hunter2")
    given = item("echo")
    run(slot, odd, given)
    seen = json.loads(Path(given.output()).read_text())[3]
    assert set(seen) - {"LC_CTYPE", "__PYVENV_LAUNCHER__"} == {"PATH", "HOME", "TMPDIR", "LANG", "LC_ALL"}
    assert seen["HOME"] != os.environ["HOME"]
    assert not Path(seen["HOME"]).is_relative_to(Path.cwd())
    slot.close()
    assert not Path(seen["HOME"]).exists()


def test_progress_is_passed_on(slot, odd, item):
    told: list[tuple[float, float, str]] = []

    def progress(done: float, total: float, note: str) -> None:
        told.append((done, total, note))
        if len(told) == 3:
            slot.cancel()

    assert error_of(slot, odd, item("slow"), progress=progress).kind == "cancelled"
    assert told[0] == (0.0, 200.0, "step 0")
    assert told == sorted(told, key=lambda t: t[0])


# ------------------------------------------------------------------------------------------- loading, probing


def words(log: Path) -> list[str]:
    return [line.split(" ", 1)[1] for line in log.read_text().splitlines()]


def test_a_model_is_loaded_once_per_key(slot, odd, item, log):
    for key in ("a", "a", "a", "b", "b", "a"):
        slot.run(odd, key, item("ok"), None, silent)
    slot.run(odd, "a", item("ok"), None, silent)
    seen = [w for w in words(log) if not w.startswith("item")]
    assert seen == ["load a", "unload", "load b", "unload", "load a"]
    assert len(processes(log)) == 1


def test_a_plain_failure_keeps_the_model_loaded(slot, odd, item, log):
    run(slot, odd, item("ok"))
    error_of(slot, odd, item("raise"))
    run(slot, odd, item("ok"))
    assert [w for w in words(log) if w.startswith("load")] == ["load "]


def test_other_options_are_another_implementation(slot, odd, item, log):
    run(slot, odd, item("ok"))
    run(slot, replace(odd, options={"log": str(log), "more": 1}), item("ok"))
    assert [w for w in words(log) if not w.startswith("item")] == ["load ", "unload", "load "]


def test_probe(slot, odd):
    found, fingerprint = slot.probe(odd)
    assert (found.available, found.versions, fingerprint["odd"]) == (True, {"odd": "1"}, "1")
    found, fingerprint = slot.probe(replace(odd, options={"absent": "install it"}))
    assert (found.available, found.reason, fingerprint) == (False, "install it", {})
    found, _ = slot.probe(replace(odd, options={"probe": "raise"}))
    assert (found.available, found.reason) == (False, "LookupError: no device")


def test_a_plug_in_is_bound_to_what_it_is_installed_with(slot, odd, plugin_site):
    def installed():
        slot.close()  # by a new worker, as each command has
        return slot.probe(odd)[1]["installed"]

    before, module = installed(), plugin_site / "oddities_declared.py"
    text = module.read_text()
    try:
        module.write_text(text + "# upgraded in place\n")
        assert installed() != before
    finally:
        module.write_text(text)
    assert installed() == before


def test_a_probe_that_hangs_is_stopped(odd):
    host = WorkerHost(MAX_OUTPUT, {})
    with pytest.raises(GenerationError) as caught:
        host.probe(replace(odd, options={"probe": "hang"}), timeout=0.5)
    assert caught.value.kind == "generator-timeout"
    assert not host.usable


def test_a_worker_that_cannot_start(monkeypatch, tmp_path):
    monkeypatch.setattr("sys.executable", str(tmp_path / "no-python"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with pytest.raises(GenerationError) as caught:
        WorkerHost(MAX_OUTPUT, {})
    assert caught.value.kind == "generator-unavailable"
    monkeypatch.setattr("sys.executable", "/bin/false")
    with pytest.raises(GenerationError) as caught:
        WorkerHost(MAX_OUTPUT, {})
    assert caught.value.kind == "generator-crashed"
    assert os.listdir(tmp_path) == []


# ------------------------------------------------------------------------------------------- cancelling


@pytest.mark.parametrize(("do", "patience"), [("polite", 1.5), ("slow", 1.5), ("children-hang", 4.5)])
def test_cancelling_stops_the_item(slot, odd, item, log, do, patience):
    run(slot, odd, item("ok"))
    begun = time.monotonic()
    threading.Timer(0.3, slot.cancel).start()
    assert error_of(slot, odd, item(do)).kind == "cancelled"
    assert time.monotonic() - begun < patience
    slot.close()
    assert gone(log)


def test_cancelling_while_the_worker_starts_is_not_lost(slot, odd, item, log):
    threading.Timer(0.01, slot.cancel).start()
    begun = time.monotonic()
    assert error_of(slot, odd, item("polite")).kind == "cancelled"
    assert time.monotonic() - begun < 3


def test_a_cancelled_slot_starts_nothing_more(slot, odd, item, log):
    slot.cancel()
    assert error_of(slot, odd, item("ok")).kind == "cancelled"
    assert log.read_text() == ""


ORPHAN = """
import os, sys, threading
from pathlib import Path
from regenstore.generators.api import Item
from regenstore.jobs.local import Slot
from tests.generators.test_worker import odd_for, silent
sys.executable = sys.argv[1]
outdir = sys.argv[3]
Slot(600.0, 1 << 20, {}).run(
    odd_for(sys.argv[2]), "", Item("x", {"do": "children-hang"}, {}, "application/octet-stream", outdir), None, silent
)
"""


def odd_for(log: str):
    from regenstore.generators.api import Declaration
    from regenstore.generators.schema import ParamSchema

    kind = "application/octet-stream"
    return Declaration("odd", "1", "", ParamSchema({}), (kind,), "oddities:Odd", options={"log": log})


def test_a_killed_host_takes_its_worker_along(plugin_python, log, tmp_path):
    command = [sys.executable, "-c", ORPHAN, plugin_python, str(log), str(tmp_path)]
    host = subprocess.Popen(command)
    try:
        for _ in range(200):
            if len(processes(log)) == 3:
                break
            time.sleep(0.05)
        assert len(processes(log)) == 3
        assert all(map(alive, processes(log)))
    finally:
        host.send_signal(signal.SIGKILL)
        host.wait()
    assert gone(log)


# ------------------------------------------------------------------------------------------- batches


def executor(workers: int = 2) -> LocalExecutor:
    return LocalExecutor(workers, 20.0, MAX_OUTPUT, {"PATH": os.environ["PATH"]})


def test_one_bad_item_leaves_the_rest_of_the_batch(odd, item, log):
    kinds = ["ok", "exit", "ok", "segfault", "noise", "ok", "raise", "nothing", "ok", "ok"]
    items = {given.id: given for given in map(item, kinds)}
    jobs = [Job(name, "g") for name in items]
    outcomes = dict(executor().run(jobs, lambda job, slot: run(slot, odd, items[job.id])))
    failed = {job.id.split("-")[1]: r.kind for job, r in outcomes.items() if isinstance(r, GenerationError)}
    assert failed == {
        "exit": "generator-crashed",
        "segfault": "generator-crashed",
        "noise": "generator-crashed",
        "raise": "generator-failed",
        "nothing": "output-missing",
    }
    assert sum(not isinstance(r, Exception) for r in outcomes.values()) == 5
    assert gone(log)


def test_dependencies_come_first(odd):
    done: list[str] = []
    lock = threading.Lock()

    def perform(job: Job, slot: Slot) -> str:
        with lock:
            assert job.depends - {"elsewhere"} <= set(done)
        time.sleep(0.01)
        with lock:
            done.append(job.id)
        return job.id

    jobs = [
        Job("final", "g", frozenset({"cut", "sound"})),
        Job("cut", "g", frozenset({"plate", "elsewhere"})),
        Job("sound", "h"),
        Job("plate", "g"),
    ]
    assert {job.id: r for job, r in executor(3).run(jobs, perform)} == {job.id: job.id for job in jobs}
    assert done.index("plate") < done.index("cut") < done.index("final") == 3


def test_a_failed_dependency_does_not_stop_the_batch():
    def perform(job: Job, slot: Slot) -> str:
        if job.id == "a":
            raise GenerationError("generator-failed", "no")
        return job.id

    jobs = [Job("a", ""), Job("b", "", frozenset({"a"}))]
    outcomes = {job.id: r for job, r in executor().run(jobs, perform)}
    assert isinstance(outcomes["a"], GenerationError)
    assert outcomes["b"] == "b"


def test_workers_stay_with_their_model(odd, item, log):
    """Jobs of three models, interleaved: one worker loads each model once."""
    items = {f"{n}": item("ok") for n in range(12)}
    jobs = [Job(name, f"model-{int(name) % 3}") for name in items]
    for _, result in executor(1).run(jobs, lambda job, slot: slot.run(odd, job.group, items[job.id], None, silent)):
        assert not isinstance(result, Exception)
    assert sum(w.startswith("load") for w in words(log)) == 3
    assert len(processes(log)) == 1


def test_two_workers_share_the_work(odd, item, log):
    items = {f"{n}": item("ok") for n in range(4)}
    both = threading.Barrier(2, timeout=20)

    def perform(job: Job, slot: Slot) -> None:
        both.wait()
        run(slot, odd, items[job.id])

    outcomes = list(executor(2).run([Job(name, "g") for name in items], perform))
    assert [r for _, r in outcomes] == [None] * 4
    assert len(processes(log)) == 2


@pytest.mark.parametrize("do", ["polite", "slow"])
def test_leaving_a_batch_cancels_what_runs(odd, item, log, do):
    items = {name: item("ok" if name == "0" else do) for name in map(str, range(6))}
    running = executor().run([Job(name, "g") for name in items], lambda job, slot: run(slot, odd, items[job.id]))
    assert next(running)[0].id == "0"
    begun = time.monotonic()
    running.close()
    assert time.monotonic() - begun < 2
    assert gone(log)


def test_an_exception_in_the_callers_loop_cancels_what_runs(odd, item, log):
    items = {name: item("ok" if name == "0" else "polite") for name in map(str, range(4))}
    with pytest.raises(KeyboardInterrupt):
        for _ in executor().run([Job(name, "g") for name in items], lambda job, slot: run(slot, odd, items[job.id])):
            raise KeyboardInterrupt
    assert gone(log)


def test_an_empty_batch():
    assert list(executor().run([], lambda job, slot: None)) == []
