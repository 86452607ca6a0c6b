"""Filters that are forked are what Python would have started, and where they cannot be, Python starts them."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests import filter_server
from tests.conftest import Checkout
from tests.fork_server import WITHOUT

LOOK = """import os, sys; from regenstore.cli import filter_entry
def main():
    print("regenstore.repository" in sys.modules, sys.flags.no_site, sys.argv[1:], os.getcwd(), os.getppid(),
          os.environ.get("MORE"), sys.stdin.read(), flush=True)
    os.kill(os.getpid(), 9) if sys.argv[1] == "die" else sys.exit(int(sys.argv[1]))
""".replace("\n    ", "\n ")
COMMAND = ("-I", "-S", "-c")


@pytest.fixture
def here(tmp_path: Path, environment: dict[str, str]) -> Checkout:
    return Checkout(tmp_path, environment)


def look(here: Checkout, *arguments: str, before: tuple[str, ...] = (), **extra: str) -> tuple[int, str]:
    folders = [str(Path(__file__).parents[1]), filter_server._folder_of_blake3()]
    code = f"import sys; sys.path[:0] = {folders}; exec({LOOK!r}); main()"
    command = [*before, filter_server.python(), *COMMAND, code, *arguments]
    done = here.run(*command, check=False, stdin=b"given", **extra)
    assert not done.stderr, done.stderr
    return done.returncode, done.stdout.decode()


def test_a_forked_filter_is_given_what_its_process_was_given(here: Checkout) -> None:
    if not filter_server.environment():
        pytest.skip("this system has no pidfd_open, or coverage is measured: no filter is forked")
    told = f"1 ['3', 'a b'] {here.path} {os.getpid()} yes given\n"
    assert look(here, "3", "a b", MORE="yes") == (3, f"True {told}")
    assert look(here, "3", "a b", MORE="yes", **{filter_server.NAME: ""}) == (3, f"False {told}")
    assert look(here, "die")[0] == -9


def test_a_process_and_its_filter_may_end_at_once(here: Checkout) -> None:
    if not filter_server.environment():
        pytest.skip("this system has no pidfd_open, or coverage is measured: no filter is forked")
    code = "from regenstore.cli import filter_entry; import os; print(os.getpid(), flush=True); main = input; main()"
    ((_, server),) = filter_server._started
    asking = subprocess.Popen(
        [filter_server.python(), *COMMAND, code],
        env=here.environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert asking.stdout is not None
    forked = int(asking.stdout.readline())
    os.kill(server.pid, signal.SIGSTOP)
    ended = os.pidfd_open(forked)
    os.kill(forked, signal.SIGKILL)
    select.select([ended], [], [])
    os.close(ended)
    asking.kill()
    asking.communicate()
    os.kill(server.pid, signal.SIGCONT)
    assert look(here, "die")[0] == -9
    assert server.poll() is None


@pytest.mark.parametrize(
    "other", [{"PYTHONPATH": "/nowhere"}, {"LC_ALL": "C"}, {"LD_LIBRARY_PATH": "/nowhere"}], ids=str
)
def test_other_settings_of_python_are_left_to_python(here: Checkout, other: dict[str, str]) -> None:
    code, said = look(here, "0", **other)
    assert code == 0 and said.startswith("False 1 ")


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="drops a capability of root")
def test_so_are_other_rights_and_other_sessions(here: Checkout) -> None:
    for before in (tuple(WITHOUT), ("setsid", "-w")):
        code, said = look(here, "0", before=before)
        assert code == 0 and said.startswith("False 1 "), before
