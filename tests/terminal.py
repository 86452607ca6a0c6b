"""Commands on a terminal."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import termios
from pathlib import Path

from tests import fork_server
from tests.conftest import Checkout

COLUMNS, LINES = 100, 40


def on_terminal(
    checkout: Checkout,
    *command: str,
    typed: bytes = b"",
    into: Path | None = None,
    piped: bool = False,
    columns: int = COLUMNS,
) -> tuple[int, bytes]:
    """The exit code of a regenstore command, and all that it writes to a terminal with colours, of 40 lines and so many
    columns; its standard output may go into a file instead, or with ``piped`` through ``cat`` to that terminal."""
    main, side = pty.openpty()
    fcntl.ioctl(side, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, columns, 0, 0))
    output = side if into is None else os.open(into, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    cat = None
    if piped:
        source, output = os.pipe()
        cat = subprocess.Popen(["cat"], stdin=source, stdout=side)
        os.close(source)
    environment = {**checkout.environment, "TERM": "xterm-256color"}
    assert fork_server.suits(command, environment)
    process = fork_server.start(command, checkout.path, environment, (side, output, side))
    for fd in {side, output}:
        os.close(fd)
    os.write(main, typed)
    said = b""
    while True:
        try:
            data = os.read(main, 1 << 16)
        except OSError:  # Linux: the other end was closed
            break
        if not data:
            break
        said += data
    os.close(main)
    if cat is not None:
        cat.wait()
    return process.wait(), said
