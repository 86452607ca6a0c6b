"""The worker process: runs generator implementations and exchanges JSON lines with its host.

Before a generator is imported, standard output is redirected to standard error and standard input to nothing, so that
no library can disturb the protocol, which has its own descriptors. One item runs at a time; a reader thread takes
cancel messages meanwhile.

Host to worker: ``setup``, ``probe``, ``run``, ``cancel``, ``bye``. Worker to host: ``hello``, ``probed``, ``progress``,
``done``, ``failed``, ``cancelled``.
"""

from __future__ import annotations

import errno
import importlib
import json
import os
import queue
import shutil
import signal
import sys
import threading
import time
import traceback
from typing import Any, TextIO

from regenstore.generators.api import API_VERSION, Cancelled, Implementation, Item, Session

PROGRESS_EVERY = 0.1


class _Channel:
    """Sends messages to the host, one JSON line each."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lock = threading.Lock()

    def send(self, kind: str, **fields: Any) -> None:
        with self._lock:
            self._stream.write(json.dumps({"is": kind, **fields}) + "\n")
            self._stream.flush()


class _Context:
    """The implementation of ``api.Context`` that sessions get."""

    def __init__(self, channel: _Channel) -> None:
        self._channel = channel
        self._cancel = threading.Event()
        self._last = 0.0

    def begin(self) -> None:
        self._cancel.clear()
        self._last = 0.0

    def stop(self) -> None:
        self._cancel.set()

    def cancelled(self) -> bool:
        return self._cancel.is_set()

    def progress(self, item: Item, done: float, total: float, note: str = "") -> None:
        if self._cancel.is_set():
            raise Cancelled
        now = time.monotonic()
        if now - self._last >= PROGRESS_EVERY or done >= total:
            self._last = now
            self._channel.send("progress", id=item.id, done=done, total=total, note=note)


class _Worker:
    def __init__(self, channel: _Channel, messages: TextIO) -> None:
        self.channel = channel
        self._messages = messages
        self.context = _Context(channel)
        self.work: queue.Queue[dict[str, Any]] = queue.Queue()
        self.cancelled: set[str] = set()
        self.running = ""
        self.lock = threading.Lock()
        self._implementation: tuple[str, Implementation] | None = None
        self._session: tuple[str, Session] | None = None

    def listen(self) -> None:
        """Take messages until the host closes the pipe. Runs in its own thread."""
        for line in self._messages:
            message = json.loads(line)
            if message["do"] == "cancel":
                with self.lock:
                    self.cancelled.add(message["id"])
                    if self.running == message["id"]:
                        self.context.stop()
            else:
                self.work.put(message)
        _end_group()  # the host is gone, so the result of a running item is no longer needed

    def loop(self) -> None:
        while True:
            message = self.work.get()
            if message["do"] == "bye":
                return
            if message["do"] == "setup":
                _limit(message["max_output"])
            elif message["do"] == "probe":
                self._probe(message)
            else:
                self._run(message)

    def _load(self, message: dict[str, Any]) -> Implementation:
        name = json.dumps([message["implementation"], message["options"]], sort_keys=True)
        if self._implementation is None or self._implementation[0] != name:
            self._unload()
            module, _, attribute = message["implementation"].partition(":")
            made = getattr(importlib.import_module(module), attribute)(message["options"])
            self._implementation = (name, made)
        return self._implementation[1]

    def _unload(self) -> None:
        if self._session is not None:
            session, self._session = self._session[1], None
            session.unload()

    def _probe(self, message: dict[str, Any]) -> None:
        try:
            implementation = self._load(message)
            found = implementation.probe()
            fingerprint = _fingerprint(message, implementation) if found.available else {}
            versions = dict(found.versions)
            self.channel.send(
                "probed", available=found.available, reason=found.reason, versions=versions, fingerprint=fingerprint
            )
        except Exception as error:
            self.channel.send("probed", available=False, reason=_message(error), versions={}, fingerprint={})

    def _run(self, message: dict[str, Any]) -> None:
        name = message["id"]
        with self.lock:
            if name in self.cancelled:
                self.channel.send("cancelled", id=name)
                return
            self.context.begin()
            self.running = name
        try:
            implementation = self._load(message)
            if self._session is None or self._session[0] != message["model_key"]:
                self._unload()
                self._session = (message["model_key"], implementation.load(message["model_key"], self.context))
            item = Item(
                name, message["params"], message["inputs"], message["media_type"], message["outdir"], message["model"]
            )
            begun = time.perf_counter()
            for made in self._session[1].generate([item], self.context):
                outputs = {output: list(where) for output, where in made.outputs.items()}
                seconds = time.perf_counter() - begun
                self.channel.send(
                    "done", id=name, outputs=outputs, seconds=seconds, fingerprint=_fingerprint(message, implementation)
                )
                return
            self.channel.send("failed", id=name, message="the generator yielded no result", too_large=False)
        except Cancelled:
            self.channel.send("cancelled", id=name)
        except Exception as error:
            traceback.print_exc(limit=-8)  # goes to standard error; the host shows the end of it after a crash
            too_large = isinstance(error, OSError) and error.errno == errno.EFBIG
            self.channel.send("failed", id=name, message=_message(error)[:4000], too_large=too_large)
        finally:
            with self.lock:
                self.running = ""


def _fingerprint(message: dict[str, Any], implementation: Implementation) -> dict[str, str]:
    """An implementation's fingerprint, with the state of the packages that an installed one depends on."""
    from regenstore.generators.registry import built_in

    said = {str(name): str(value) for name, value in implementation.fingerprint().items()}
    if message["implementation"].startswith("regenstore.") or message["name"] in built_in():
        return said
    from regenstore.generators.installed import installed_with

    return said | {"installed": installed_with(message["name"])}


def _end_group() -> None:
    """Kill this process and every program that a generator started (they share its process group), and remove the
    worker's home folder, which is its working directory."""
    home = os.getcwd()
    if os.path.basename(home).startswith("regenstore-worker-"):
        shutil.rmtree(home, ignore_errors=True)
    try:
        os.killpg(0, signal.SIGKILL)
    except (AttributeError, OSError):
        pass
    os._exit(0)


def _message(error: Exception) -> str:
    try:
        text = str(error).strip()
    except Exception:
        text = "(no message)"
    return text if type(error) in (ValueError, RuntimeError) and text else f"{type(error).__name__}: {text}"


def _limit(max_output: int) -> None:
    """Limit the size of files, so that excessive writing fails instead of filling the disk."""
    try:
        import resource

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (max_output, max_output))
    except (ImportError, ValueError, OSError):
        pass  # the host checks sizes anyway


def main() -> None:
    """Entry point of ``python -c``: see :mod:`regenstore.generators.worker_host`."""
    messages = os.fdopen(os.dup(0), encoding="utf-8")
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    channel = _Channel(out)
    worker = _Worker(channel, messages)
    channel.send("hello", api=API_VERSION, python=sys.version.split()[0])
    threading.Thread(target=worker.listen, daemon=True).start()
    worker.loop()
    os._exit(0)
