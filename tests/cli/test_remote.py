"""Remotes as users meet them: naming, trying out, listing, forgetting; nothing is asked before trust."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

import pytest

from regenstore.objects.hashing import hash_file
from tests.conftest import Checkout, noise
from tests.terminal import on_terminal

pytestmark = pytest.mark.heavy

SEA, PHOTO = "plates/sea.png", "refs/photo.png"


def listed(film: Checkout) -> list[dict[str, object]]:
    return json.loads(film.regenstore("remote", "list", "--json"))["remotes"]


def failing(film: Checkout, *args: str) -> tuple[int, str]:
    done = film.run("regenstore", *args, check=False)
    assert done.returncode and b"Traceback" not in done.stderr
    return done.returncode, done.stderr.decode()


def objects(folder: Path, below: str = "v1/cas") -> list[Path]:
    return sorted(path for path in (folder / below).rglob("*") if path.is_file())


def test_add_list_check_remove(film, tmp_path):
    assert "no remotes" in film.regenstore("remote", "list")
    code, said = failing(film, "remote", "add", "studio", "../shared")
    assert code == 6 and "mounted" in said and not (tmp_path / "shared").exists() and listed(film) == []

    said = film.regenstore("remote", "add", "studio", "../shared", "--create", "--jobs", "3", "--limit", "100m")
    assert said.count("yes ") == 7 and "no  " not in said
    assert objects(tmp_path / "shared", "v1") == []
    (row,) = listed(film)
    assert row["url"] == str(tmp_path / "shared") and row["state"] == "trusted" and row["source"] == "git config"
    assert (row["jobs"], row["limit"]) == (3, 100_000_000)
    assert film.git("config", "--local", "regenstore.remote.studio.url") == str(tmp_path / "shared")

    film.git("config", "regenstore.remote.studio.speed", "10")
    findings = json.loads(film.run("regenstore", "doctor", "--json", check=False).stdout)["findings"]
    (wrong,) = [each["message"] for each in findings if each["check"] == "settings"]
    assert "remote.studio.speed is set, but there is no such setting" in wrong

    code, said = failing(film, "remote", "add", "studio", "../other", "--create")
    assert code == 4 and "--force" in said and not (tmp_path / "other").exists()
    film.regenstore("remote", "add", "studio", "../other", "--create", "--force")
    (row,) = listed(film)
    assert (row["url"], row["jobs"]) == (str(tmp_path / "other"), None)

    checked = json.loads(film.regenstore("remote", "check", "studio", "--json"))["remotes"][0]
    assert checked["fine"] and all(checked["can"].values()) and checked["bytes_per_second"]["to"] > 0
    assert checked["sample"] == {"asked": 2, "there": 0, "sound": [], "wrong": []}
    assert objects(tmp_path / "other", "v1") == []

    film.regenstore("push")
    assert "nothing was deleted" in film.regenstore("remote", "remove", "studio")
    assert listed(film) == [] and len(objects(tmp_path / "other")) == 2
    code, said = failing(film, "remote", "remove", "studio")
    assert code == 3 and "no remote 'studio'" in said


@pytest.mark.parametrize(
    ("name", "url", "code"),
    [
        ("a b", "/tmp", 2),
        ("a", "https://me:secret@host/x", 2),
        ("a", "https://token@host/x", 2),
        ("a", "gopher://host/x", 2),
        ("a", "/tmp/\x1b[2J", 2),
        ("a", "", 2),
    ],
)
def test_what_is_not_added(film, name, url, code):
    found, said = failing(film, "remote", "add", name, url)
    assert found == code and "secret" not in said
    assert listed(film) == []


def test_one_that_can_only_be_read(film, small):
    """A share that is mounted for reading; permissions alone would not stop root."""
    subprocess.run(["mount", "-o", "remount,ro", str(small)], check=True)
    assert "nothing can be pushed" in film.regenstore("remote", "add", "studio", str(small))


def test_check_finds_wrong_bytes(film, tmp_path):
    film.regenstore("remote", "add", "studio", "../shared", "--create")
    film.regenstore("push")
    said = film.regenstore("remote", "check")
    assert "2 of 2" in said and "0 with wrong bytes" in said
    victim = objects(tmp_path / "shared")[0]
    victim.write_bytes(bytes(victim.stat().st_size))
    done = film.run("regenstore", "remote", "check", check=False)
    assert done.returncode == 1 and victim.name.encode() in done.stderr and b"push --again" in done.stderr
    assert "already" in film.regenstore("push")  # by name and size it is there
    assert "Would send 2" in film.regenstore("push", "--again", "-n")
    assert "Sent 2" in film.regenstore("push", "--again")
    assert "0 with wrong bytes" in film.regenstore("remote", "check")

    shutil.move(tmp_path / "shared", tmp_path / "away")
    done = film.run("regenstore", "remote", "check", check=False)
    assert done.returncode == 1 and b"mounted" in done.stderr


def test_push_twice_with_a_clone(film, tmp_path):
    film.regenstore("verify", "--all")
    film.regenstore("remote", "add", "studio", "../shared", "--create")
    dry = json.loads(film.regenstore("push", "--dry-run", "--json"))
    assert {row["path"] for row in dry["sent"]} == {SEA, PHOTO} and dry["dry_run"]
    assert objects(tmp_path / "shared", "v1") == []
    assert PHOTO in film.regenstore("push", "-n")

    first = json.loads(film.regenstore("push", "--json"))
    assert first["sent"] == dry["sent"] and first["sent_bytes"] == dry["sent_bytes"] > 5000
    assert first["records"] >= 2 and not first["missing"]
    stored = {path.name: path.read_bytes() for path in objects(tmp_path / "shared")}
    assert film.read(PHOTO) in stored.values() and film.read(SEA) in stored.values()

    assert "already on studio (2 contents)" in film.regenstore("push", "studio")
    again = json.loads(film.regenstore("push", "--json"))
    assert (again["sent"], again["there"], again["records"]) == ([], 2, 0)

    # A clone without any media: what it lacks is on the remote, so nothing is missing.
    other = Checkout(tmp_path / "clone", film.environment)
    film.git("clone", "-q", str(film.path), str(other.path))
    other.regenstore("remote", "add", "studio", "../shared")
    assert not other.store.exists()
    told = json.loads(other.regenstore("push", "--json"))
    assert (told["sent"], told["missing"], told["records"]) == ([], [], 0)


def test_paths_all_and_what_is_missing(film, tmp_path):
    film.regenstore("remote", "add", "studio", "../shared", "--create")
    assert len(json.loads(film.regenstore("push", "--json", "plates"))["sent"]) == 1
    old = film.read(SEA)
    film.regenstore("set", SEA, "seed=7")
    film.commit("another sea")
    assert {row["path"] for row in json.loads(film.regenstore("push", "--json"))["sent"]} == {SEA, PHOTO}
    (tmp_path / "shared2").mkdir()
    film.regenstore("remote", "add", "second", "../shared2")
    code, said = failing(film, "push")
    assert code == 2 and "second" in said
    assert len(json.loads(film.regenstore("push", "second", "--json"))["sent"]) == 2
    assert len(json.loads(film.regenstore("push", "second", "--all", "--json"))["sent"]) == 1
    assert old in [path.read_bytes() for path in objects(tmp_path / "shared2")]
    assert failing(film, "push", "third")[0] == 3
    assert failing(film, "push", "second", "nowhere.png")[0] == 3
    assert failing(film, "push", "second", "--all", "plates")[0] == 2

    # What neither has is named, the rest is sent all the same.
    (tmp_path / "shared3").mkdir()
    film.regenstore("remote", "add", "third", "../shared3")
    photo = film.read(PHOTO)
    for path in film.store.rglob("*"):
        if path.is_file() and path.stat().st_size == len(photo) and path.read_bytes() == photo:
            path.unlink()
    done = film.run("regenstore", "push", "third", check=False)
    assert done.returncode == 1 and PHOTO.encode() in done.stderr and b"Sent 1 content " in done.stdout
    assert "regenstore get" in done.stderr.decode()


def test_nothing_to_push(film, tmp_path):
    empty = Checkout(tmp_path / "empty", film.environment)
    film.git("init", "-q", str(empty.path))
    assert "no remote yet" in failing(empty, "push")[1]
    empty.regenstore("remote", "add", "studio", "../shared", "--create")
    assert "Nothing to send" in empty.regenstore("push") and "Nothing to send" in empty.regenstore("push", "--all")


def test_a_remote_that_goes_away_and_comes_back(film, tmp_path):
    film.regenstore("remote", "add", "studio", "../shared", "--create")
    shutil.move(tmp_path / "shared", tmp_path / "away")
    code, said = failing(film, "push")
    assert code == 6 and "mounted" in said
    shutil.move(tmp_path / "away", tmp_path / "shared")
    film.regenstore("push")
    # What a kill left half-written there is not taken for the content.
    victim = objects(tmp_path / "shared")[0]
    whole = victim.read_bytes()
    victim.write_bytes(whole[:-1])
    assert len(json.loads(film.regenstore("push", "--json"))["sent"]) == 1
    assert victim.read_bytes() == whole


def test_progress_in_bytes(film, tmp_path):
    film.write("refs/large.png", b"\x89PNG\r\n\x1a\n" + noise("large", 1_000_000))
    film.commit("large")
    film.regenstore("remote", "add", "studio", "../shared", "--create")
    told = film.run("regenstore", "push", "--json").stderr.decode().splitlines()
    ends = [row["item"] for row in map(json.loads, told) if row["what"] == "finished"]
    assert sorted(ends) == [SEA, "refs/large.png", PHOTO]
    code, said = on_terminal(film, "regenstore", "push", "--again")
    assert code == 0 and b"1.0 MB" in said and b"to studio" in said


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_interrupted_it_goes_on(film, tmp_path, how):
    for n in range(12):
        film.write(f"refs/{n}.png", b"\x89PNG\r\n\x1a\n" + noise(f"{n}", 200_000))
    film.commit("many")
    film.regenstore("remote", "add", "studio", "../shared", "--create", "--jobs", "2", "--limit", "500k")
    pushing = subprocess.Popen(
        ["regenstore", "push"], cwd=film.path, env=film.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    deadline = time.monotonic() + 30
    while len(objects(tmp_path / "shared")) < 3 and time.monotonic() < deadline:
        time.sleep(0.02)
    pushing.send_signal(how)
    _, said = pushing.communicate(timeout=30)
    assert pushing.returncode == (130 if how == signal.SIGINT else -how) and b"Traceback" not in said
    there = [path for path in objects(tmp_path / "shared") if not path.name.startswith(".part-")]
    assert 0 < len(there) < 14 and objects(tmp_path / "shared", "v1/records") == []
    assert all(str(hash_file(str(path))[0]) == f"blake3:{path.name}" for path in there)
    film.git("config", "--unset", "regenstore.remote.studio.limit")
    told = json.loads(film.regenstore("push", "--json"))
    assert len(told["sent"]) == 14 - len(there) and told["there"] == len(there)


# ------------------------------------------------------------------------------------------- trust


class Listener:
    """A port that counts who connects."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self.connections = 0
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while True:
            connection, _ = self._socket.accept()
            with connection:
                if connection.recv(64) == b"end":
                    return
                self.connections += 1
                connection.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

    def close(self) -> None:
        with socket.create_connection(("127.0.0.1", self.port)) as last:
            last.sendall(b"end")
        self._thread.join()
        self._socket.close()


