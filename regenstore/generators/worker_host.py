"""The parent's side of a worker process.

Whatever a generator does (print, crash, hang, write nonsense, nothing or too much) becomes one GenerationError for one
item. After anything but a plain failure the host is closed, and the caller starts another for the next item.
"""

from __future__ import annotations

import json
import os
import re
import selectors
import shutil
import signal
import stat
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import date, datetime
from datetime import time as clock_time
from typing import Any

from regenstore.errors import GenerationError
from regenstore.fs import durable, interpreter
from regenstore.generators.api import API_VERSION, Declaration, Item, Probe
from regenstore.media import types
from regenstore.objects import canonical

_START = 60.0
_GRACE = 2.0
_TAIL = 16 << 10
_LINE_LIMIT = 16 << 20
_OUTPUT_NAME = re.compile(r"[A-Za-z0-9_.-]{1,100}\Z")
_MEDIA_TYPE = re.compile(r"[a-z]+/[A-Za-z0-9.+-]{1,100}\Z")
_MODULE = "regenstore.generators.worker"

Progress = Callable[[float, float, str], None]


@dataclass(frozen=True)
class Run:
    """A finished item: output name -> (path, media type). The files exist and have these types."""

    outputs: Mapping[str, tuple[str, str]]
    seconds: float
    fingerprint: Mapping[str, str]


