"""Paths are bytes: every verb in a repository whose folder is not UTF-8, with names that no program likes."""

from __future__ import annotations

import io
import json
import os
import struct
import subprocess
import sys
import wave
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from regenstore.cli import main
from regenstore.fs.path_text import path_of, path_text
from tests.conftest import Checkout, hermetic_environment

LATIN, QUOTED, LINES = b"K\xf6ln.wav", b'"K\\366ln.wav"', b"nl\n  hint: x.wav"
LONG = b"L" * 251 + b".wav"
NAMES = [
    LATIN, QUOTED + b".wav", LINES, "Köln.wav".encode(), "Ko\u0308ln.wav".encode(), b"plain.wav", b"tab\tx.wav",
    b"-dash.wav", b"pct%20.wav", b"hash#.wav", b"q?x.wav", b"back\\slash.wav", b" lead.wav", b"trail .wav",
    b"dots...wav", "\U0001f469\u200d\U0001f680.wav".encode(), b"\xff\xfe.wav", b"\xed\xb3\xb6.wav", b"\r.wav",
    b"\x1b[31m\x7f.wav", "\u009b\u202e.wav".encode(), b"*.wav", b"[x].wav", b":colon:.wav", b"quote'.wav",
    b"D\xfcr/K\xf6ln.wav", b"trail. /x.wav", b"x]]>&<.wav", b"a,b;c=d.wav", LONG,
    b"/".join([b"d" * 200] * 3) + b"/x.wav",
]  # fmt: skip


class Said(NamedTuple):
    code: int
    out: bytes
    err: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Run = Callable[..., Said]


