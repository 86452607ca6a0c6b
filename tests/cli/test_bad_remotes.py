"""Bad remotes as users meet them: git and regenstore end in good time, name what is left, and say nothing secret."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import Checkout

PHOTO = "refs/photo.png"
SECRET = "s3cr3t"
QUICK = 12.0


@pytest.fixture
def silent() -> Iterator[str]:
    """A server that takes connections and never says a word."""
    listening = socket.create_server(("127.0.0.1", 0))
    taken: list[socket.socket] = []

    def take() -> None:
        while True:
            try:
                taken.append(listening.accept()[0])
            except OSError:
                return

    threading.Thread(target=take, daemon=True).start()
    yield f"http://127.0.0.1:{listening.getsockname()[1]}/film"
    listening.close()
    for each in taken:
        each.close()


def bare(film: Checkout, url: str, patience: str = "0.5") -> Checkout:
    """A clone without media, whose remote is there."""
    other = Checkout(film.path.parent / "bare", film.environment)
    film.git("clone", "-q", "--bare", str(film.path), "../hub.git")  # which has no store
    film.git("clone", "-q", "--no-checkout", "../hub.git", str(other.path))
    other.git("config", "--global", "regenstore.remote.web.url", url)
    other.git("config", "--global", "regenstore.remote.web.patience", patience)
    return other


def test_a_silent_remote_is_named_and_everything_ends(film: Checkout, silent: str) -> None:
    other = bare(film, silent)
    other.regenstore("init")
    began = time.monotonic()
    done = other.run("git", "checkout", "-q", "main")
    said = done.stderr.decode()
    assert time.monotonic() - began < QUICK and "web" in said and "too slow" in said and PHOTO in said
    assert other.is_recipe(PHOTO) and other.status() == ""
    for command in (("fetch",), ("get", "--no-generate", PHOTO), ("push",), ("remote", "check"), ("fetch", "--json")):
        began = time.monotonic()
        done = other.run("regenstore", *command, check=False)
        assert done.returncode, command
        assert time.monotonic() - began < QUICK, command
        assert b"Traceback" not in done.stderr and f"regenstore {command[0]}'".encode() not in done.stderr, done.stderr
    assert not list((other.store / "tmp").iterdir())
    cloned = film.run("regenstore", "clone", "-q", "../hub.git", str(film.path.parent / "again"), check=False)
    assert cloned.returncode == 1 and b"too slow" in cloned.stderr


def test_ctrl_c_while_a_remote_is_silent_leaves_a_clean_tree(film: Checkout, silent: str) -> None:
    other = bare(film, silent, "60")
    other.regenstore("init")
    began = time.monotonic()
    process = subprocess.Popen(
        ["git", "checkout", "-q", "main"], cwd=other.path, env=other.environment, stderr=subprocess.PIPE,
        start_new_session=True,
    )  # fmt: skip
    while not (other.path / PHOTO).exists() and time.monotonic() - began < 30:
        time.sleep(0.05)
    time.sleep(2)
    os.killpg(process.pid, signal.SIGINT)
    process.communicate(timeout=QUICK)
    assert other.is_recipe(PHOTO) and other.status() == ""
    assert not list((other.store / "tmp").iterdir()) and not (other.path / ".git/index.lock").exists()


def test_what_no_remote_has_is_named_and_counts(film: Checkout, tmp_path: Path) -> None:
    share = tmp_path / "share"
    film.regenstore("remote", "add", "studio", str(share), "--create")
    film.regenstore("push")
    assert film.run("regenstore", "fetch", check=False).returncode == 0
    (found,) = [path for path in (share / "v1/cas").rglob("*") if path.is_file() and path.stat().st_size == 5008]
    other = bare(film, str(share))
    other.regenstore("init")
    found.rename(tmp_path / "kept")
    done = other.run("regenstore", "fetch", check=False)
    assert done.returncode == 1 and PHOTO in done.stderr.decode() and "1 fetched" in done.stdout.decode()
    os.mkfifo(found)
    assert other.run("regenstore", "fetch", check=False).returncode == 1
    found.unlink()
    with open(found, "wb") as file:
        file.truncate(10**12)
    done = other.run("regenstore", "fetch", check=False)
    assert done.returncode == 6 and PHOTO in done.stderr.decode() and not list((other.store / "tmp").iterdir())
    found.unlink()
    (tmp_path / "kept").rename(found)
    assert other.run("regenstore", "fetch", check=False).returncode == 0
    shutil.rmtree(share)
    assert other.run("regenstore", "fetch", check=False).returncode == 0, "all of it is here"
    shutil.rmtree(other.store)
    assert other.run("regenstore", "fetch", check=False).returncode == 6


ADDRESSES = (
    f"https://user:{SECRET}@127.0.0.1:1/x?token={SECRET}&X-Amz-Signature={SECRET}",
    f"s3://user:{SECRET}@bucket/x?X-Amz-Signature={SECRET}",
    f"sftp://user:{SECRET}@127.0.0.1:1/x",
)
COMMANDS = (
    "remote list", "remote list --json", "remote check", "remote check --json", "remote check st", "doctor",
    "doctor --json --remotes", "fetch", "push --json", "get", "status", "fsck --json", "gc --dry-run", "why PHOTO",
    "remote gc st --dry-run", "hook pre-push ADDRESS", "remote add other ADDRESS", "remote add --no-check x ADDRESS",
    "export dataset out --force", "remote remove st",
)  # fmt: skip


@pytest.mark.parametrize("address", ADDRESSES)
def test_no_command_shows_a_secret(film: Checkout, address: str) -> None:
    film.git("config", "regenstore.remote.st.url", address)
    film.environment["https_proxy"] = f"http://ada:{SECRET}@127.0.0.1:1"
    every = COMMANDS if address == ADDRESSES[0] else COMMANDS[:6] + COMMANDS[-3:]
    for command in every:
        words = command.replace("PHOTO", PHOTO).replace("ADDRESS", address).split()
        done = film.run("regenstore", *words, check=False)
        assert SECRET.encode() not in done.stdout + done.stderr, command
        assert b"Traceback" not in done.stderr and b"internal" not in done.stderr, done.stderr
    shutil.rmtree(film.path / "out", ignore_errors=True)
    kept = [path for path in film.path.rglob("*") if path.is_file() and SECRET.encode() in path.read_bytes()]
    assert kept == []


def test_events_and_trust_show_no_secret(film: Checkout) -> None:
    film.write(
        "regenstore.toml",
        f'[remotes.studio]\nurl = "https://127.0.0.1:1/x?token={SECRET}"\n'
        f'[notify]\nwebhook = "http://user:{SECRET}@127.0.0.1:1/hook?token={SECRET}"\n',
    )
    for command in ("remote list --json", "doctor", "trust --yes", "set plates/sea.png seed=7", "events",
                    "events --deliver", "events --json", "fetch", "push", "remote check studio"):  # fmt: skip
        done = film.run("regenstore", *command.split(), check=False)
        assert SECRET.encode() not in done.stdout + done.stderr, command
    listed = json.loads(film.regenstore("remote", "list", "--json"))["remotes"]
    assert listed[0]["url"] == "https://127.0.0.1:1/x?***"
    for folder in (film.path / ".git", Path(film.environment["HOME"])):
        assert not [p for p in folder.rglob("*") if p.is_file() and SECRET.encode() in p.read_bytes()]
