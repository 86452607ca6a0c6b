"""An index that is damaged: commands say so, and none writes over it."""

from __future__ import annotations

from pathlib import Path

from tests.conftest import Checkout

COMMANDS = [
    ("new", "d.png", "-g", "procedural.image", "-p", "prompt=a", "-p", "width=32", "-p", "height=32"),
    ("get",), ("drop", "plates/sea.png"), ("status",), ("gc", "--yes", "--purge"), ("push", "studio"),
    ("fsck",),
]  # fmt: skip


def test_no_command_writes_over_a_damaged_one(film: Checkout, tmp_path: Path) -> None:
    film.regenstore("remote", "add", "studio", str(tmp_path / "shared"), "--create")
    path = film.path / ".git/index"
    sound = path.read_bytes()
    media = {name: film.read(name) for name in ("plates/sea.png", "refs/photo.png")}
    for damaged in (sound[:-40], sound[:8] + b"\xff\xff\xff\x00" + sound[12:], b"DIRC" + bytes(60), b""):
        for command in COMMANDS if damaged == sound[:-40] else COMMANDS[3:5]:
            path.write_bytes(damaged)
            done = film.run("regenstore", *command, check=False)
            assert path.read_bytes() == damaged, command
            assert b"Traceback" not in done.stderr and b"bug" not in done.stderr, (command, done.stderr)
            assert done.returncode or command == ("status",), (command, damaged[:20], done.stdout)
    path.write_bytes(sound)
    assert {name: film.read(name) for name in media} == media
    assert film.status().replace("?? d.png", "").strip() == ""