def medium(number: int) -> bytes:
    into = io.BytesIO()
    with wave.open(into, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(struct.pack("<800h", *((number * 31 + k * 7) % 20000 for k in range(800))))
    return into.getvalue()


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a regenstore command in this process, in ``tmp_path``'s oddly named repository: what it prints is text,
    it never fails as a bug does, and its JSON is for every parser."""
    top = os.path.join(os.fsencode(tmp_path), b"K\xf6ln 100%d#?&x")
    os.makedirs(top)
    home = tmp_path / "home"
    home.mkdir()
    for name in os.environ:
        if name.startswith(("GIT_", "REGENSTORE_")):
            monkeypatch.delenv(name)
    for name, value in {**hermetic_environment(home), "EDITOR": "true"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(top)

    def call(*arguments: str | bytes, codes: tuple[int, ...] = (0,)) -> Said:
        argv = ["regenstore", *map(os.fsdecode, arguments)]
        streams = [io.TextIOWrapper(io.BytesIO(), encoding="utf-8") for _ in range(2)]  # as strict as a terminal's
        with monkeypatch.context() as patch:
            patch.setattr(sys, "argv", [os.path.join(os.path.dirname(sys.executable), "regenstore"), *argv[1:]])
            patch.setattr(sys, "stdout", streams[0])
            patch.setattr(sys, "stderr", streams[1])
            code = main.run()
        raw = []
        for stream in streams:
            stream.flush()
            raw.append(stream.buffer.getvalue())
        done = Said(code, *raw)
        assert done.code in codes, (argv, done)
        assert b"Traceback" not in done.err and b"Please report" not in done.err, (argv, done)
        if "--json" in argv:
            assert done.out.isascii()
            if done.code == 0:
                json.dumps(done.json, ensure_ascii=False).encode()  # no half of a pair: any parser takes it
        elif argv[1] not in ("show",):
            assert all(c.isprintable() or c in "\n\u200d" for c in (done.out + done.err).decode()), (argv, done)
        return done

    return call


def git(*arguments: str | bytes) -> bytes:
    return subprocess.run(["git", *arguments], capture_output=True, check=True).stdout


def write(name: bytes, data: bytes) -> None:
    os.makedirs(os.path.dirname(os.path.abspath(name)), exist_ok=True)
    with open(name, "wb") as file:
        file.write(data)


def read(name: bytes) -> bytes:
    with open(name, "rb") as file:
        return file.read()


def test_every_verb_takes_every_name(run: Run) -> None:
    git("init", "-q")
    run("init")
    run("track", "*.wav", "*.png")
    for number, name in enumerate(NAMES):
        write(name, medium(number))
    made = b"gen\xf6.png"
    run("new", made, "-g", "procedural.image", "-p", "prompt=x", "-p", "width=32", "-p", "height=32")
    refused = run("new", "der.png", "-g", "derive.image", "-i", b"image=" + made, codes=(2,))
    assert rb"gen\xf6.png: a recipe is UTF-8 text" in refused.err
    git("add", "-A")
    git("commit", "-q", "-m", "a")
    assert {path_of(row["path"]) for row in run("status", "--json").json["paths"]} == {*NAMES, made}
    assert len(run("status", "-a").out.splitlines()) >= len(NAMES) + 1
    run("set", made, "seed=3")
    git("commit", "-q", "-a", "-m", "seed")
    run("verify", "--all", "--json")
    for name in (LATIN, LINES, QUOTED + b".wav", made):
        assert run("show", name).out.startswith(b"regenstore = 1\n")
        assert path_of(run("show", "--json", name).json["path"]) == name
        assert run("show", b"HEAD:" + name).code == 0
        assert path_of(run("why", "--json", name).json["path"]) == name
        run("pin", name, "--reason", b"r\xf6")
        assert [path_of(path) for pin in run("pins", "--json").json["pins"] for path in pin["paths"]] == [name]
        run("pins")
        run("unpin", name)
        run("tag", name, "tags=x")
        assert [*map(path_of, run("tag", name, "--json").json["labels"])] == [name]
        run("takes", name, codes=(0, 2))
        assert path_of(run("history", name, "--json").json["path"]) == name
    git("commit", "-q", "-a", "-m", "b")
    run("drop", "--", *NAMES)
    assert {path_of(path) for path in run("get", "--json").json["placed"]} == {*NAMES}
    assert [read(name) for name in NAMES] == [medium(number) for number in range(len(NAMES))]
    assert git("status", "--porcelain") == b""
    for command in (
        ("record", made), ("edit", made), ("check",), ("check", "--json"), ("du", "--json"),
        ("gc", "--dry-run", "--json"),
        ("gc", "--dry-run"), ("gc", "--free", "1GB", "--yes"), ("undo", "--list", "--json"), ("undo",),
        ("fsck", "--json"), ("fsck",), ("doctor", "--json"), ("doctor",), ("hook", "pre-commit"), ("events", "--json"),
        ("trust",), ("generators", "--json"), ("template", "list", "--json"), ("track",), ("install", "--dry-run"),
    ):  # fmt: skip
        run(*command, codes=(0, 1, 3))


def test_a_sound_database_is_sound_in_any_folder(run: Run) -> None:
    git("init", "-q")
    run("init")
    run("track", "*.png")
    run("new", "a.png", "-g", "procedural.image", "-p", "prompt=x", "-p", "width=32", "-p", "height=32")
    git("add", "-A")
    git("commit", "-q", "-m", "a")
    run("verify", "a.png")
    assert {f["level"] for f in run("doctor", "--json").json["findings"] if f["check"] == "database"} == {"ok"}
    told = run("doctor", "--rebuild", "--json").json
    assert os.path.isfile(path_of(told["old"])) and not [
        name for name in os.listdir(b".git/regenstore") if b"damaged" in name
    ]
    assert b"evictable: proven" in run("why", "a.png").out or b"evictable" in run("why", "a.png").out


def test_remotes_and_clones_and_shared_stores_lie_anywhere(run: Run, tmp_path: Path) -> None:
    git("init", "-q")
    run("init")
    run("track", "*.wav")
    for number, name in enumerate(NAMES):
        write(name, medium(number))
    with open("regenstore.toml", "w") as file:
        file.write(f'[remotes.declared]\nurl = "file://{tmp_path}/f%E4%23"\n')
    git("add", "-A")
    git("commit", "-q", "-m", "a")
    place = os.path.join(os.fsencode(tmp_path), b"sh\xe4red #?%41")
    added = run("remote", "add", "studio", place, "--create", "--json").json
    assert path_of(added["url"]) == place and os.path.isdir(place)
    run("trust", "--yes")
    listed = {each["name"]: each for each in run("remote", "list", "--json").json["remotes"]}
    assert path_of(listed["studio"]["url"]) == place
    run("remote", "check", "studio", "--json")
    run("push", "studio", "--json")
    run("push", "studio")
    os.mkdir(os.path.join(os.fsencode(tmp_path), b"f\xe4#"))
    run("push", "declared")
    assert os.path.isdir(os.path.join(os.fsencode(tmp_path), b"f\xe4#", b"v1"))
    run("remote", "gc", "studio", "--dry-run", "--json")
    run("doctor", "--remotes", "--json", codes=(0, 1))
    # A clone on a store of its own gets them over the remote; the store knows its repositories by their paths.
    clone, store = (os.path.join(os.fsencode(tmp_path), name) for name in (b"cl\xf6ne", b"st\xf6re"))
    git("clone", "-q", b".", clone)
    os.chdir(clone)
    run("init", "--store", store)
    run("remote", "add", "studio", place)
    run("get")
    for number, name in enumerate(NAMES):
        assert read(name) == medium(number), name
    assert git("status", "--porcelain") == b""
    (told,) = [name for name in os.listdir(os.path.join(store, b"repositories")) if name.endswith(b".json")]
    with open(os.path.join(store, b"repositories", told)) as given:
        assert path_of(json.load(given)["path"]) == os.path.join(clone, b".git")
    run("gc", "--dry-run", "--json")


def test_exports_name_every_medium_or_say_which_they_cannot(run: Run, tmp_path: Path) -> None:
    git("init", "-q")
    run("init")
    run("track", "*.wav")
    names = [LATIN, QUOTED + b".wav", LINES, b"plain.wav", LONG]
    for number, name in enumerate(names):
        write(name, medium(number))
    git("add", "-A")
    git("commit", "-q", "-m", "a")
    for layout in ("dir", "zip", "zip-splits", "webdataset"):
        out = os.path.join(os.fsencode(tmp_path), b"d\xe4ta." + layout.encode())
        run("export", "dataset", out, "--format", layout, "--json")
        run("export", "dataset", out, "--format", layout, "--update")
        run("export", "show", out, "--json")
    rows = [json.loads(path.read_bytes()) for path in Path(os.fsdecode(tmp_path / "d\udce4ta.dir")).rglob("*.json")]
    assert {path_of(row["source"]) for row in rows if "source" in row} == {*names}
    refused = run("export", "dataset", b"../\xe4", "--trainer", "musubi", codes=(2,))
    assert b"musubi" in refused.err
    told = run("export", "sidecar", "--to", "../side", "--json").json
    assert {path_of(media) for file in told["files"] for media in file["media"]} == {*names}
    assert all(os.path.isfile(path_of(file["path"])) for file in told["files"])
    run("export", "sidecar", "--preview")
    # A name with no room for a longer ending: the medium is named, and the others are written.
    some = run("export", "sidecar", "--full-names", "--to", "../full", "--json").json
    assert {path_of(media) for file in some["files"] for media in file["media"]} == {*names} - {LONG}
    assert any(warning.startswith("LLLL") and "255" in warning for warning in some["warnings"]), some["warnings"]
    # A table's cell cannot hold them: by name, with the rest done.
    copied = run("export", "sidecar", "-t", "resolve", "--copy", "--to", "../table", "--json").json
    (table,) = [file for file in copied["files"] if file["path"].endswith(".csv")]
    assert b"plain.wav" in b"".join(map(path_of, table["media"])) and LATIN not in map(path_of, table["media"])
    assert any(r"(K\xf6ln.wav" in warning for warning in copied["warnings"]), copied["warnings"]
    run("export", "sidecar", "-t", "xmp", "-t", "ascmhl", "--copy", "--to", "../seal", codes=(2,))


def test_paths_near_the_systems_limit(film: Checkout) -> None:
    deep = "/".join(["d" * 250] * 14)
    folder = film.path / deep  # with the store's own names below it, nearly PATH_MAX
    folder.mkdir(parents=True)
    (folder / "x.wav").write_bytes(medium(1))
    film.git("add", "-A")
    assert film.blob(f"{deep}/x.wav").startswith(b"regenstore = 1\n")
    film.commit()
    film.regenstore("drop", f"{deep}/x.wav")
    film.regenstore("get", f"{deep}/x.wav")
    assert (folder / "x.wav").read_bytes() == medium(1) and film.status() == ""
    to = film.path.parent / ("t" * 200) / ("t" * 200) / ("t" * 200)
    done = film.run("regenstore", "export", "sidecar", "--to", str(to), f"{deep}/x.wav", check=False)
    assert done.returncode in (0, 2) and (done.returncode == 0 or b"x.wav" in done.stderr)
    assert path_text(deep) == deep
