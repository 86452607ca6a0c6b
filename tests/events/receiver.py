"""A webhook's receiver on loopback, as a real HTTP server."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class Receiver(http.server.ThreadingHTTPServer):
    """Keeps what it is sent. ``answer``: the status of the next answers; ``hold``: answers wait for it."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.seen: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.answer = 204
        self.retry_after = ""
        self.hold = threading.Event()
        self.hold.set()
        self.arrived = threading.Event()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/hook"


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.seen.append(json.loads(body))
        self.server.headers.append(dict(self.headers))
        self.server.arrived.set()
        self.server.hold.wait(60)
        try:
            self.send_response(self.server.answer)
            if 300 <= self.server.answer < 400:
                self.send_header("Location", "/elsewhere")
            if self.server.retry_after:
                self.send_header("Retry-After", self.server.retry_after)
            self.end_headers()
        except ConnectionError:
            pass  # who asked is gone

    do_GET = do_POST

    def log_message(self, *given: object) -> None:
        """Nothing: tests look at what was seen."""


@contextmanager
def receiver() -> Iterator[Receiver]:
    with Receiver() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.hold.set()
            server.shutdown()
            thread.join()
