"""Real regenstore commands without the seconds that their imports take: each runs in a process of its own, forked from
one that has imported the program already and done nothing else; and so does each worker of their generators.

What depends on how Python starts (``PYTHON...``, another locale) is left to a real start: see :func:`suits`.
"""

from __future__ import annotations

import array
import atexit
import contextlib
import gc
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from regenstore.fs import interpreter
from regenstore.gitfilter import launch
from tests import filter_server

ROOT = Path(__file__).parent.parent
PROGRAM = str(Path(sys.executable).parent / "regenstore")
LOCALE = "C.UTF-8"
WORKER = interpreter.command("regenstore.generators.worker")
WITHOUT = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", "--"]
"""Runs a command of root as somebody whom permissions hold."""
CAPABILITIES = (1, 2)
"""These two."""
CRASH = ["env", f"PYTHONPATH={ROOT}", "PYTHONDONTWRITEBYTECODE=1", sys.executable, "-m", "tests.git.crash"]
LARGEST = 100_000
"""Bytes of a request: what one packet of a Unix socket holds in any case."""


def _network() -> str:
    """Which network this thread sees."""
    try:
        return os.readlink("/proc/thread-self/ns/net")
    except OSError:
        return ""


def suits(command: Sequence[str | bytes], environment: Mapping[str, str]) -> bool:
    """Whether a forked process is as good as one that the system starts."""
    return (
        bool(_parts(command))
        and hasattr(os, "pidfd_open")
        and environment.get("LC_ALL") == LOCALE
        and environment.get("PATH", "").startswith(os.path.dirname(PROGRAM) + os.pathsep)
        and not any(name.startswith(("PYTHON", "COVERAGE", "LD_")) for name in environment)
        and len(json.dumps([list(map(os.fsdecode, command)), dict(environment)])) < LARGEST
    )


def _parts(command: Sequence[str | bytes]) -> tuple[bool, list[str], list[str]] | tuple[()]:
    """For a command of regenstore: whether it has to do without two of root's capabilities, what tests.git.crash is
    given for it, and its arguments."""
    parts = [os.fsdecode(part) for part in command]
    if unprivileged := parts[: len(WITHOUT)] == WITHOUT:
        del parts[: len(WITHOUT)]
    crash = []
    if parts[: len(CRASH)] == CRASH and "regenstore" in parts:
        at = parts.index("regenstore")
        parts, crash = parts[at:], parts[len(CRASH) : at]
    return (unprivileged, crash, parts[1:]) if parts[:1] == ["regenstore"] else ()


class Started:
    """A command that runs."""

    def __init__(self, pid: int, reply: socket.socket) -> None:
        self.pid = pid
        self._reply = reply

    def wait(self) -> int:
        """The exit code, as subprocess gives it."""
        with self._reply:
            return os.waitstatus_to_exitcode(int(self._reply.recv(64) or b"256"))

    def kill(self) -> None:
        with self._reply, contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)


def start(
    command: Sequence[str | bytes],
    cwd: Path,
    environment: Mapping[str, str],
    fds: Sequence[int],
) -> Started:
    """Run a command with these three descriptors for its standard streams, which stay open here, on the processors
    and in the network that this thread may use."""
    unprivileged, crash, arguments = _parts(command)
    return fork("tests.fork_server", arguments, cwd, environment, fds, unprivileged, crash)


def fork(
    server: str,
    arguments: list[str],
    cwd: Path,
    environment: Mapping[str, str],
    fds: Sequence[int],
    unprivileged: bool = False,
    crash: Sequence[str] = (),
) -> Started:
    """The same with the command of any module that serves when it is run with a socket's number."""
    processors = sorted(os.sched_getaffinity(0))
    message = json.dumps([arguments, os.fspath(cwd), dict(environment), processors, unprivileged, crash]).encode()
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        passed = array.array("i", [*fds, theirs.fileno()])
        _server(server).sendmsg([message], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, passed)])
    pid = int(ours.recv(64) or b"0")
    assert pid, f"the server {server} has ended"
    return Started(pid, ours)


def run(
    command: Sequence[str | bytes],
    cwd: Path,
    environment: Mapping[str, str],
    stdin: bytes,
) -> subprocess.CompletedProcess[bytes]:
    """As subprocess.run does with its output captured."""
    pipes = [os.pipe() for _ in range(3)]
    ends = [pipes[0][0], pipes[1][1], pipes[2][1]]
    try:
        started = start(command, cwd, environment, ends)
    finally:
        for end in ends:
            os.close(end)
    try:
        out, err = _exchange(pipes[0][1], stdin, (pipes[1][0], pipes[2][0]))
        return subprocess.CompletedProcess(command, started.wait(), out, err)
    except BaseException:
        started.kill()
        raise


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


def _server(name: str) -> socket.socket:
    """The connection to this process's server of that name in this thread's network; it ends with this process."""
    with _starting:
        if (key := (name, _network())) not in _started:
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
            process = subprocess.Popen(
                [sys.executable, "-m", name, str(theirs.fileno())],
                cwd=ROOT,
                env={**environment, "LC_ALL": LOCALE},
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
            )
            theirs.close()
            _started[key] = ours
            atexit.register(_stop, ours, process)
        return _started[key]


def _stop(connection: socket.socket, process: subprocess.Popen[bytes]) -> None:
    connection.close()
    process.wait()


