"""The outbox: nothing is lost by a kill, nothing is told that did not happen."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from regenstore.errors import StorageError
from regenstore.events.event import Event, EventManifest
from regenstore.events.outbox import KEPT_MANIFESTS, Outbox
from regenstore.objects.hashing import hash_bytes

DYING = """
import os, signal, sys
from regenstore.events.event import Event
from regenstore.events.outbox import Outbox
from regenstore.objects.hashing import hash_bytes
root, target, when = sys.argv[1:]
evidence = [(target, hash_bytes(b"the export"))]
with Outbox(root).announcing(Event("export-sidecar", "/film", 1_700_000_000.0, id="ab" * 16), evidence):
    if when == "after":
        open(target, "wb").write(b"the export")
    if when == "half":
        open(target, "wb").write(b"the exp")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def event(name: str = "gc") -> Event:
    return Event(name, "/film", 1_700_000_000.0)


def test_an_event_as_receivers_see_it():
    made = Event("gc", "/fílm", 1_700_000_000.0, EventManifest("/m.json", hash_bytes(b""), 0), {"n": 1}, "0" * 32)
    assert json.loads(made.to_bytes()) == {
        "schema": "regenstore-event/1",
        "id": "0" * 32,
        "event": "gc",
        "time": "2023-11-14T22:13:20Z",
        "repository": "/fílm",
        "manifest": {"path": "/m.json", "digest": str(hash_bytes(b"")), "size": 0},
        "data": {"n": 1},
    }
    assert made.to_bytes().isascii() and made.to_bytes().count(b"\n") == 1


def test_order_and_letting_go(tmp_path: Path):
    outbox = Outbox(str(tmp_path))
    assert outbox.empty and outbox.waiting() == []
    ids = []
    for _ in range(20):
        ids.append(event().id)
        outbox.put(Event("gc", "/film", 1.0, id=ids[-1]))
    told: list[bytes] = []

    def tell(data: bytes) -> None:
        if len(told) == 5:
            raise StorageError("notify-failed", "down")
        told.append(data)

    done, error = outbox.deliver(tell)
    assert (done, error and error.kind) == (5, "notify-failed")
    told_before, told[:] = list(told), []
    with pytest.raises(RuntimeError):
        outbox.deliver(lambda data: (_ for _ in ()).throw(RuntimeError))
    told.clear()
    outbox.deliver(lambda data: told.append(data))
    assert [json.loads(data)["id"] for data in (*told_before, *told)] == ids
    assert outbox.empty


@pytest.mark.parametrize(("when", "waiting"), [("before", 0), ("half", 0), ("after", 1)])
def test_killed_around_the_moment_that_it_happens(tmp_path: Path, when: str, waiting: int):
    target = tmp_path / "out.xmp"
    done = subprocess.run([sys.executable, "-c", DYING, str(tmp_path), str(target), when], check=False)
    assert done.returncode == -signal.SIGKILL
    outbox = Outbox(str(tmp_path))
    assert not outbox.empty and outbox.waiting() == []
    outbox.settle()
    assert len(outbox.waiting()) == waiting
    assert [json.loads(outbox.read(path))["id"] for path in outbox.waiting()] == ["ab" * 16] * waiting
    outbox.settle()
    assert len(outbox.waiting()) == waiting


def test_what_a_living_process_announces_is_left_to_it(tmp_path: Path):
    outbox, other = Outbox(str(tmp_path)), Outbox(str(tmp_path))
    evidence = [(str(tmp_path / "a"), hash_bytes(b"a"))]
    with outbox.announcing(event(), evidence):
        other.settle()
        assert other.waiting() == [] and not other.empty
    assert len(other.waiting()) == 1


def test_what_fails_is_not_told(tmp_path: Path):
    outbox = Outbox(str(tmp_path))
    (tmp_path / "a").write_bytes(b"a")
    with pytest.raises(KeyError), outbox.announcing(event(), [(str(tmp_path / "a"), hash_bytes(b"a"))]):
        raise KeyError
    outbox.settle()
    assert outbox.empty


def test_no_evidence_is_no_event(tmp_path: Path):
    outbox = Outbox(str(tmp_path))
    os.makedirs(outbox.folder)
    for number, text in enumerate((b"", b"{}\n", b"{}\n[]\n", b"{}\n[[1]]\n", b"{}\nnull\n", b"\xff\n\xff")):
        Path(outbox.folder, f"{number}.prepared").write_bytes(text)
    outbox.settle()
    assert outbox.empty


def test_manifests_are_kept_while_their_event_waits(tmp_path: Path):
    outbox = Outbox(str(tmp_path))
    first = event()
    manifest = outbox.put_manifest({"files": []}, first.id)
    assert hash_bytes(Path(manifest.path).read_bytes()) == manifest.digest
    path = outbox.put(first.with_manifest(manifest))
    for _ in range(KEPT_MANIFESTS + 10):
        outbox.put_manifest({}, event().id)
    outbox.settle()
    assert len(os.listdir(os.path.dirname(manifest.path))) == KEPT_MANIFESTS + 1
    assert os.path.exists(manifest.path)
    outbox.delivered(path)
    outbox.settle()
    assert not os.path.exists(manifest.path)


CHANGING = """
import os, signal, sys, zipfile
from regenstore.events.event import Event
from regenstore.events.outbox import Outbox
root, place, when = sys.argv[1:]
with Outbox(root).announcing_change(Event("export-dataset", "/film", 1.0), place, "manifest.json"):
    if when == "after" and place.endswith(".zip"):
        with zipfile.ZipFile(place, "w") as archive:
            archive.writestr("manifest.json", b"new")
    elif when == "after":
        os.makedirs(place, exist_ok=True)
        open(place + "/manifest.json", "wb").write(b"new")
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("before", [None, b"old", b"new"])
@pytest.mark.parametrize("name", ["clips", "clips.zip"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_while_a_manifest_changes(tmp_path: Path, before: bytes | None, name: str, when: str):
    place = tmp_path / name
    if before is not None and name == "clips":
        place.mkdir()
        (place / "manifest.json").write_bytes(before)
    elif before is not None:
        with zipfile.ZipFile(place, "w") as archive:
            archive.writestr("manifest.json", before)
    subprocess.run([sys.executable, "-c", CHANGING, str(tmp_path), str(place), when], check=False)
    outbox = Outbox(str(tmp_path))
    assert not outbox.empty
    outbox.settle()
    events = [json.loads(outbox.read(path)) for path in outbox.waiting()]
    if when == "before" or before == b"new":
        assert events == []
        return
    (event,) = events
    assert (event["manifest"]["digest"], event["manifest"]["size"]) == (str(hash_bytes(b"new")), 3)
    wanted = str(place) if name == "clips.zip" else str(place / "manifest.json")
    assert (event["manifest"]["path"], event["manifest"].get("member")) == (
        wanted,
        "manifest.json" if name == "clips.zip" else None,
    )
