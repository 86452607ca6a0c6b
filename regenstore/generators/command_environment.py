"""The software that a declared command depends on: programs, interpreters, packages, containers.

Only what the command itself names is covered. What a program starts or reads on its own cannot be seen from here; gc's
probes exist for that.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence

from regenstore.generators.python_packages import Packages
from regenstore.objects.hash_cache import KnownHashes
from regenstore.objects.hashing import hash_bytes
from regenstore.objects.result import UNPINNED

_CONTAINERS = {"docker", "podman", "nerdctl", "apptainer", "singularity", "docker-compose", "podman-compose", "finch"}
_PINNED = re.compile(r"@sha256:[0-9a-f]{64}\Z")
_PYTHON = re.compile(r"(python|pypy)[0-9.]*\Z")
_RUNNERS = {
    "uv", "uvx", "poetry", "pdm", "pipenv", "hatch", "pixi", "conda", "mamba", "micromamba", "node", "npm", "npx",
    "yarn", "pnpm", "bun", "bunx", "deno", "nix", "nix-shell", "ruby", "bundle", "cargo", "julia", "Rscript",
}  # fmt: skip
"""Programs that choose what they run by files of the project."""
_LOCKS = (
    "uv.lock", "poetry.lock", "pdm.lock", "Pipfile.lock", "pixi.lock", "conda-lock.yml", "environment.yml",
    "pyproject.toml", "requirements.txt", "package.json", "package-lock.json", "npm-shrinkwrap.json", "yarn.lock",
    "pnpm-lock.yaml", "bun.lock", "bun.lockb", "deno.lock", "node_modules/.package-lock.json", "flake.lock",
    "Gemfile.lock", "Cargo.lock", "Manifest.toml", "renv.lock",
)  # fmt: skip
_DEPTH = 4
_ASK = 30.0
_QUESTION = (
    "import json, sys; print(json.dumps([sys.version, sys.prefix, sys.base_prefix, "
    "[p for p in sys.path if p and p != sys.argv[0]]]))"
)


class CommandEnvironment:
    """Fingerprints the software behind a command. May be called often: slow questions are asked once per state of
    the files that decide their answer."""

    def __init__(self, argv: Sequence[str], top: str, hashes: KnownHashes) -> None:
        self._argv = [argument for argument in argv if argument]
        self._top = top
        self._hashes = hashes
        self._packages = Packages(hashes)
        self._asked: dict[tuple[object, ...], tuple[str, list[str]]] = {}

    def fingerprint(self) -> dict[str, str]:
        """The fingerprint by name, in values that people can compare."""
        programs = list(dict.fromkeys(self._programs()))
        found = {"program": self._hash(self._argv[0])}
        lines = [f"{name} {self._hash(path)}" for name, path in programs]
        found["programs"] = f"{len(lines)} ({hash_bytes(os.fsencode(chr(10).join(lines))).hex[:16]})"
        pythons = [path for _, path in programs if _PYTHON.match(os.path.basename(path))]
        runners = {os.path.basename(path) for _, path in programs} & _RUNNERS
        if runners:
            own = os.path.join(self._top, ".venv", "bin", "python")
            pythons += [own] if os.path.exists(own) else []
            found["locks"] = self._locks()
        for number, python in enumerate(dict.fromkeys(pythons)):
            end = f" {number + 1}" if number else ""
            version, folders = self._python(python)
            found[f"python{end}"] = f"{version} ({self._hash(python).removeprefix('blake3:')[:16]})"
            found[f"packages{end}"] = self._packages.of(folders)
        container = self._container(programs)
        return found if container is None else {**found, UNPINNED: container}

    # -------------------------------------------------------------------------------- programs

    def _programs(self) -> Iterator[tuple[str, str]]:
        """Every program in the arguments, and the interpreters of those that are scripts: name and path."""
        for position, argument in enumerate(self._argv):
            if "{" in argument or argument.startswith("-"):
                continue
            if os.path.isabs(argument):
                if position == 0 or (os.path.isfile(argument) and os.access(argument, os.X_OK)):
                    yield from self._chain(argument)
            elif "/" not in argument and (path := shutil.which(argument)) is not None:
                yield from self._chain(path)

    def _chain(self, path: str) -> Iterator[tuple[str, str]]:
        for _ in range(_DEPTH):
            yield os.path.basename(path), path
            interpreter = _interpreter(path)
            if interpreter is None:
                return
            path = interpreter

    def _hash(self, path: str) -> str:
        try:
            return self._hashes.of(path)
        except Exception:  # missing, or not a regular file
            return "missing"

    # -------------------------------------------------------------------------------- what it runs in

    def _python(self, path: str) -> tuple[str, list[str]]:
        """A Python's version, and the folders it searches for packages."""
        state = (path, _state(path), _state(os.path.join(os.path.dirname(path), "..", "pyvenv.cfg")))
        if state not in self._asked:
            self._asked[state] = self._ask(path)
        return self._asked[state]

    @staticmethod
    def _ask(path: str) -> tuple[str, list[str]]:
        try:
            done = subprocess.run(
                [path, "-c", _QUESTION], stdin=subprocess.DEVNULL, capture_output=True, timeout=_ASK, check=True
            )
            version, prefix, base, folders = json.loads(done.stdout)
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            return f"did not answer: {type(error).__name__}", []
        library = os.path.join(base, "lib", "python")
        own = [f for f in folders if not (f.startswith(library) and "-packages" not in f) and os.path.isdir(f)]
        kind = "" if prefix == base else ", virtual environment"
        return f"{version.split()[0]}{kind}", own

    def _locks(self) -> str:
        """The files by which a runner chooses what it runs: beside the scripts, and in every folder up to the
        worktree's top."""
        folders = {self._top}
        for argument in self._argv:
            folder = os.path.dirname(argument)
            while os.path.isabs(argument) and folder.startswith(self._top.rstrip("/") + "/"):
                folders.add(folder)
                folder = os.path.dirname(folder)
        lines = [
            f"{os.path.relpath(path, self._top)} {self._hash(path)}"
            for folder in sorted(folders)
            for name in _LOCKS
            if os.path.isfile(path := os.path.join(folder, name))
        ]
        return f"{len(lines)} ({hash_bytes(os.fsencode(chr(10).join(lines))).hex[:16]})"

    def _container(self, programs: Sequence[tuple[str, str]]) -> str | None:
        """Why the image of a container can change; None if no container is run, or its image is given by digest."""
        used = {os.path.basename(self._argv[0]), *(name for name, _ in programs)} & _CONTAINERS
        if not used:
            return None
        if any(_PINNED.search(argument) for argument in self._argv):
            return None
        if any(argument.endswith((".sif", ".simg")) and os.path.isfile(argument) for argument in self._argv):
            return None  # a file with the image in it, which is hashed
        return f"the image that {sorted(used)[0]} runs is not given by digest (IMAGE@sha256:…)"


def _interpreter(path: str) -> str | None:
    """The interpreter named in a script's first line."""
    try:
        with open(path, "rb") as file:
            line = file.readline(1024)
    except OSError:
        return None
    if not line.startswith(b"#!"):
        return None
    words = os.fsdecode(line[2:]).split()
    if not words:
        return None
    if os.path.basename(words[0]) != "env":
        return words[0] if os.path.isfile(words[0]) else None
    named = (word for word in words[1:] if not word.startswith("-") and "=" not in word)
    name = next(named, None)
    return None if name is None else shutil.which(name)


def _state(path: str) -> tuple[int, ...]:
    try:
        found = os.stat(path)
    except OSError:
        return ()
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino
