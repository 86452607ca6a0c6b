"""A small web server for tests: GET with ranges, HEAD, PUT and DELETE on files; and it can be made to misbehave.

It keeps a list of what was asked, and counts the bytes of bodies that went out and came in.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

Fault = Callable[["Handler"], bool]
"""Answers in the place of the server; False: let the server answer this one."""
_BLOCK = 1 << 16


class WebServer(ThreadingHTTPServer):
    """Serves a folder. ``fault`` may answer instead; without ``ranges``, Range is ignored."""

    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.folder = folder
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.ranges = True
        self.fault: Fault | None = None
        self.asked: list[tuple[str, str, dict[str, str]]] = []
        self.sent = 0
        self.received = 0
        self.connections = 0
        self.lock = threading.Lock()
        self.written = 0
        self.open: set[socket.socket] = set()

    def methods(self) -> list[str]:
        return [method for method, _, _ in self.asked]

    def get_request(self) -> tuple[socket.socket, object]:
        found = super().get_request()
        with self.lock:
            self.connections += 1
            self.open.add(found[0])
        return found

    def shutdown_request(self, request: socket.socket) -> None:
        with self.lock:
            self.open.discard(request)
        super().shutdown_request(request)

    def hang_up(self) -> None:
        """Close all connections, as servers do with those that are idle."""
        with self.lock:
            for connection in self.open:
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away is no news."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 20
    server: WebServer

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except (ConnectionError, TimeoutError):
            self.close_connection = True

    def log_message(self, *args: object) -> None:
        """Quiet."""

    # ---------------------------------------------------------------- what faults are made of

    @property
    def place(self) -> Path:
        return self.server.folder / self.path.partition("?")[0].lstrip("/")

    @property
    def length(self) -> int:
        return int(self.headers.get("Content-Length", "0"))

    def answer(self, status: int, body: bytes = b"", length: int | None = None, **headers: str) -> None:
        """Any answer; with a length other than the body's, it lies."""
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        if self.command != "HEAD":
            self.give(body)
        if length not in (None, len(body)):
            self.close_connection = True

    def give(self, body: bytes) -> None:
        self.wfile.write(body)
        self.server.sent += len(body)

    def take(self, count: int) -> Iterator[bytes]:
        while count and (block := self.rfile.read(min(count, _BLOCK))):
            self.server.received += len(block)
            count -= len(block)
            yield block

    def break_off(self) -> None:
        """Reset the connection."""
        self.wfile.flush()
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True

    # ---------------------------------------------------------------- the methods

    def _begin(self) -> bool:
        with self.server.lock:
            self.server.asked.append((self.command, self.path, dict(self.headers)))
        return self.server.fault is not None and self.server.fault(self)

    def do_GET(self) -> None:
        if self._begin():
            return
        try:
            file = open(self.place, "rb")
        except (FileNotFoundError, IsADirectoryError):
            self.answer(404, b"nothing here")
            return
        with file:
            found = os.fstat(file.fileno())
            start, size = 0, found.st_size
            asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
            if asked and self.server.ranges:
                start = int(asked[1])
                if start >= size:
                    self.answer(416, b"", Content_Range=f"bytes */{size}")
                    return
                self.send_response(206)
                self.send_header("Content-Range", f"bytes {start}-{size - 1}/{size}")
            else:
                self.send_response(200)
            self.send_header("Content-Length", str(size - start))
            self.send_header("ETag", f'"{found.st_ino}-{found.st_mtime_ns}"')
            self.send_header("Last-Modified", self.date_time_string(int(found.st_mtime)))
            self.end_headers()
            if self.command == "GET":
                file.seek(start)
                while block := file.read(_BLOCK):
                    self.give(block)

    do_HEAD = do_GET

    def do_PUT(self) -> None:
        if self._begin():
            return
        self.keep(self.length)
        self.answer(201)

    def keep(self, count: int) -> None:
        """Store so many bytes of what comes."""
        with self.server.lock:
            self.server.written += 1
            beside = self.server.folder / f".{self.server.written}"
        left = count
        with open(beside, "wb") as file:
            for block in self.take(count):
                file.write(block)
                left -= len(block)
        if left:
            beside.unlink()
            raise ConnectionError("the client went away")
        self.place.parent.mkdir(parents=True, exist_ok=True)
        beside.replace(self.place)

    def do_DELETE(self) -> None:
        if self._begin():
            return
        try:
            self.place.unlink()
            self.answer(204)
        except FileNotFoundError:
            self.answer(404)

    def do_PROPFIND(self) -> None:
        if not self._begin():
            list(self.take(self.length))
            self.answer(405)

    do_MKCOL = do_PROPFIND


@contextmanager
def serving(folder: Path) -> Iterator[WebServer]:
    """A server of a folder, for as long as it is needed."""
    folder.mkdir(parents=True, exist_ok=True)
    server = WebServer(folder)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.fault = None
        server.shutdown()
        server.hang_up()
        server.server_close()
        thread.join()
        for _ in range(100):
            if not server.open:
                break
            time.sleep(0.01)
        shutil.rmtree(folder, ignore_errors=True)
