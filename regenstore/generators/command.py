"""Run a declared program for each item, in the worker.

Arguments are filled in once, by name: ``{output}``, ``{input.NAME}``, ``{params}`` (path of a JSON file with all
parameters) and ``{PARAM}``; ``{{`` and ``}}`` are literal braces. There is no shell. The program also gets the JSON on
standard input.
"""

from __future__ import annotations

import errno
import json
import os
import platform
import re
import signal
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from regenstore.errors import RegenstoreError
from regenstore.fs import presence
from regenstore.generators.api import Cancelled, Context, Item, Made, Probe
from regenstore.generators.command_environment import CommandEnvironment
from regenstore.media.types import suffix_for
from regenstore.objects.hash_cache import KnownHashes
from regenstore.objects.hashing import hash_bytes
from regenstore.project.definition_files import digest_of

_TOO_LARGE = getattr(signal, "SIGXFSZ", 0x7FFF)
_PLACE = re.compile(r"\{\{|\}\}|\{([A-Za-z0-9_.-]+)\}")


class CommandGenerator:
    """Runs a command. ``options``: ``argv`` (resolved), ``hash`` of the definition, ``top`` of the worktree, and the
    ``files`` that the definition stands on, with their digests."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._argv: list[str] = list(options["argv"])
        self._hash: str = options["hash"]
        self._files: dict[str, str] = dict(options["files"])
        self._hashes = KnownHashes()
        self._environment = CommandEnvironment(self._argv, options["top"], self._hashes)

    def probe(self) -> Probe:
        program = self._argv[0]
        if os.path.isabs(program) and os.access(program, os.X_OK):
            return Probe(True)
        return Probe(False, f"the program '{program}' is not installed or not executable")

    def fingerprint(self) -> Mapping[str, str]:
        changed = next((path for path, digest in self._files.items() if not self._is(path, digest)), None)
        definition = self._hash if changed is None else f"{self._hash}, but {changed} changed meanwhile"
        return {"definition": definition, "machine": platform.machine()} | self._environment.fingerprint() | _devices()

    def _is(self, path: str, digest: str) -> bool:
        """Whether a file still has the content that the definition's hash was computed from."""
        try:
            return digest in (self._hashes.of(path), digest_of(path, self._hashes, medium=True))
        except (OSError, presence.NotRegular, RegenstoreError):
            return False

    def load(self, model_key: str, context: Context) -> CommandGenerator:
        found = self.probe()
        if not found.available:
            raise RuntimeError(found.reason)
        return self

    def unload(self) -> None:
        """Nothing is kept between items."""

    def generate(self, items: Iterable[Item], context: Context) -> Iterator[Made]:
        for item in items:
            output = item.output() + suffix_for(item.media_type)
            self._run(item, output, context)
            yield Made(item.id, {"main": (output, item.media_type)})

    def _run(self, item: Item, output: str, context: Context) -> None:
        params = f"{item.outdir}/params.json"
        with open(params, "w", encoding="utf-8") as file:
            json.dump(dict(item.params), file, ensure_ascii=False)
        argv = fill(self._argv, item, output, params)
        log = f"{item.outdir}/log"
        with open(params, "rb") as stdin, open(log, "wb") as said:
            process = subprocess.Popen(argv, stdin=stdin, stdout=said, stderr=subprocess.STDOUT, cwd=item.outdir)
            try:
                while process.poll() is None:
                    if context.cancelled():
                        raise Cancelled
                    time.sleep(0.02)
            finally:
                if process.poll() is None:
                    process.kill()
                    process.wait()
        if process.returncode == -_TOO_LARGE:
            raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
        if process.returncode:
            with open(log, "rb") as heard:
                heard.seek(max(0, os.path.getsize(log) - 2000))
                message = heard.read().decode(errors="replace").strip()
            raise RuntimeError(
                f"'{os.path.basename(argv[0])}' ended with {process.returncode}: {message or 'no output'}"
            )


def _devices() -> dict[str, str]:
    """Hardware that may affect the output of an unknown program: the number of usable processors (sums are split
    among them), their model (libraries choose code by it), and the graphics driver."""
    affinity = getattr(os, "sched_getaffinity", None)
    found = {"processors": str(len(affinity(0)) if affinity is not None else os.cpu_count() or 1)}
    first = _text("/proc/cpuinfo").split("\n\n")[0]
    kind = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in first.split("\n"))}
    if flags := kind.get("flags") or kind.get("Features"):
        identity = "\n".join(kind.get(name, "") for name in ("vendor_id", "cpu family", "model")) + flags
        found["processor"] = f"{kind.get('model name', 'unnamed')} ({hash_bytes(identity.encode()).hex[:12]})"
    if driver := _text("/proc/driver/nvidia/version").partition("\n")[0]:
        found["graphics"] = " ".join(driver.split())
    return found


def _text(path: str) -> str:
    """The text of a small system file; empty if it does not exist."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read(1 << 16)
    except OSError:
        return ""


def placeholders(argv: Iterable[str]) -> list[str]:
    """The names of the placeholders in an argument list, in order."""
    return [found[1] for argument in argv for found in _PLACE.finditer(argument) if found[1] is not None]


def fill(argv: Iterable[str], item: Item, output: str, params: str) -> list[str]:
    """The argument list for an item. Placeholders are replaced once; the values are not expanded again."""
    fixed = {"output": output, "params": params, **{f"input.{name}": path for name, path in item.inputs.items()}}

    def value(found: re.Match[str]) -> str:
        name = found[1]
        if name is None:
            return found[0][0]
        if name in fixed:
            return fixed[name]
        if name in item.params:
            given = item.params[name]
            return given if isinstance(given, str) else json.dumps(given)
        raise ValueError(f"the command names '{{{name}}}', which is neither a given parameter nor an input")

    return [_PLACE.sub(value, argument) for argument in argv]