class WorkerHost:
    """One worker process, for use by one thread. Setting ``cancelled``, from any thread, stops the running item
    within a few seconds and makes the host refuse further ones."""

    def __init__(
        self, max_output: int, environment: Mapping[str, str], cancelled: threading.Event | None = None
    ) -> None:
        self._max_output = max_output
        self._buffer = b""
        self._tail = b""
        self._cancelled = threading.Event() if cancelled is None else cancelled
        with durable.storage_errors(tempfile.gettempdir()):
            self._home = tempfile.mkdtemp(prefix="regenstore-worker-")
        try:
            self._process = subprocess.Popen(
                interpreter.command(_MODULE),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd=self._home,
                env={**environment, "HOME": self._home, "TMPDIR": self._home, "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8"},
                start_new_session=True,
            )
        except OSError as error:
            shutil.rmtree(self._home, ignore_errors=True)
            raise GenerationError("generator-unavailable", f"no worker process could be started: {error}") from error
        self._selector = selectors.DefaultSelector()
        assert self._process.stdout is not None
        os.set_blocking(self._process.stdout.fileno(), False)
        self._selector.register(self._process.stdout, selectors.EVENT_READ)
        self._drain = threading.Thread(target=self._keep_tail, daemon=True)
        self._drain.start()
        try:
            self._greet()
        except BaseException:
            self.close()
            raise

    def _greet(self) -> None:
        try:
            hello = self._receive(time.monotonic() + _START, self._cancelled)
        except TimeoutError:
            hello = {}
        if self._cancelled.is_set():
            raise GenerationError("cancelled", "cancelled")
        if hello.get("is") != "hello" or hello.get("api") != API_VERSION:
            raise GenerationError("generator-crashed", "the worker did not start up correctly" + self._said())
        self._send({"do": "setup", "max_output": self._max_output})

    # -------------------------------------------------------------------------------- asking

    def probe(self, declaration: Declaration, timeout: float = _START) -> tuple[Probe, Mapping[str, str]]:
        """Whether a generator can run here, and its environment fingerprint. Raises GenerationError."""
        self._send({"do": "probe", **_names(declaration)})
        try:
            answer = self._receive(time.monotonic() + timeout, None)
            return Probe(answer["available"], answer["reason"], answer["versions"]), answer["fingerprint"]
        except TimeoutError:
            self.close()
            raise GenerationError("generator-timeout", f"it did not answer for {timeout:.0f} s{self._said()}") from None
        except KeyError:
            raise self._broken() from None

    def run(self, declaration: Declaration, model_key: str, item: Item, timeout: float, progress: Progress) -> Run:
        """Make one item. Raises GenerationError; after any but a plain failure the worker is closed and must not be
        used again (see :attr:`usable`)."""
        if self._cancelled.is_set():
            raise GenerationError("cancelled", "cancelled")
        self._tail = b""  # output of earlier items does not belong to this one
        self._send({"do": "run", **_names(declaration), "model_key": model_key, **asdict(item)})
        deadline = time.monotonic() + timeout
        cancel_sent = 0.0
        while True:
            if self._cancelled.is_set() and not cancel_sent:
                cancel_sent = time.monotonic()
                self._send({"do": "cancel", "id": item.id})
            try:
                message = self._receive(
                    min(deadline, cancel_sent + _GRACE) if cancel_sent else deadline, self._cancelled
                )
            except TimeoutError:
                self.close()
                if cancel_sent:
                    raise GenerationError("cancelled", "cancelled") from None
                raise GenerationError(
                    "generator-timeout", f"it was stopped after {timeout:.0f} s{self._said()}"
                ) from None
            if message.get("id", item.id) != item.id:
                continue
            try:
                done = self._understand(message, item, progress)
            except (KeyError, TypeError, ValueError):
                raise self._broken() from None
            if done is not None:
                return done

    def _understand(self, message: Mapping[str, Any], item: Item, progress: Progress) -> Run | None:
        """Handle a message about the running item; returns its result, or None while it runs."""
        kind = message.get("is")
        if kind == "progress":
            progress(float(message["done"]), float(message["total"]), str(message["note"]))
        elif kind == "done":
            fingerprint = {str(name): str(value) for name, value in message["fingerprint"].items()}
            return Run(self._checked(item, message["outputs"]), float(message["seconds"]), fingerprint)
        elif kind == "cancelled":
            raise GenerationError("cancelled", "cancelled")
        elif kind == "failed" and message["too_large"]:
            raise GenerationError("output-too-large", f"it tried to write a file larger than {self._max_output} bytes")
        elif kind == "failed":
            raise GenerationError("generator-failed", str(message["message"])[:4000])
        return None

    @property
    def usable(self) -> bool:
        return self._process.poll() is None

    def close(self) -> None:
        """Stop the worker and everything it started: a message first, then the whole process group is killed."""
        try:
            if self.usable:
                self._send({"do": "bye"})
                self._process.wait(0.2)
        except (GenerationError, subprocess.TimeoutExpired):
            pass
        _kill_group(self._process)
        self._process.wait()
        self._drain.join(1.0)
        self._selector.close()
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe is not None:
                try:
                    pipe.close()
                except BrokenPipeError:
                    pass
        shutil.rmtree(self._home, ignore_errors=True)

    # -------------------------------------------------------------------------------- outputs

    def _checked(self, item: Item, outputs: object) -> dict[str, tuple[str, str]]:
        checked: dict[str, tuple[str, str]] = {}
        for name, path, media_type in _described(outputs):
            self._check_file(item, name, path)
            try:
                shown = _shown(path) or [media_type]
            except OSError as error:
                raise GenerationError("output-missing", f"its output '{name}' cannot be read: {error}") from None
            expected = item.media_type if name == "main" else media_type
            if expected not in shown:
                raise GenerationError("output-wrong-type", f"expected {expected} as output '{name}', found {shown[0]}")
            checked[name] = (path, media_type)
        return checked

    def _check_file(self, item: Item, name: str, path: str) -> None:
        try:
            inside = os.path.realpath(path).startswith(os.path.realpath(item.outdir) + "/")
            found = os.lstat(path)
        except (OSError, ValueError):
            raise GenerationError("output-missing", f"it ended without writing its output '{name}'") from None
        if not inside or not stat.S_ISREG(found.st_mode):
            raise GenerationError("output-missing", f"its output '{name}' is not a regular file in its own folder")
        if found.st_size == 0:
            raise GenerationError("output-missing", f"its output '{name}' is empty")
        if found.st_size > self._max_output:
            raise GenerationError(
                "output-too-large",
                f"its output '{name}' has {found.st_size} bytes, more than the limit of {self._max_output}",
            )

    # -------------------------------------------------------------------------------- messages

    def _send(self, message: Mapping[str, Any]) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(message, default=_as_text).encode() + b"\n")
            self._process.stdin.flush()
        except (BrokenPipeError, ValueError):  # ValueError: the pipe was closed
            raise self._crashed() from None

    def _receive(self, deadline: float, wake: threading.Event | None) -> dict[str, Any]:
        """Wait for the next message; returns an empty one if ``wake`` is set first. Raises TimeoutError at the
        deadline."""
        assert self._process.stdout is not None
        already = wake is not None and wake.is_set()
        while b"\n" not in self._buffer:
            if wake is not None and wake.is_set() and not already:
                return {}
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError
            if not self._selector.select(min(left, 0.2)):
                continue
            chunk = self._process.stdout.read(1 << 16)
            if not chunk or len(self._buffer) > _LINE_LIMIT:
                raise self._crashed()
            self._buffer += chunk
        line, self._buffer = self._buffer.split(b"\n", 1)
        try:
            message = json.loads(line)
        except (ValueError, RecursionError):
            message = None
        if not isinstance(message, dict):
            raise self._broken()
        return message

    def _broken(self) -> GenerationError:
        self.close()
        return GenerationError("generator-crashed", "the worker violated the protocol" + self._said())

    def _crashed(self) -> GenerationError:
        _kill_group(self._process)
        code = self._process.wait()
        self._drain.join(1.0)
        how = f"signal {_signal_name(-code)}" if code < 0 else f"exit code {code}"
        return GenerationError("generator-crashed", f"its process ended with {how}{self._said()}")

    def _keep_tail(self) -> None:
        assert self._process.stderr is not None
        fd = self._process.stderr.fileno()
        try:
            while chunk := os.read(fd, 1 << 16):
                self._tail = (self._tail + chunk)[-_TAIL:]
        except OSError:
            return

    def _said(self) -> str:
        lines = self._tail.decode(errors="replace").strip().splitlines()
        return ("; last output: " + " / ".join(lines[-3:])[:1000]) if lines else ""