_starting = threading.Lock()
_started: dict[tuple[str, str], socket.socket] = {}


# ------------------------------------------------------------------------------------------- the server's side


def serve(requests: socket.socket, command: Callable[[], None]) -> None:
    """Fork for each request, and answer with the process's number and then its wait status."""
    gc.collect()
    gc.freeze()  # what is here already is no garbage of the commands: they need not look at it, and copy it to do so
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
                    *request, unprivileged, crash = json.loads(message)
                    _become(*request, fds[:3])
                    if unprivileged:
                        _drop_capabilities()
                    _run(_crashing(crash) if crash else command)
                for fd in fds[:3]:
                    os.close(fd)
                with contextlib.suppress(OSError):
                    reply.send(b"%d" % pid)
                selector.register(os.pidfd_open(pid), selectors.EVENT_READ, (pid, reply))


def _become(arguments: list[str], cwd: str, environment: dict[str, str], processors: list[int], fds: list[int]) -> None:
    for target, fd in enumerate(fds):
        os.dup2(fd, target)
        os.close(fd)
    os.sched_setaffinity(0, processors)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv[:] = [PROGRAM, *arguments]
    sys.path[0] = os.path.dirname(PROGRAM)
    subprocess.Popen = _Popen
    if filter_server.NAME in environment:
        launch.sys = SimpleNamespace(executable=filter_server.python(), hexversion=sys.hexversion)


def _drop_capabilities() -> None:
    """As setpriv does it: for this process, and for all that it starts."""
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)  # the third version, for this process
    sets = (ctypes.c_uint32 * 6)()  # effective, permitted and inheritable: 0 to 31, and 32 to 63
    failed = libc.capget(header, sets)
    for number in CAPABILITIES:
        failed = failed or libc.prctl(24, number, 0, 0, 0)  # PR_CAPBSET_DROP
    for at in range(3):
        sets[at] &= ~sum(1 << number for number in CAPABILITIES)
    if failed or libc.capset(header, sets):
        raise OSError(ctypes.get_errno(), "capabilities cannot be dropped")


def _crashing(given: list[str]) -> Callable[[], None]:
    """The command under tests.git.crash. Its workers start by themselves: they make no change that is counted."""
    from tests.git import crash

    subprocess.Popen = _Popen.__base__
    sys.argv[1:1] = [*given, "regenstore"]
    return crash.main


class _Popen(subprocess.Popen[bytes]):
    """Forks the worker processes of generators from the command, which has imported what they need, and starts all
    else. A worker gets the environment, the folder, the session and the three pipes that it is started with, and no
    other open file. The tests of the workers themselves, and all that Git starts, begin with Python.

    ``_execute_child`` is private to the standard library: no public hook lets a child be forked in its place.
    """

    def _execute_child(
        self, args: object, executable: object, preexec_fn: object, close_fds: object, *more: Any
    ) -> None:
        if args != WORKER:
            super()._execute_child(args, executable, preexec_fn, close_fds, *more)
            return
        _, cwd, environment, _, _, _, *pipes = more[:12]
        _wait_for_imports()
        self.pid = os.fork()
        if self.pid == 0:
            _work(cwd, environment, pipes[0], pipes[3], pipes[5])
        self._child_created = True
        self._close_pipe_fds(*pipes)


def _wait_for_imports() -> None:
    """Let other threads finish their imports: a child that is forked meanwhile inherits the locks of the modules, and
    nobody who releases them."""
    while any(lock() is not None for lock in list(sys.modules["_frozen_importlib"]._module_locks.values())):
        time.sleep(0.001)


def _work(cwd: str, environment: dict[str, str], *fds: int) -> None:
    """Be a generator's worker, and do not return."""
    import tempfile
    import traceback

    from regenstore.generators import worker

    try:
        gc.freeze()  # nothing of the command's is closed by and by: the numbers are other files' from here on
        kept = sys.stdin, sys.stdout, sys.stderr  # what they hold back is not ours to write
        os.setsid()
        for target, fd in enumerate(fds):
            os.dup2(fd, target)
        os.closerange(3, 4096)
        sys.stdin, sys.stdout, sys.stderr = (open(fd, mode, closefd=False) for fd, mode in enumerate("rww"))
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os.chdir(cwd)
        os.environ.clear()
        os.environ.update(environment)
        tempfile.tempdir = None
        sys.argv[:] = ["-c"]
        del sys.path[0]
        worker.main()
        del kept
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(1)


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
    for ending in (threading._shutdown, atexit._run_exitfuncs, sys.stdout.flush, sys.stderr.flush):
        with contextlib.suppress(OSError, ValueError):
            ending()
    os._exit(code)


def main() -> None:
    import importlib
    import pkgutil

    import regenstore_procedural

    from regenstore import generators
    from regenstore.cli.main import COMMANDS
    from regenstore.cli.main import main as command
    from regenstore.generators import derive

    for name in (
        "av",
        "numpy",
        "PIL.Image",
        "pydantic",
        *(f"regenstore.cli.{name.replace('-', '_')}" for name in COMMANDS),
    ):
        importlib.import_module(name)
    for package in (generators, derive, regenstore_procedural):
        for module in pkgutil.iter_modules(package.__path__, package.__name__ + "."):
            importlib.import_module(module.name)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    serve(socket.socket(fileno=int(sys.argv[1])), command)


if __name__ == "__main__":
    main()
