"""A small forwarding proxy for tests: CONNECT, and requests with a whole address. Real sockets on both sides.

It keeps a list of what was asked; with a login, it wants it for each request.
"""

from __future__ import annotations

import base64
import re
import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from urllib.parse import urlsplit

_BLOCK = 1 << 16


class ForwardProxy(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, login: str = "") -> None:
        super().__init__(("127.0.0.1", 0), _Visitor)
        self.port = self.server_address[1]
        self.login = "Basic " + base64.b64encode(login.encode()).decode() if login else ""
        self.asked: list[tuple[str, str]] = []
        self.refused = 0
        self.answer = b""
        """What it says to everything, in the place of forwarding."""

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away is no news."""


class _Visitor(socketserver.StreamRequestHandler):
    server: ForwardProxy

    def handle(self) -> None:
        while head := self._head():
            method, target, _ = head[0].split(" ")
            fields = {key.lower(): value for key, _, value in (line.partition(": ") for line in head[1:])}
            length = int(fields.get("content-length", "0"))
            if self.server.login and fields.pop("proxy-authorization", "") != self.server.login:
                self.server.refused += 1
                self.rfile.read(length)
                self.wfile.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
                continue
            self.server.asked.append((method, target))
            if self.server.answer:
                self.wfile.write(self.server.answer)
                return
            self._forward(method, target, fields, length)
            return

    def _head(self) -> list[str]:
        lines = []
        while (line := self.rfile.readline()).strip():
            lines.append(line.decode("latin-1").strip())
        return lines

    def _forward(self, method: str, target: str, fields: dict[str, str], length: int) -> None:
        parts = urlsplit(f"//{target}" if method == "CONNECT" else target)
        try:
            there = socket.create_connection((parts.hostname, parts.port or 80), 10)
        except OSError:
            self.wfile.write(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
            return
        with closing(there):
            if method == "CONNECT":
                self.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            else:
                path = re.sub("^http://[^/]*", "", target)
                lines = [f"{method} {path} HTTP/1.1", *(f"{key}: {value}" for key, value in fields.items())]
                there.sendall("\r\n".join([*lines, "Connection: close", "", ""]).encode("latin-1"))
            back = threading.Thread(target=self._back, args=(there,))
            back.start()
            # Of a request, its body; of a tunnel, all that comes.
            with suppress(OSError):
                while (method == "CONNECT" or length) and (block := self.rfile.read1(_BLOCK)):
                    there.sendall(block)
                    length -= len(block)
                if method == "CONNECT":
                    there.shutdown(socket.SHUT_WR)
            back.join()

    def _back(self, there: socket.socket) -> None:
        with suppress(OSError):
            while block := there.recv(_BLOCK):
                self.wfile.write(block)
            self.connection.shutdown(socket.SHUT_RDWR)


@contextmanager
def forwarding(login: str = "") -> Iterator[ForwardProxy]:
    """A proxy on the loopback, for as long as it is needed."""
    with ForwardProxy(login) as proxy:
        thread = threading.Thread(target=proxy.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield proxy
        finally:
            proxy.shutdown()
            thread.join()
