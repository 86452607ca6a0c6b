"""A repository with many small generated media, some imported ones, and a history; and ways to damage it."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

from regenstore.objects import toml
from regenstore.objects.ids import Digest
from regenstore.objects.recipe import Take
from tests.conftest import Checkout, noise

COUNT = 12
RECIPE = """regenstore = 1
generator = "procedural.image"
version = "1"

[params]
height = 32
prompt = "%s"
seed = %d
width = 48

[output]
name = "main"
media_type = "image/png"
"""
PHOTO = b"\x89PNG\r\n\x1a\n" + noise("photo", 5000)
OLD_PHOTO = b"\x89PNG\r\n\x1a\n" + noise("old photo", 4000)


class Gallery(Checkout):
    """``made/00.png`` to ``11.png`` are generated, ``proxy.png`` is derived from the first, ``photo.png`` is
    imported. History alone has another ``made/01.png``, and ``old.png``, imported."""

    def build(self) -> None:
        self.git("init", "-q")
        self.regenstore("init")
        self.regenstore("track", "*.png")
        for number in range(COUNT):
            self.write(f"made/{number:02}.png", RECIPE % (f"plate {number}", 1))
        self.write("photo.png", PHOTO)
        self.write("old.png", OLD_PHOTO)
        self.regenstore("get")
        self.regenstore("new", "proxy.png", "-g", "derive.image", "-i", "source=made/00.png", "-p", "width=16")
        self.commit("first")
        self.git("rm", "-q", "old.png")
        self.write("made/01.png", RECIPE % ("another plate", 2))
        self.regenstore("get")
        self.commit("second")
        assert self.status() == ""

    @property
    def made(self) -> list[str]:
        return [f"made/{number:02}.png" for number in range(COUNT)]

    def take(self, name: str, revision: str = "") -> Take:
        take = toml.decode(self.blob(name, revision)).output.take
        assert take is not None
        return take

    def stored(self, name: str, revision: str = "") -> Path:
        """The file of the store that holds a path's take."""
        digest = self.take(name, revision).digest.hex
        return self.store / "vault" / digest[:2] / digest[2:]

    def fsck(self, *arguments: str) -> tuple[int, dict]:
        done = self.run("regenstore", "fsck", "--json", *arguments, check=False)
        assert done.stdout, done.stderr.decode()
        return done.returncode, json.loads(done.stdout)

    def quarantine(self) -> list[bytes]:
        """The contents of the quarantine, without the texts beside."""
        folder = self.store / "quarantine"
        return [p.read_bytes() for p in sorted(folder.iterdir()) if p.suffix != ".txt"] if folder.is_dir() else []


def flip(path: Path, at: int) -> None:
    """Change one bit of a stored file, as a failing disk would: the file stays the same one."""
    path.chmod(0o644)
    data = bytearray(path.read_bytes())
    data[at % len(data)] ^= 1 << (at % 8)
    with path.open("r+b") as file:
        file.write(data)
    path.chmod(0o444)


def cut(path: Path, size: int) -> None:
    path.chmod(0o644)
    os.truncate(path, size)
    path.chmod(0o444)


def snapshot(folder: Path) -> dict[str, tuple[int, int, bytes]]:
    """Everything below a folder: inode, mode, bytes."""
    found = {}
    for path in sorted(folder.rglob("*")):
        state = path.lstat()
        regular = stat.S_ISREG(state.st_mode)
        found[str(path.relative_to(folder))] = (state.st_ino, state.st_mode, path.read_bytes() if regular else b"")
    return found


def digest_of(path: Path) -> Digest:
    return Digest.parse(Digest.PREFIX + path.parent.name + path.name)
