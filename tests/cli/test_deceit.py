"""Text of others reaches no terminal raw: not from recipes, declarations, Git, generators, servers or arguments."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.cli.test_console import DECEITFUL
from tests.conftest import Checkout
from tests.terminal import on_terminal

RAW = [c for c in DECEITFUL if c != "\0" and not "\ud800" <= c <= "\udfff"]
EVIL = "".join(RAW) + "\x1b]0;owned\x07\x1b[5;7mEVIL\n  hint: forged\r\nregenstore: error: forged [red]x[/red]"
IN_NAMES = EVIL.replace("/", "|")  # what a file name and an argument can hold
IN_REFS = "".join(c for c in RAW if c >= "\x80") + "EVIL"
FORBIDDEN = re.compile("[" + "".join(f"\\U{ord(c):08x}" for c in RAW if c not in "\n\r\x1b") + "]|\x1b\\]|\x1b\\[5;7m")
STYLES = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]|\r")
"""What progress bars are made of; the evil text's own sequences are looked for before."""


@pytest.fixture
def hostile(film: Checkout) -> Checkout:
    """The film of somebody who wants to act on our terminal."""
    film.regenstore("set", "plates/sea.png", f"prompt={EVIL}", "--no-generate", check=False)
    film.regenstore("tag", "plates/sea.png", f"scene={EVIL}", f"tags={IN_NAMES}")
    film.git("add", "-A")
    film.write(f"a/{IN_NAMES[-120:]}.wav", b"RIFFxxxxWAVE")
    film.git("add", "-A")
    film.git("commit", "-q", "-m", EVIL.replace("\0", ""))
    film.git("branch", f"b-{IN_REFS}", check=False)
    tool = film.write("make.sh", "printf '%s' \"$1\" >&2; exit 3\n")
    tool.chmod(0o755)
    literal = '"' + "".join(f"\\U{ord(c):08x}" for c in EVIL) + '"'
    film.write(
        "regenstore.toml",
        f"[generators.evil]\nversion = {literal}\nsummary = {literal}\n"
        f'command = ["sh", "make.sh", {literal}, "{{output}}"]\nmedia_type = "audio/wav"\n'
        f'[generators.evil.params.text]\ntype = "string"\ndescription = {literal}\ndefault = {literal}\n',
    )
    film.git("config", "regenstore.remote.evil.url", f"/nowhere/{EVIL}")
    return film


def check(said: bytes, command: tuple[str, ...]) -> str:
    text = said.decode()
    found = FORBIDDEN.search(text)
    assert found is None, (command, ascii(text[max(0, found.start() - 200) : found.end() + 40]))
    plain = STYLES.sub("", text)
    assert "\x1b" not in plain, (command, ascii(plain))
    for line in plain.split("\n"):
        assert line not in ("  hint: forged", "regenstore: error: forged [red]x[/red]"), (command, plain)
    return plain


COMMANDS: list[tuple[str, ...]] = [
    ("status", "-a"), ("why", "plates/sea.png"), ("tag", "plates/sea.png"), ("takes", "plates/sea.png"),
    ("history", "plates/sea.png"),
    ("get", "--dry-run"), ("generators",), ("generators", "evil"), ("generators", EVIL), ("remote", "list"),
    ("trust", "--yes"), ("new", "x.wav", "-g", "evil"), ("set", "plates/sea.png", f"{EVIL}=1"), ("check",),
    ("get", IN_NAMES), ("push", "evil"), ("push", EVIL), ("pin", "plates/sea.png", "--reason", EVIL), ("pins",),
    ("show", f"{EVIL}:x"), ("doctor",), ("template", "show", EVIL), ("export", "sidecar", "--preview", "refs"),
    (EVIL,), ("status", f"--{EVIL}"), ("gc", "--free", EVIL), ("remote", "add", EVIL, EVIL),
    ("remote", "add", "x", EVIL),
    ("clone", EVIL), ("verify", IN_NAMES), ("undo", EVIL), ("fsck",),
]  # fmt: skip


def test_nothing_raw_reaches_a_pipe_or_a_terminal(hostile: Checkout) -> None:
    shown = 0
    for number, arguments in enumerate(COMMANDS):
        command = ("regenstore", *(part.replace("\0", "") for part in arguments))
        done = hostile.run(*command, check=False)
        assert done.returncode != 70 and b"Traceback" not in done.stderr, (command, done.stderr)
        shown += check(done.stdout, command).count("EVIL") + check(done.stderr, command).count("EVIL")
        if number % 3 == 0:  # every third one there, too: it is one door, and a terminal adds its styles and bars
            check(on_terminal(hostile, *command)[1], command)
    assert shown > 25  # it was printed, in a form that can only be read


def test_json_holds_none_of_it_either(hostile: Checkout) -> None:
    for command in (("status",), ("why", "plates/sea.png"), ("tag", "plates/sea.png"), ("generators",), ("pins",)):
        done = hostile.run("regenstore", *command, "--json", check=False)
        assert (
            done.returncode == 0 and done.stdout.isascii() and b"\x7f" not in done.stdout and b"\x1b" not in done.stdout
        )


def test_a_recipe_is_exact_in_a_pipe_and_readable_on_a_terminal(hostile: Checkout) -> None:
    raw = hostile.run("regenstore", "show", "HEAD:plates/sea.png").stdout
    assert raw == hostile.blob("plates/sea.png", "HEAD") and "\u009b".encode() in raw
    shown = check(on_terminal(hostile, "regenstore", "show", "HEAD:plates/sea.png")[1], ("show",))
    assert "\\u009b" in shown and len(shown.splitlines()) == len(raw.decode().split("\n")) - 1


def test_the_filter_tells_git_nothing_raw(hostile: Checkout, tmp_path: Path) -> None:
    """Paths and reasons of what stays a recipe, on git's standard error."""
    environment = {**hostile.environment, "REGENSTORE_SMUDGE": "place"}
    clone = Checkout(tmp_path / "clone", environment)
    clone.path.mkdir()
    clone.git("init", "-q")
    clone.regenstore("init")
    done = clone.run("git", "pull", "-q", str(hostile.path), "main", check=False)
    text = check(done.stderr, ("git", "pull"))
    assert "stay recipes" in text and "EVIL" in text