def test_a_cloned_declaration_asks_nobody(film, tmp_path):
    """Neither a server nor a folder that a repository names is touched before the user approved it."""
    listener = Listener()
    try:
        film.write(
            "regenstore.toml",
            f'[remotes.web]\nurl = "http://127.0.0.1:{listener.port}/film"\n[remotes.folder]\nurl = "../named"\n',
        )
        film.commit("name remotes")
        film.regenstore("remote", "add", "mine", "../named", "--create")
        film.regenstore("push", "mine")  # all that the clone lacks is in the folder that it names
        for path in (tmp_path / "named", *(tmp_path / "named").rglob("*")):
            os.utime(path, ns=(0, 10**18))  # long ago: who reads it leaves a trace
        other = Checkout(tmp_path / "clone", film.environment)
        film.git("clone", "-q", "--bare", str(film.path), "../hub.git")  # which has no store
        film.git("clone", "-q", "../hub.git", str(other.path))
        other.regenstore("init")
        shutil.rmtree(other.store)
        assert {(row["name"], row["state"]) for row in listed(other)} == {("web", "untrusted"), ("folder", "untrusted")}
        other.run("regenstore", "get", check=False)
        other.regenstore("status")
        other.run("regenstore", "gc", "--dry-run", check=False)
        for command in (["push"], ["push", "web"], ["push", "folder"], ["remote", "check", "folder"]):
            code, said = failing(other, *command)
            assert code in (2, 5) and (code == 2) == (command == ["push"]), said
        other.run("regenstore", "remote", "check", check=False)
        other.git("checkout", "-q", "HEAD~1")
        other.git("checkout", "-q", "main")
        assert listener.connections == 0
        assert other.is_recipe(PHOTO)
        assert {path.stat().st_atime_ns for path in (tmp_path / "named").rglob("*")} == {0}
        other.regenstore("trust", "--yes", "remotes.web")
        failing(other, "push", "web")
        assert listener.connections > 0
        other.regenstore("trust", "--revoke", "remotes.web")
        other.regenstore("trust", "--yes", "remotes.folder")
        other.regenstore("get")
        assert other.read(PHOTO) == film.read(PHOTO) and other.status() == ""
    finally:
        listener.close()


def test_trusting_a_declared_one(film, tmp_path):
    film.write("regenstore.toml", '[remotes.studio]\nurl = "../shared"\n')
    (tmp_path / "shared").mkdir()
    code, said = failing(film, "push")
    assert code == 5 and "regenstore trust" in said
    said = film.regenstore("trust", "--yes")
    assert "../shared" in said and f"folder: {tmp_path / 'shared'}\n" in said and "Trusted remotes.studio" in said
    assert "Sent 2 contents" in film.regenstore("push")
    assert listed(film)[0]["source"] == "regenstore.toml"
    assert "--revoke" in failing(film, "remote", "remove", "studio")[1]
    film.write("regenstore.toml", '[remotes.studio]\nurl = "../elsewhere"\n')
    assert failing(film, "push")[0] == 5
    film.write("regenstore.toml", '[remotes.studio]\nurl = "../shared"\n')
    film.regenstore("trust", "--revoke", "remotes.studio")
    assert failing(film, "push")[0] == 5
    film.regenstore("remote", "add", "studio", "../shared")  # the user's own wins
    assert "already" in film.regenstore("push")
