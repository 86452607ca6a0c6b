"""Real regenstore commands without the seconds that their imports take: each runs in a process of its own, forked from
one that has imported the program already and done nothing else.

What depends on how Python starts (``PYTHON...``, another locale) is left to a real start: see :func:`suits`.
"""

from __future__ import annotations

import array
import atexit
import contextlib
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).parent.parent
PROGRAM = str(Path(sys.executable).parent / "regenstore")
LOCALE = "C.UTF-8"
LARGEST = 100_000
"""Bytes of a request: what one packet of a Unix socket holds in any case."""


def suits(command: Sequence[str | bytes], environment: Mapping[str, str]) -> bool:
    """Whether a forked process is as good as one that the system starts."""
    return (
        command[0] == "regenstore"
        and hasattr(os, "pidfd_open")
        and environment.get("LC_ALL") == LOCALE
        and environment.get("PATH", "").startswith(os.path.dirname(PROGRAM) + os.pathsep)
        and not any(name.startswith(("PYTHON", "COVERAGE", "LD_")) for name in environment)
        and len(json.dumps([list(map(os.fsdecode, command)), dict(environment)])) < LARGEST
    )


def run(
    command: Sequence[str | bytes], cwd: Path, environment: Mapping[str, str], stdin: bytes
) -> subprocess.CompletedProcess[bytes]:
    """As subprocess.run does with its output captured."""
    arguments = [os.fsdecode(part) for part in command[1:]]
    message = json.dumps([arguments, os.fspath(cwd), dict(environment)]).encode()
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    pipes = [os.pipe() for _ in range(3)]
    ends = [pipes[0][0], pipes[1][1], pipes[2][1]]
    _server().sendmsg([message], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [*ends, theirs.fileno()]))])
    theirs.close()
    for end in ends:
        os.close(end)
    with ours:
        pid = int(ours.recv(64) or b"0")
        try:
            out, err = _exchange(pipes[0][1], stdin, (pipes[1][0], pipes[2][0]))
            status = int(ours.recv(64) or b"256")
        except BaseException:
            if pid:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            raise
    return subprocess.CompletedProcess(command, os.waitstatus_to_exitcode(status), out, err)


def _exchange(to: int, data: bytes, sources: tuple[int, int]) -> tuple[bytes, bytes]:
    """Write all, and read both until nobody holds their other ends."""
    told: dict[int, bytearray] = {source: bytearray() for source in sources}
    with selectors.DefaultSelector() as selector:
        for source in sources:
            selector.register(source, selectors.EVENT_READ)
        if data:
            os.set_blocking(to, False)
            selector.register(to, selectors.EVENT_WRITE)
        else:
            os.close(to)
        while selector.get_map():
            for key, _ in selector.select():
                fd = key.fd
                if fd != to or fd in told:
                    part = os.read(fd, 1 << 16)
                    told[fd] += part
                    done = not part
                else:
                    try:
                        data = data[os.write(fd, data) :]
                    except BrokenPipeError:
                        data = b""
                    done = not data
                if done:
                    selector.unregister(fd)
                    os.close(fd)
    return bytes(told[sources[0]]), bytes(told[sources[1]])


def _server() -> socket.socket:
    """The connection to this process's server, which ends with it."""
    with _starting:
        if not _started:
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.fork_server", str(theirs.fileno())],
                cwd=ROOT,
                env={**environment, "LC_ALL": LOCALE},
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
            )
            theirs.close()
            _started.append((ours, process))
            atexit.register(_stop)
        return _started[0][0]


def _stop() -> None:
    for connection, process in _started:
        connection.close()
        process.wait()


_starting = threading.Lock()
_started: list[tuple[socket.socket, subprocess.Popen[bytes]]] = []


# ------------------------------------------------------------------------------------------- the server's side


def serve(requests: socket.socket, command: Callable[[], None]) -> None:
    """Fork for each request, and answer with the process's number and then its wait status."""
    with selectors.DefaultSelector() as selector:
        selector.register(requests, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fileobj is not requests:
                    pid, reply = key.data
                    selector.unregister(key.fd)
                    os.close(key.fd)
                    with reply, contextlib.suppress(OSError):
                        reply.send(b"%d" % os.waitpid(pid, 0)[1])
                    continue
                message, fds, _, _ = socket.recv_fds(requests, LARGEST * 2, 4)
                if not message:
                    return
                reply = socket.socket(fileno=fds[3])
                pid = os.fork()
                if pid == 0:
                    reply.close()
                    requests.close()
                    selector.close()
                    _become(*json.loads(message), fds[:3])
                    _run(command)
                for fd in fds[:3]:
                    os.close(fd)
                with contextlib.suppress(OSError):
                    reply.send(b"%d" % pid)
                selector.register(os.pidfd_open(pid), selectors.EVENT_READ, (pid, reply))


def _become(arguments: list[str], cwd: str, environment: dict[str, str], fds: list[int]) -> None:
    for target, fd in enumerate(fds):
        os.dup2(fd, target)
        os.close(fd)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv[:] = [PROGRAM, *arguments]
    sys.path[0] = os.path.dirname(PROGRAM)


def _run(command: Callable[[], None]) -> None:
    """Run to the end that an interpreter comes to, and do not return."""
    import traceback

    code = 0
    try:
        command()
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 0 if ended.code is None else 1
        if isinstance(ended.code, str):
            print(ended.code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
        code = 1
    for ending in (threading._shutdown, atexit._run_exitfuncs, sys.stdout.flush, sys.stderr.flush):  # type: ignore[attr-defined]
        with contextlib.suppress(OSError, ValueError):
            ending()
    os._exit(code)


def main() -> None:
    import importlib

    import av  # noqa: F401
    import numpy as np  # noqa: F401
    import PIL.Image  # noqa: F401
    import pydantic  # noqa: F401

    from regenstore.cli.main import COMMANDS
    from regenstore.cli.main import main as command

    for name in COMMANDS:
        importlib.import_module(f"regenstore.cli.{name}")
    signal.signal(signal.SIGINT, signal.default_int_handler)
    serve(socket.socket(fileno=int(sys.argv[1])), command)


if __name__ == "__main__":
    main()