def _shown(path: str) -> list[str]:
    """The media types that a file may have by its bytes: an MP4 that has only sound may count as a film, too."""
    with open(path, "rb") as file:
        first = types.sniff(file.read(types.HEAD))
        whole = types.sniff_file(lambda at, length: os.pread(file.fileno(), length, at))
    return [found for found in (first, whole) if found is not None]


def _described(outputs: object) -> list[tuple[str, str, str]]:
    """Name, path and media type of each output in a worker's message. Raises GenerationError."""
    found = []
    for name, where in outputs.items() if isinstance(outputs, dict) else ():
        parts = where if isinstance(where, list) else []
        if len(parts) != 2 or not all(isinstance(part, str) for part in parts):
            raise GenerationError("generator-failed", f"it gave no path and media type for its output {name[:100]!r}")
        if not _OUTPUT_NAME.match(name) or not _MEDIA_TYPE.match(parts[1]):
            raise GenerationError(
                "generator-failed", f"{name[:100]!r}, {parts[1][:100]!r}: not an output's name and media type"
            )
        found.append((name, parts[0], parts[1]))
    if "main" not in (name for name, _, _ in found):
        raise GenerationError("output-missing", "it ended without its main output")
    return found


def _as_text(value: object) -> str:
    """Convert dates in a recipe's model table to text, as JSON has no dates."""
    if isinstance(value, (datetime, date, clock_time)):
        return canonical.datetime_text(value)
    raise TypeError(f"{type(value).__name__} cannot be sent to a worker")


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return str(number)


def _names(declaration: Declaration) -> dict[str, Any]:
    options = dict(declaration.options)
    return {"name": declaration.name, "implementation": declaration.implementation, "options": options}


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass
