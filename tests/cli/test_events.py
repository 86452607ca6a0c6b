"""Events end to end: real commands, a real server, and processes that are killed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from regenstore.objects.hashing import hash_bytes
from regenstore.schemas.stored import STORED
from tests.cli.conftest import SMALL
from tests.conftest import Checkout
from tests.events.receiver import Receiver, receiver


@pytest.fixture
def server() -> Iterator[Receiver]:
    with receiver() as made:
        yield made


def declare(film: Checkout, text: str, *, trust: bool = True) -> None:
    film.write("regenstore.toml", f"[notify]\n{text}\n")
    if trust:
        assert b"notify" in film.run("regenstore", "trust", "--yes").stdout


def waiting(film: Checkout) -> list[dict[str, Any]]:
    return json.loads(film.run("regenstore", "events", "--json").stdout)["waiting"]


def check_manifest(event: dict[str, Any]) -> dict[str, Any]:
    """The manifest of an export is where the event says, and so is everything that it lists."""
    data = Path(event["manifest"]["path"]).read_bytes()
    assert (str(hash_bytes(data)), len(data)) == (event["manifest"]["digest"], event["manifest"]["size"])
    made = json.loads(data)
    for row in made["files"]:
        there = Path(row["path"]).read_bytes()
        assert (str(hash_bytes(there)), len(there)) == (row["digest"], row["size"])
    return made


def test_nobody_is_told_without_trust(film: Checkout, server: Receiver) -> None:
    declare(film, f'webhook = "{server.address}"', trust=False)
    done = film.run("regenstore", "export", "sidecar", "plates/sea.png", "--to", "out")
    assert b"not trusted" in done.stderr
    assert (server.seen, waiting(film)) == ([], [])
    shown = film.run("regenstore", "trust", "--yes").stdout.decode()
    assert server.address in shown
    film.regenstore("export", "sidecar", "plates/sea.png", "--to", "out2")
    (event,) = server.seen
    film.run("regenstore", "trust", "--revoke", "notify")
    film.regenstore("export", "sidecar", "plates/sea.png", "--to", "out3")
    assert server.seen == [event]


def test_an_export_is_told_with_its_manifest(film: Checkout, server: Receiver) -> None:
    declare(film, f'webhook = "{server.address}"')
    film.regenstore("export", "sidecar", "plates/sea.png", "refs/photo.png", "--to", "out", check=False)
    film.regenstore("export", "sidecar", "plates/sea.png", "--to", "out", "--embed")
    (event,) = server.seen[-1:]
    assert (event["event"], event["repository"], event["data"]) == ("export-sidecar", str(film.path), {"files": 2})
    STORED["sidecar-manifest"].model_validate_json(Path(event["manifest"]["path"]).read_bytes())
    rows = check_manifest(event)["files"]
    assert {os.path.basename(row["path"]) for row in rows} == {"sea.png", "sea.xmp"}
    assert waiting(film) == []


def test_a_dataset_is_told_with_its_manifest(film: Checkout, server: Receiver) -> None:
    declare(film, f'webhook = "{server.address}"')
    film.regenstore("export", "dataset", "../clips", "plates", "--trainer", "none")
    (event,) = server.seen
    manifest = film.path.parent / "clips/manifest.json"
    assert event["event"] == "export-dataset"
    assert event["manifest"]["path"] == str(manifest)
    assert event["manifest"]["digest"] == str(hash_bytes(manifest.read_bytes()))
    film.regenstore("export", "dataset", "../clips", "plates", "--trainer", "none", "--update")
    assert server.seen == [event]  # nothing changed


def test_progress_comes_as_lines(film: Checkout) -> None:
    film.regenstore("new", "plates/two.png", "-g", "procedural.image", "-p", "prompt=two", *SMALL)
    film.commit("two")
    film.regenstore("drop", "plates")
    shutil.rmtree(film.path / ".git/regenstore")
    done = film.run("regenstore", "export", "sidecar", "plates", "--to", "out", "--json")
    assert json.loads(done.stdout)["type"] == "regenstore.export-sidecar"
    lines = [json.loads(line) for line in done.stderr.splitlines() if line.startswith(b"{")]
    assert {line["type"] for line in lines} == {"regenstore.progress"}
    told = {(line["what"], line["item"]) for line in lines}
    assert told >= {(what, f"plates/{name}.png") for what in ("started", "finished") for name in ("sea", "two")}


def test_a_refused_export_is_told_to_nobody(film: Checkout, server: Receiver) -> None:
    declare(film, f'webhook = "{server.address}"')
    film.write("out/sea.xmp", "mine")
    done = film.run("regenstore", "export", "sidecar", "plates/sea.png", "--to", "out", check=False)
    assert done.returncode == 4
    assert (server.seen, waiting(film)) == ([], [])


def test_generation_and_gc_are_told(film: Checkout, server: Receiver) -> None:
    declare(film, f'webhook = "{server.address}"')
    film.regenstore("new", "plates/two.png", "-g", "procedural.image", "-p", "prompt=two", *SMALL)
    (event,) = server.seen
    (row,) = event["data"]["media"]
    assert (event["event"], row["path"]) == ("generation", "plates/two.png")
    assert row["outputs"]["main"] == str(hash_bytes(film.read("plates/two.png")))
    film.commit("two")
    film.regenstore("get")
    assert len(server.seen) == 1  # nothing was generated
    film.regenstore("verify", "plates/two.png")
    film.regenstore("gc", "--free", "1k", "--yes", check=False)
    gc = [each for each in server.seen if each["event"] == "gc"]
    assert len(gc) == 1 and gc[0]["data"]["evicted"]["contents"] == 1
    data = Path(gc[0]["manifest"]["path"]).read_bytes()
    assert str(hash_bytes(data)) == gc[0]["manifest"]["digest"]


def test_a_failing_receiver_changes_no_result_and_is_asked_again(film: Checkout, server: Receiver) -> None:
    declare(film, f'webhook = "{server.address}"')
    server.answer = 500
    done = film.run("regenstore", "export", "sidecar", "plates/sea.png", "--to", "out", "--json")
    assert json.loads(done.stdout)["files"][0]["written"] is True
    assert b"1 event not delivered yet" in done.stderr and b"answered 500" in done.stderr
    assert [each["id"] for each in waiting(film)] == [server.seen[0]["id"]]
    refused = film.run("regenstore", "events", "--deliver", check=False)
    assert refused.returncode == 6 and b"answered 500" in refused.stderr
    server.answer = 200
    film.regenstore("status")
    assert [each["id"] for each in server.seen] == [server.seen[0]["id"]] * 3
    assert waiting(film) == []


def test_killed_between_writing_and_delivery(film: Checkout, server: Receiver) -> None:
    declare(film, f'webhook = "{server.address}"')
    server.hold.clear()
    command = ["regenstore", "export", "sidecar", "plates/sea.png", "--to", "out"]
    process = subprocess.Popen(command, cwd=film.path, env=film.environment)
    assert server.arrived.wait(60)
    process.send_signal(signal.SIGKILL)  # the server has it, and we never learn
    assert process.wait() == -signal.SIGKILL
    server.hold.set()
    assert (film.path / "out/sea.xmp").exists()
    film.regenstore("status")
    first, second = server.seen
    assert first == second
    check_manifest(second)
    assert waiting(film) == []


def test_a_command_is_told(film: Checkout) -> None:
    film.write("tools/told", "#!/bin/sh\ncat >> told.jsonl\n").chmod(0o755)
    declare(film, 'command = ["tools/told"]\nevents = ["export-sidecar"]')
    film.regenstore("new", "plates/two.png", "-g", "procedural.image", "-p", "prompt=two", *SMALL)
    film.regenstore("export", "sidecar", "plates/two.png", "--to", "out")
    (event,) = map(json.loads, film.read("told.jsonl").splitlines())
    check_manifest(event)
    film.write("tools/told", "#!/bin/sh\ntouch owned\n")
    done = film.run("regenstore", "export", "sidecar", "plates/sea.png", "--to", "out")
    assert b"not trusted" in done.stderr and not (film.path / "owned").exists()


def test_forgetting(film: Checkout, server: Receiver) -> None:
    declare(film, f'webhook = "{server.address}"')
    server.answer = 500
    film.regenstore("export", "sidecar", "plates/sea.png", "--to", "out")
    assert b"1 discarded" in film.run("regenstore", "events", "--forget").stdout
    server.answer = 200
    film.regenstore("status")
    assert len(server.seen) == 1


def test_a_broken_definition_stops_no_command(film: Checkout) -> None:
    film.write("regenstore.toml", "[notify]\ncommand = 3\n")
    film.regenstore("status")
    done = film.run("regenstore", "export", "sidecar", "plates/sea.png", "--to", "out", check=False)
    assert done.returncode == 7 and b"notify.command" in done.stderr
    assert not (film.path / "out").exists()
