"""The parent's side of a worker process.

Whatever a generator does (print, crash, hang, write nonsense, write nothing, write too much) ends as one
GenerationError for one item; the host then is closed, and the caller starts another for the next item.
"""

from __future__ import annotations

import json
import os
import selectors
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from regenstore.errors import GenerationError
from regenstore.generators.api import API_VERSION, Declaration, Item, Probe
from regenstore.media import types

_START = 60.0
_GRACE = 5.0
_TAIL = 16 << 10
_LINE_LIMIT = 16 << 20
_CODE = "from regenstore.generators.worker import main; main()"

Progress = Callable[[float, float, str], None]


@dataclass(frozen=True)
class Run:
    """A finished item: output name -> (path, media type), checked to be there and of their types."""

    outputs: Mapping[str, tuple[str, str]]
    seconds: float
    fingerprint: Mapping[str, str]


class WorkerHost:
    """One worker process. Not for use by two threads at once, except :meth:`cancel`."""

    def __init__(self, max_output: int, environment: Mapping[str, str]) -> None:
        self._max_output = max_output
        self._home = tempfile.mkdtemp(prefix="regenstore-worker-")
        self._buffer = b""
        self._tail = b""
        self._cancelled = threading.Event()
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-c", _CODE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=self._home,
            env={**environment, "HOME": self._home, "TMPDIR": self._home, "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8"},
            start_new_session=True,
        )
        self._selector = selectors.DefaultSelector()
        assert self._process.stdout is not None
        os.set_blocking(self._process.stdout.fileno(), False)
        self._selector.register(self._process.stdout, selectors.EVENT_READ)
        self._drain = threading.Thread(target=self._keep_tail, daemon=True)
        self._drain.start()
        hello = self._receive(time.monotonic() + _START, None)
        if hello.get("is") != "hello" or hello.get("api") != API_VERSION:
            self.close()
            raise GenerationError("generator-crashed", "the worker did not start as expected" + self._said())
        self._send({"do": "setup", "max_output": max_output})

    # -------------------------------------------------------------------------------- asking

    def probe(self, declaration: Declaration, timeout: float = _START) -> tuple[Probe, Mapping[str, str]]:
        """Whether a generator can run here, and its environment fingerprint."""
        self._send({"do": "probe", **_names(declaration)})
        answer = self._receive(time.monotonic() + timeout, None)
        return Probe(answer["available"], answer["reason"], answer["versions"]), answer["fingerprint"]

    def run(self, declaration: Declaration, model_key: str, item: Item, timeout: float, progress: Progress) -> Run:
        """Make one item; raises GenerationError. After an error other than a plain failure the worker is
        closed and must not be used again (see :attr:`usable`)."""
        self._cancelled.clear()
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
            kind = message.get("is")
            if kind == "progress":
                progress(message["done"], message["total"], message["note"])
            elif kind == "done":
                return Run(self._checked(item, message["outputs"]), message["seconds"], message["fingerprint"])
            elif kind == "cancelled":
                raise GenerationError("cancelled", "cancelled")
            elif kind == "failed":
                raise GenerationError("generator-failed", str(message["message"])[:4000])

    def cancel(self) -> None:
        """Ask the running item to stop; safe from another thread and from a signal handler."""
        self._cancelled.set()

    @property
    def usable(self) -> bool:
        return self._process.poll() is None

    def close(self) -> None:
        """End the worker and everything it started: message, then the whole process group is killed."""
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

    def _checked(self, item: Item, outputs: Mapping[str, list[str]]) -> dict[str, tuple[str, str]]:
        if "main" not in outputs:
            raise GenerationError("output-missing", "it ended without its main output")
        checked = {}
        for name, (path, media_type) in outputs.items():
            with open(self._output(item, name, path), "rb") as file:
                shown = types.sniff(file.read(types.HEAD))
            expected = item.media_type if name == "main" else media_type
            if (shown or media_type) != expected:
                raise GenerationError(
                    "output-wrong-type", f"expected {expected} as output '{name}', found {shown or media_type}"
                )
            checked[name] = (path, media_type)
        return checked

    def _output(self, item: Item, name: str, path: str) -> str:
        inside = os.path.realpath(path).startswith(os.path.realpath(item.outdir) + "/")
        try:
            found = os.lstat(path)
        except OSError:
            raise GenerationError("output-missing", f"it ended without writing its output '{name}'") from None
        if not inside or not stat.S_ISREG(found.st_mode):
            raise GenerationError("output-missing", f"its output '{name}' is not a regular file in its own folder")
        if found.st_size == 0:
            raise GenerationError("output-missing", f"its output '{name}' is empty")
        if found.st_size > self._max_output:
            raise GenerationError(
                "output-too-large", f"its output '{name}' has {found.st_size} bytes, over {self._max_output}"
            )
        return path

    # -------------------------------------------------------------------------------- messages

    def _send(self, message: Mapping[str, Any]) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(message).encode() + b"\n")
            self._process.stdin.flush()
        except (BrokenPipeError, ValueError):
            raise self._crashed() from None

    def _receive(self, deadline: float, wake: threading.Event | None) -> dict[str, Any]:
        """The next message; an empty one when ``wake`` was set first. Raises TimeoutError at the deadline."""
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
        except ValueError:
            message = None
        if not isinstance(message, dict):
            self.close()
            raise GenerationError("generator-crashed", "the worker broke the protocol" + self._said())
        return message

    def _crashed(self) -> GenerationError:
        _kill_group(self._process)
        code = self._process.wait()
        self._drain.join(1.0)
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
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
        return ("; it last said: " + " / ".join(lines[-3:])[:1000]) if lines else ""


def _names(declaration: Declaration) -> dict[str, Any]:
    return {"implementation": declaration.implementation, "options": dict(declaration.options)}


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass
