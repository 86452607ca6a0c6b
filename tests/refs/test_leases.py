"""Leases: one holder at a time, also across processes, and none left after a death."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from regenstore.errors import StorageError
from regenstore.refs.leases import lease


class GiveUp(Exception):
    pass


def give_up() -> None:
    raise GiveUp


def test_a_lease_is_held_and_released(tmp_path):
    with lease(str(tmp_path), "key", give_up):
        assert os.listdir(tmp_path) == ["key"]
        with pytest.raises(GiveUp), lease(str(tmp_path), "key", give_up):
            raise AssertionError("two holders")
        with lease(str(tmp_path), "other", give_up):
            pass
    assert os.listdir(tmp_path) == []
    with lease(str(tmp_path), "key", give_up):
        pass


def test_an_error_releases_it(tmp_path):
    with pytest.raises(GiveUp), lease(str(tmp_path), "key", give_up):
        raise GiveUp
    assert os.listdir(tmp_path) == []


def test_a_file_left_by_the_dead_is_taken_over(tmp_path):
    (tmp_path / "key").write_text("")
    with lease(str(tmp_path), "key", give_up):
        pass


def test_somebody_else_may_remove_the_file(tmp_path):
    with lease(str(tmp_path), "key", give_up):
        (tmp_path / "key").unlink()
    with lease(str(tmp_path), "key", give_up):
        pass


@pytest.mark.parametrize("name", ["missing/key", "file/key"])
def test_what_cannot_be_made_is_an_error_of_ours(tmp_path, name):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError), lease(str(tmp_path), name, give_up):
        raise AssertionError


def test_threads_take_turns(tmp_path):
    inside = []
    most = []

    def work() -> None:
        for _ in range(5):
            with lease(str(tmp_path), "key", lambda: None):
                inside.append(1)
                most.append(len(inside))
                time.sleep(0.002)
                inside.pop()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * 20


HOLD = """
import sys, time
from regenstore.refs.leases import lease
with lease(sys.argv[1], "key", lambda: None):
    print("held", flush=True)
    time.sleep(600)
"""


def test_a_death_releases_it(tmp_path):
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE)
    try:
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(GiveUp), lease(str(tmp_path), "key", give_up):
            raise AssertionError("two holders")
    finally:
        holder.send_signal(signal.SIGKILL)
        holder.communicate()
    with lease(str(tmp_path), "key", give_up):
        pass


COUNT = """
import sys
from pathlib import Path
from regenstore.refs.leases import lease
counter = Path(sys.argv[1], "counter")
for _ in range(40):
    with lease(sys.argv[1], "key", lambda: None):
        counter.write_text(str(int(counter.read_text()) + 1))
"""


def test_processes_take_turns(tmp_path: Path):
    (tmp_path / "counter").write_text("0")
    workers = [subprocess.Popen([sys.executable, "-c", COUNT, str(tmp_path)]) for _ in range(3)]
    assert [worker.wait(60) for worker in workers] == [0, 0, 0]
    assert (tmp_path / "counter").read_text() == "120"
