"""Git's filters without the tenth of a second that their start takes: each runs in a process of its own, forked from
one that has imported them and done nothing else.

Git's configuration, as the commands of :mod:`tests.fork_server` write it, names a script in Python's place, which asks
this server (a FIFO that TESTS_FILTERS names) to run the code that Python was to run, with the arguments, environment,
folder, descriptors, limits and process group that the script was started with. Whatever else is asked of the script,
or comes from another user, session (as where a test signals all processes of one) or namespace, or with other settings
for Python, is done by Python itself, and so is everything without TESTS_FILTERS.

This module uses the standard library only: the server starts as filters do.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import hashlib
import os
import resource
import selectors
import shlex
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

NAME = "TESTS_FILTERS"
SCRIPT = """#!/bin/sh
# Python, but for Git's filters: see tests/filter_server.py.
case "$TESTS_FILTERS $1 $2 $3 $4" in
/*" -I -S -c "*filter_entry*"; main()")
    trap '' INT TERM
    reply=$TESTS_FILTERS.$$
    if [ -p "$TESTS_FILTERS" ] && mkfifo "$reply" 2>/dev/null; then
        exec 7<&0 8>&1 9<>"$reply"
        echo $$ >"$TESTS_FILTERS"
        read -r code <&9
        exec 9<&-
        case $code in
        -*) trap - INT TERM; kill "$code" $$ ;;
        [0-9]*) exit "$code" ;;
        esac
        exec 7<&- 8>&-
    fi
    trap - INT TERM
    ;;
esac
exec PYTHON "$@"
"""
SAME = ("Uid:", "Gid:", "Groups:", "CapEff:", "CapBnd:", "NoNewPrivs:", "Seccomp:")
NAMESPACES = ("mnt", "net", "pid", "user")
LIMITS = [getattr(resource, name) for name in dir(resource) if name.startswith("RLIMIT_")]


def python() -> str:
    """The script that stands in for this Python."""
    text = SCRIPT.replace("PYTHON", shlex.quote(sys.executable))
    folder = f"{tempfile.gettempdir()}/regenstore-tests-{os.geteuid()}"
    path = f"{folder}/python-{hashlib.sha256(text.encode()).hexdigest()[:16]}"
    if not os.path.exists(path):
        os.makedirs(folder, 0o755, exist_ok=True)
        made = f"{path}.{os.getpid()}"
        Path(made).write_text(text)
        os.chmod(made, 0o755)
        os.rename(made, path)
    return path


def environment() -> dict[str, str]:
    """What has Git's filters be forked: nothing where the system cannot."""
    if not hasattr(os, "pidfd_open") or "COVERAGE_PROCESS_START" in os.environ:
        return {}
    if not _started:
        folder = tempfile.mkdtemp(prefix="regenstore-filters-")
        os.chmod(folder, 0o755)
        os.mkfifo(f"{folder}/requests")
        alive, ours = os.pipe()
        folders = [str(Path(__file__).parents[1]), _folder_of_blake3()]
        code = f"import sys; sys.path[:0] = {folders}; from tests.filter_server import main; main()"
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", code, f"{folder}/requests", str(alive)],
            env={**kept, "LC_ALL": "C.UTF-8"},
            pass_fds=[alive],
            stdin=subprocess.DEVNULL,
            process_group=0,
        )
        os.close(alive)
        _started.append((folder, process))
        atexit.register(_stop, ours)
    return {NAME: f"{_started[0][0]}/requests"}


def _stop(alive: int) -> None:
    os.close(alive)
    for folder, process in _started:
        code = process.wait()
        shutil.rmtree(folder, ignore_errors=True)
        assert code == 0, f"the server of Git's filters ended with {code}"


def _folder_of_blake3() -> str:
    import blake3

    return str(Path(blake3.__file__).parents[1])


_started: list[tuple[str, subprocess.Popen[bytes]]] = []


# ------------------------------------------------------------------------------------------- the server's side


def main() -> None:
    """Fork for each process number that comes, until the tests end."""
    import importlib

    for name in MODULES:
        importlib.import_module(name)
    path, alive = sys.argv[1], int(sys.argv[2])
    signal.signal(signal.SIGINT, signal.default_int_handler)
    requests = os.open(path, os.O_RDWR)
    gc.collect()
    gc.freeze()
    with selectors.DefaultSelector() as selector:
        selector.register(requests, selectors.EVENT_READ)
        selector.register(alive, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if selector.get_map().get(key.fd) is not key:
                    continue  # its filter ended a moment ago, and another may have its number by now
                if key.fd == alive:
                    return
                if key.fd == requests:
                    for line in os.read(requests, 4096).split():
                        _answer(selector, f"{path}.{int(line)}", int(line))
                    continue
                child, reply, client, filter_ended = key.data
                if key.fd == client:  # it was killed: so is the filter
                    selector.unregister(client)
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(child, signal.SIGKILL)
                    continue
                code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
                selector.unregister(filter_ended)
                with contextlib.suppress(KeyError):
                    selector.unregister(client)
                with contextlib.suppress(OSError):
                    os.write(reply, b"%d\n" % code)
                for fd in (reply, client, filter_ended):
                    os.close(fd)


def _answer(selector: selectors.BaseSelector, path: str, client: int) -> None:
    try:
        reply = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
        os.unlink(path)
        asking = os.pidfd_open(client)
    except OSError:
        return  # it has gone
    child = os.fork()
    if child == 0:
        try:
            code = _become(client)
        except (OSError, ValueError, IndexError):
            os.write(reply, b"no\n")
            os._exit(0)
        _run(code)
    data = (child, reply, asking, os.pidfd_open(child))
    selector.register(asking, selectors.EVENT_READ, data)
    selector.register(data[3], selectors.EVENT_READ, data)


def _text(path: str) -> str:
    with open(path, encoding="utf-8", errors="surrogateescape") as file:
        return file.read()


def _status(process: object) -> dict[str, str]:
    return dict(line.split("\t", 1) for line in _text(f"/proc/{process}/status").splitlines() if "\t" in line)


def _become(client: int) -> str:
    """Take over what a process was given; the code that it was to run. OSError where this process cannot."""
    there = f"/proc/{client}"
    given, here = _status(client), _status("self")
    environment = dict(each.split("=", 1) for each in _text(f"{there}/environ").split("\0") if "=" in each)
    arguments = _text(f"{there}/cmdline").split("\0")[:-1]
    at = arguments.index("-c") + 1
    fits = (
        all(given.get(name) == here.get(name) for name in SAME)
        and all(os.readlink(f"{there}/ns/{name}") == os.readlink(f"/proc/self/ns/{name}") for name in NAMESPACES)
        and os.path.samefile(f"{there}/root", "/")
        and os.getsid(client) == os.getsid(0)
        and environment.pop(NAME)
        and environment.get("LC_ALL") == "C.UTF-8"
        and not any(name.startswith(("PYTHON", "COVERAGE", "LD_")) for name in environment)
    )
    if not fits:
        raise OSError("Python itself is to do it")
    opened = {}
    for target, fd in ((0, 7), (1, 8), (2, 2), (3, 3)):
        if os.path.exists(f"{there}/fd/{fd}"):
            flags = os.O_RDONLY if target == 0 else os.O_WRONLY | os.O_APPEND
            opened[target] = os.open(f"{there}/fd/{fd}", flags | os.O_NOCTTY)
            if target < 2 and stat.S_ISREG(os.fstat(opened[target]).st_mode):
                raise OSError("where in the file it stands is known to that process only")
    parent = int(_text(f"{there}/stat").rpartition(")")[2].split()[1])
    moved = {target: os.dup2(fd, 100 + target) for target, fd in opened.items()}
    os.closerange(3, 100)
    for target, fd in moved.items():
        os.dup2(fd, target)
    os.closerange(100, 110)
    with contextlib.suppress(OSError):
        os.setpgid(0, os.getpgid(client))
    for limit in LIMITS:
        resource.setrlimit(limit, resource.prlimit(client, limit))
    os.sched_setaffinity(0, os.sched_getaffinity(client))
    os.umask(int(given["Umask:"], 8))
    os.chdir(f"{there}/cwd")
    os.environ.clear()
    os.environ.update(environment)
    os.getppid = lambda: parent
    sys.argv[:] = ["-c", *arguments[at + 1 :]]
    return arguments[at]


def _run(code: str) -> None:
    """Run to the end that an interpreter comes to, and do not return."""
    import traceback

    ended = 1
    try:
        exec(code, {"__name__": "__main__"})
        ended = 0
    except SystemExit as left:
        ended = left.code if isinstance(left.code, int) else 0 if left.code is None else 1
    except BaseException:
        traceback.print_exc()
    os._exit(ended)


MODULES = (
    "regenstore.cli.filter_entry",
    "regenstore.cli.filter_report",
    "regenstore.cli.background",
    "regenstore.cli.console",
    "regenstore.config",
    "regenstore.gitfilter.calling_command",
    "regenstore.gitfilter.clean",
    "regenstore.gitfilter.merge_driver",
    "regenstore.gitfilter.missing_media",
    "regenstore.gitfilter.process",
    "regenstore.gitfilter.smudge",
    "regenstore.refs.git",
    "regenstore.repository",
    "regenstore.worktree.recovery",
)
"""What filters import at their first request."""
