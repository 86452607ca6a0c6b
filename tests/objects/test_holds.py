"""Holds: told by living processes, ended by their death, and counted afterwards."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from regenstore.errors import StorageError
from regenstore.objects.hashing import hash_bytes
from regenstore.objects.holds import LEASES, MAX_USES, USES, Holds, finished, held

A, B, C = (hash_bytes(name) for name in (b"a", b"b", b"c"))
HOLDER = """
import sys
from regenstore.objects.hashing import hash_bytes
from regenstore.objects.holds import Holds
holds = Holds(sys.argv[1])
holds.hold([hash_bytes(sys.argv[2].encode())])
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def root(tmp_path: Path) -> str:
    (tmp_path / "store").mkdir()
    return str(tmp_path / "store")


def holder(root: str, name: str) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, root, name], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None and process.stdout.readline() == b"held\n"
    return process


def end(process: subprocess.Popen[bytes]) -> None:
    with process:
        process.kill()


def uses(root: str) -> list[set[object]]:
    return [set(digests) for _, digests in finished(root)]


def test_what_is_held_is_seen_by_others_until_it_is_released(root):
    holds = Holds(root)
    assert held(root) == set()
    holds.hold([A])
    holds.hold([A, B])
    assert held(root) == {A, B}
    assert uses(root) == []
    holds.release()
    assert held(root) == set()
    assert uses(root) == [{A, B}]
    holds.hold([C])
    assert held(root) == {C}
    holds.release()
    assert len(uses(root)) == 2


def test_releasing_without_holding_makes_no_file(root):
    Holds(root).release()
    Holds(root).hold([])
    assert os.listdir(root) == []


def test_where_there_is_no_store_there_is_nothing_to_hold(tmp_path):
    Holds(str(tmp_path / "none")).hold([A])
    assert held(str(tmp_path / "none")) == set()
    assert os.listdir(tmp_path) == []


def test_a_killed_process_holds_nothing_and_its_uses_count(root):
    process = holder(root, "a")
    other = holder(root, "b")
    try:
        assert held(root) == {A, B}
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert held(root) == {B}
        assert uses(root) == [{A}]
    finally:
        end(process)
        end(other)


def test_a_child_process_does_not_go_on_holding(root):
    holds = Holds(root)
    holds.hold([A])
    child = subprocess.Popen(["sleep", "60"])
    try:
        holds.release()
        assert held(root) == set()
        assert uses(root) == [{A}]
    finally:
        child.kill()
        child.wait()


def test_what_a_failed_write_left_is_no_hold_and_spoils_none(root, monkeypatch):
    holds = Holds(root)
    holds.hold([A])
    write = os.pwrite

    def short(fd: int, data: bytes, at: int) -> int:
        if at % 32 == 0:
            return write(fd, data[:11], at)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "pwrite", short)
    with pytest.raises(StorageError) as caught:
        holds.hold([B])
    assert caught.value.kind == "disk-full"
    assert held(root) == {A}
    monkeypatch.undo()
    holds.hold([C])
    assert held(root) == {A, C}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_store_that_cannot_be_written_to(root):
    os.chmod(root, 0o555)
    holds = Holds(root)
    with pytest.raises(StorageError):
        holds.hold([A])
    assert not holds.try_hold([A])


def test_a_folder_in_the_way(root):
    Path(root, LEASES).write_bytes(b"")
    assert not Holds(root).try_hold([A])


def test_many_threads_hold_in_one_file(root):
    holds = Holds(root)
    digests = [hash_bytes(str(n).encode()) for n in range(400)]

    def work(part: int) -> None:
        for digest in digests[part::4]:
            holds.hold([digest])

    threads = [threading.Thread(target=work, args=(part,)) for part in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert held(root) == set(digests)
    assert len(os.listdir(f"{root}/{LEASES}")) == 1


def test_only_so_many_uses_are_kept_and_those_are_the_newest(root):
    for n in range(MAX_USES + 3):
        holds = Holds(root)
        holds.hold([hash_bytes(str(n).encode())])
        holds.release()
    assert len(os.listdir(f"{root}/{USES}")) == MAX_USES
    kept = set().union(*uses(root))
    assert hash_bytes(b"2") not in kept and hash_bytes(b"3") in kept


def test_a_file_cut_short_holds_what_is_whole(root):
    os.makedirs(f"{root}/{USES}")
    Path(root, USES, "use-1").write_bytes(A.raw + B.raw[:20])
    assert uses(root) == [{A}]
