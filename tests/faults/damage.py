"""Ways to damage a store, and every kind of file that one can have."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path

from tests.doctor.gallery import cut
from tests.faults.studio import Studio

Damage = Callable[[Path, random.Random], None]


def flip(path: Path, chance: random.Random) -> None:
    """One wrong bit."""
    _write(path, _flipped(path.read_bytes(), chance))


def rot(path: Path, chance: random.Random) -> None:
    """A wrong page."""
    data = bytearray(path.read_bytes())
    at = chance.randrange(max(1, len(data)))
    data[at : at + 512] = chance.randbytes(len(data[at : at + 512]))
    _write(path, bytes(data))


def shorten(path: Path, chance: random.Random) -> None:
    cut(path, chance.randrange(path.stat().st_size or 1))


def empty(path: Path, chance: random.Random) -> None:
    cut(path, 0)


def delete(path: Path, chance: random.Random) -> None:
    path.unlink()


def replace(path: Path, chance: random.Random) -> None:
    """Something else under its name, such as a page of another program."""
    path.unlink()
    path.write_bytes(b"<!DOCTYPE html>\n" + chance.randbytes(100))


def hide(path: Path, chance: random.Random) -> None:
    """A folder in its place."""
    path.unlink()
    path.mkdir()


DAMAGES: dict[str, Damage] = {damage.__name__: damage for damage in (flip, rot, shorten, empty, delete, replace, hide)}


def _flipped(data: bytes, chance: random.Random) -> bytes:
    wrong = bytearray(data or b"\0")
    wrong[chance.randrange(len(wrong))] ^= 1 << chance.randrange(8)
    return bytes(wrong)


def _write(path: Path, data: bytes) -> None:
    """In place: the file stays the same one, as on a failing disk."""
    mode = path.stat().st_mode
    path.chmod(0o644)
    with path.open("r+b") as file:
        file.write(data)
    os.chmod(path, mode)


def kind_of(name: str) -> str:
    """The kind of a file of a store, by its path there."""
    top, _, rest = name.partition("/")
    return top if rest else name


def files_by_kind(studio: Studio) -> dict[str, list[Path]]:
    """Every file that the store and the worktree's Git folder hold for regenstore."""
    found: dict[str, list[Path]] = {}
    for path in sorted(studio.store.rglob("*")):
        if path.is_file():
            found.setdefault(kind_of(str(path.relative_to(studio.store))), []).append(path)
    for path in sorted((studio.path / ".git").glob("regenstore-*/*")):
        found.setdefault("-".join(path.parent.name.split("-")[:2]), []).append(path)
    return found
