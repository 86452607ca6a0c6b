"""The state of installed Python packages, to which proofs are bound.

An installer writes RECORD, with the hash of every file, last. RECORD therefore stands for its distribution, and only
files that are newer than it, or differ in size, are read and compared with it. Without a meaningful RECORD (editable
installs, modules copied into place) the files themselves are hashed. Compiled caches never count.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import json
import os
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from urllib.parse import unquote, urlsplit

from regenstore.objects.hash_cache import KnownHashes
from regenstore.objects.hashing import hash_bytes

_SOURCES = (
    ".py", ".pyx", ".pyi", ".so", ".pyd", ".dll", ".dylib", ".c", ".cc", ".cpp", ".h", ".hpp", ".cu", ".cl", ".glsl",
    ".frag", ".vert", ".comp", ".json", ".toml", ".yaml", ".yml", ".ini", ".cfg", ".txt", ".csv", ".tsv", ".npy",
    ".npz", ".lua", ".js", ".r", ".jl", ".pth", ".bin", ".dat",
)  # fmt: skip
_NOT_SOURCES = {"__pycache__", "node_modules", "build", "dist", "site-packages"}
_INSTALLED = {"site-packages", "dist-packages"}
_MOST = 20_000


class Packages:
    """The packages installed in the folders of a Python's path; with ``only``, just the distributions whose
    normalized names it accepts. Repeated calls in one process look again only so often that this takes a tenth of
    its time."""

    def __init__(self, hashes: KnownHashes, only: Callable[[str], bool] | None = None) -> None:
        self._hashes = hashes
        self._only = only
        self._rows: dict[tuple[object, ...], list[list[str]]] = {}
        self._said: dict[tuple[str, ...], tuple[float, str]] = {}

    def of(self, folders: Iterable[str]) -> str:
        """The number of packages and a hash of their state. Never raises: unreadable files count as such."""
        name = tuple(dict.fromkeys(folder for folder in folders if os.path.isdir(folder)))
        if name not in self._said or time.monotonic() > self._said[name][0]:
            begun = time.monotonic()
            said = str(_Looking(self._hashes, self._only, name, self._rows))
            self._said[name] = time.monotonic() + 9 * (time.monotonic() - begun), said
        return self._said[name][1]


def closure(roots: Iterable[str]) -> set[str]:
    """The normalized names of distributions installed for this Python, and of all that they require."""
    from importlib import metadata

    todo, found = [normalized(name) for name in roots], set()
    while todo:
        name = todo.pop()
        if name in found:
            continue
        found.add(name)
        try:
            required = metadata.requires(name) or ()
        except metadata.PackageNotFoundError:
            continue
        todo += [normalized(match[0]) for line in required if (match := re.match(r"[A-Za-z0-9._-]+", line))]
    return found


def normalized(name: str) -> str:
    """The normalized name of a distribution, the same for every spelling."""
    return re.sub(r"[-_.]+", "-", name).lower()


class _Looking:
    """One scan: collects a line for everything that can change."""

    def __init__(
        self,
        hashes: KnownHashes,
        only: Callable[[str], bool] | None,
        folders: tuple[str, ...],
        rows: dict[tuple[object, ...], list[list[str]]],
    ) -> None:
        self._hashes = hashes
        self._only = only
        self._rows = rows
        self._tops = set(folders)  # their sources are scanned anyway
        self._count = 0
        self._lines: list[str] = []
        for folder in folders:
            self._folder(folder)

    def __str__(self) -> str:
        lines = os.fsencode("\n".join(sorted(self._lines)))
        return f"{self._count} packages ({hash_bytes(lines).hex[:16]})"

    def _folder(self, folder: str) -> None:
        names = _listed(folder)
        owned: set[str] = set()
        loose_counts = self._only is None
        for name in names:
            if not name.endswith((".dist-info", ".egg-info")):
                continue
            path = os.path.join(folder, name)
            recorded = self._record(os.path.join(path, "RECORD"))
            owned |= {name, *(row[0].partition("/")[0] for row in recorded if row)}
            if self._only is not None and not self._only(normalized(name.rsplit(".", 1)[0].split("-")[0])):
                continue
            self._count += 1
            loose_counts |= not recorded
            self._distribution(folder, name, recorded)
        if loose_counts and os.path.basename(folder) in _INSTALLED:
            for name in names:
                if name not in owned and not _passed_over(folder, name):
                    self._loose(os.path.join(folder, name), name)
        elif loose_counts:
            self._project(folder, "")

    def _record(self, path: str) -> list[list[str]]:
        try:
            found = os.stat(path)
            state = (path, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
            if state not in self._rows:
                with open(path, encoding="utf-8", errors="surrogateescape", newline="") as file:
                    self._rows[state] = list(csv.reader(file))
            return self._rows[state]
        except (OSError, csv.Error):
            return []

    def _distribution(self, folder: str, name: str, recorded: list[list[str]]) -> None:
        path = os.path.join(folder, name)
        about = [os.path.join(path, one) for one in ("RECORD", "METADATA", "PKG-INFO")]
        for one in [path] if os.path.isfile(path) else about:
            if os.path.isfile(one):
                self._lines.append(f"{name} {os.path.basename(one)} {self._hash(one)}")
        if recorded:
            self._lines += [f"{name} {line}" for line in _changed(folder, os.path.join(path, "RECORD"), recorded)]
        source = _editable(path)
        if source is not None and not self._tops & {source, os.path.join(source, "src")}:
            self._project(source, name)

    def _loose(self, path: str, name: str) -> None:
        """A module or package that belongs to no distribution."""
        if os.path.isdir(path):
            self._sources(path, name)
        elif name.endswith((".py", ".so", ".pyd", ".pth", ".egg-link")):
            self._lines.append(f"{name} {self._hash(path)}")

    def _project(self, top: str, shown: str) -> None:
        """The importable part of a source folder: modules, and packages with all their files."""
        for name in _listed(top):
            path = os.path.join(top, name)
            if _passed_over(top, name):
                continue
            if name == "src" and os.path.isdir(path):
                self._project(path, f"{shown}/src")
            elif name.endswith(".py") or os.path.exists(os.path.join(path, "__init__.py")):
                self._loose(path, f"{shown}/{name}")

    def _sources(self, top: str, shown: str) -> None:
        if top in self._tops:
            return
        self._tops.add(top)
        count = 0
        for folder, names, files in os.walk(top):
            names[:] = sorted(name for name in names if not _passed_over(folder, name))
            home = folder[len(top) :]
            for name in sorted(files):
                if name.lower().endswith(_SOURCES):
                    count += 1
                    self._lines.append(f"{shown}{home}/{name} {self._hash(f'{folder}/{name}')}")
            if count > _MOST:
                self._lines.append(f"{shown} has more")
                return

    def _hash(self, path: str) -> str:
        try:
            return self._hashes.of(path)
        except Exception as error:  # not a regular file, or not readable
            return f"not readable: {type(error).__name__}"


def _changed(folder: str, record: str, rows: Iterable[list[str]]) -> Iterator[str]:
    """The files that no longer match RECORD."""
    try:
        written = os.stat(record).st_mtime_ns
    except OSError:
        return
    for row in rows:
        if len(row) < 3 or not row[1].startswith("sha256=") or row[0].endswith(".pyc"):
            continue
        path = os.path.join(folder, row[0])
        try:
            state = os.stat(path)
            if state.st_mtime_ns <= written and (not row[2] or state.st_size == int(row[2])):
                continue
            with open(path, "rb") as file:
                digest = hashlib.file_digest(file, "sha256").digest()
        except (OSError, ValueError):
            yield f"{row[0]} missing"
            continue
        if base64.urlsafe_b64encode(digest).rstrip(b"=").decode() != row[1].removeprefix("sha256="):
            yield f"{row[0]} {digest.hex()}"


def _editable(path: str) -> str | None:
    """The source folder of a distribution installed in editable mode."""
    try:
        with open(os.path.join(path, "direct_url.json"), encoding="utf-8") as file:
            told = json.load(file)
    except (OSError, ValueError):
        return None
    if not isinstance(told, Mapping) or not (told.get("dir_info") or {}).get("editable"):
        return None
    parts = urlsplit(str(told.get("url", "")))
    return unquote(parts.path) if parts.scheme == "file" else None


def _passed_over(folder: str, name: str) -> bool:
    return (
        name.startswith(".")
        or name in _NOT_SOURCES
        or name.endswith((".dist-info", ".egg-info"))
        or os.path.exists(os.path.join(folder, name, "pyvenv.cfg"))
    )


def _listed(folder: str) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []
