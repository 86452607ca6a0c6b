"""Which git command asks: only one that is plainly ``git add`` or ``git commit`` lets durability wait for the end."""

from __future__ import annotations

import time

import pytest

from regenstore.gitfilter.calling_command import asks_to_renormalize, subcommand
from regenstore.objects import toml
from tests import filter_server
from tests.conftest import Checkout, noise


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("git add .", b"add"),
        ("/usr/lib/git-core/git -C folder -c a.b=c add .", b"add"),
        ("git --no-pager --git-dir add stash", b"stash"),
        ("git -c add stash", b"stash"),
        ("git stash push add", b"stash"),
        ("git worktree add there", b"worktree"),
        ("git", None),
        ("git-lfs add", None),
        ("sh -c git add", None),
        ("", None),
    ],
)
def test_the_subcommand_is_told_from_options_and_their_values(line: str, found: bytes | None) -> None:
    assert subcommand(line.encode().split()) == found


@pytest.mark.parametrize(
    ("line", "asks"),
    [
        ("git add --renormalize .", True),
        ("git -C folder stage -v --renorm shots", True),
        ("git add --renormalize --no-renormalize .", False),
        ("git add -- --renormalize", False),
        ("git add .", False),
        ("git stash push --renormalize", False),
        ("", False),
    ],
)
def test_only_git_add_asks_to_renormalize(line: str, asks: bool) -> None:
    assert asks_to_renormalize(line.encode().split()) is asks


@pytest.mark.parametrize("how", [("--renormalize", "."), ("--renormalize", "shots", "a.bin"), ("--renorm", "*.bin")])
def test_renormalize_converts_raw_media_and_nothing_else_does(empty: Checkout, how: tuple[str, ...]) -> None:
    media = {"a.bin": noise("a", 900), "shots/b.bin": noise("b", 400_000), "shots/deep/c d.bin": noise("c", 90)}
    attributes = (empty.path / ".gitattributes").read_text()
    (empty.path / ".gitattributes").unlink()
    for name, data in media.items():
        empty.write(name, data)
    empty.commit("before tracking")
    empty.write(".gitattributes", attributes)
    for command in (("add", "-A"), ("add", "a.bin"), ("commit", "-q", "-m", "tracked", "-a")):
        empty.git(*command)
        assert {name: empty.blob(name) for name in media} == media, "passed through: no surprise in other commits"
    assert "git add --renormalize" in empty.regenstore("status")
    assert "git add --renormalize" in empty.regenstore("check", check=False)
    empty.git("add", *how)
    for name, data in media.items():
        assert toml.decode(empty.blob(name)).output.take.size == len(data)
        assert empty.read(name) == data
    empty.git("commit", "-q", "-m", "converted")
    assert empty.status() == "" and empty.regenstore("check") is not None
    empty.git("checkout", "-q", "HEAD~1")
    empty.git("checkout", "-q", "-")
    assert {name: empty.read(name) for name in media} == media


def test_many_added_media_are_in_the_store_when_git_add_ends(empty: Checkout) -> None:
    media = {f"plates/{number}.bin": noise(f"plate {number}", 700 + number) for number in range(40)}
    for name, data in media.items():
        empty.write(name, data)
    empty.git("add", ".")
    empty.git("commit", "-q", "-m", "plates")
    for name in media:
        (empty.path / name).unlink()
    empty.git("checkout", "--", ".")
    assert {name: empty.read(name) for name in media} == media
    assert not list((empty.store / "tmp").iterdir())


@pytest.mark.parametrize(
    ("setting", "command", "waits"),
    [
        ("each", ("add", "."), False),
        ("command", ("add", "."), True),
        ("command", ("commit", "-qam", "new"), True),
        ("command", ("stash", "push", "-u"), False),
    ],
)
def test_only_git_add_may_leave_durability_to_the_end(
    empty: Checkout, setting: str, command: tuple[str, ...], waits: bool
) -> None:
    """Seen from outside: each of 40 media is made durable by itself, or by choice all at once by an add or a commit."""
    empty.git("config", "regenstore.durable", setting)
    trace = empty.path / ".git" / "fsyncs"
    filter_program = empty.git("config", "filter.regenstore.process")
    if empty.run("sh", "-c", "command -v strace", check=False).returncode:
        pytest.skip("strace is missing (Debian package strace)")
    # -D: the filter, not strace, is what the shell starts.
    tracer = f"strace -D -f -q -e trace=fsync,syncfs -A -o '{trace}'"
    traced = filter_program.replace("set -- ", f"set -- {tracer} ", 1)
    for number in range(40):
        empty.write(f"{number}.bin", noise(f"media {number}", 500))
    if command[0] == "commit":
        empty.git("add", "-N", ".")
    itself = {filter_server.NAME: ""}
    done = empty.run("git", "-c", f"filter.regenstore.process={traced}", *command, check=False, **itself)
    if b"ptrace" in done.stderr:
        pytest.skip("strace may not trace here")
    assert done.returncode == 0, done.stderr
    deadline = time.monotonic() + 10
    while "exited with" not in (calls := trace.read_text())[-60:] and time.monotonic() < deadline:
        time.sleep(0.05)  # strace ends a little later
    assert ("syncfs(" in calls) is waits
    assert (calls.count("fsync(") >= 80) is not waits
