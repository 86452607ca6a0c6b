"""The power goes: what the disk holds at any moment is a store in which nothing is wrong, and from which nothing
that was acknowledged is missing. On ext4, XFS and Btrfs; and the same without fsync, which must be noticed.

REGENSTORE_CUTS sets how often the power goes in each test.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from tests.conftest import hermetic_environment
from tests.faults.disks import MAKE, CannotMount, Disk
from tests.faults.studio import Studio
from tests.faults.writing import IMPORTED, ROOT
from tests.git.stress import session

CUTS = int(os.environ.get("REGENSTORE_CUTS") or 4)
pytestmark = [
    pytest.mark.heavy,
    pytest.mark.timeout(600 + 60 * CUTS),
    pytest.mark.skipif(sys.platform != "linux", reason="needs loop devices"),
]


@pytest.fixture(params=sorted(MAKE))
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Disk]:
    try:
        made = Disk(request.param, tmp_path)
    except CannotMount as error:
        pytest.skip(str(error))
    try:
        yield made
    finally:
        made.close()


class Rig:
    """A studio on a disk that loses its power now and then."""

    def __init__(self, disk: Disk, template: Path, seed: int) -> None:
        self.disk = disk
        self.random = random.Random(seed)
        self.log = disk.host.parent / "acknowledged"
        self.log.touch()
        shutil.copytree(template, disk.top / "studio", symlinks=True)
        self.studio = Studio(disk.top / "studio/film", hermetic_environment(disk.top / "studio/home"))
        self.studio.git("status")
        self.studio.git("config", "core.fsync", "all")
        self.before = self.studio.names()
        os.sync()
        self.cuts: list[tuple[Path, str]] = []

    def work(self, *options: str) -> None:
        """Let the writer work, and keep what the disk holds every now and then, with what was acknowledged."""
        seed = str(self.random.randrange(1 << 30))
        arguments = [str(self.disk.top / "studio"), str(self.log), seed, *options]
        writer = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.writing", *arguments],
            cwd=ROOT,
            start_new_session=True,
            stderr=subprocess.PIPE,
        )
        try:
            for _ in range(CUTS):
                time.sleep(1.0 + self.random.random() * 1.5)
                assert writer.poll() is None, writer.stderr and writer.stderr.read().decode()
                everyone(writer.pid, signal.SIGSTOP)
                acknowledged = self.log.read_text()
                self.cuts.append((self.disk.cut(), acknowledged))
                everyone(writer.pid, signal.SIGCONT)
        finally:
            everyone(writer.pid, signal.SIGKILL)
            writer.communicate()

    def start_anew(self, *command: str) -> None:
        """Run the first command after the system was started again: the kernel tells another boot id."""
        boot = self.disk.host.parent / "boot_id"
        boot.write_text(f"{uuid4()}\n")
        script = 'mount --bind "$0" /proc/sys/kernel/random/boot_id && exec "$@"'
        self.studio.run("unshare", "-m", "sh", "-c", script, str(boot), *command)

    def check(self, acknowledged: str) -> None:
        """Nothing is wrong with the studio as the disk has it, and all that was acknowledged is there."""
        studio = self.studio
        for lock in (studio.path / ".git").rglob("*.lock"):
            lock.unlink()  # the user's part of it
        self.start_anew("regenstore", "status")  # takes in again what git add had not waited for
        stored = studio.kept().keys() | studio.evicted()
        assert self.before <= stored
        for line in acknowledged.splitlines():
            kind, digest = line.split()
            assert digest in stored, f"acknowledged, and not there: {kind} {digest}"
        for digest, recipe in studio.takes().items():
            assert digest in stored, f"a recipe in Git names what is not there: {recipe.generator or IMPORTED}"
        studio.database_is_sound()
        for digest in claimed(studio):
            assert digest in stored, f"the database names what is not there: {digest}"
        studio.git("fsck", "--strict")
        assert studio.answers("regenstore", "fsck", "--no-repair") == 0
        studio.obtain()


def everyone(leader: int, number: signal.Signals) -> None:
    """Send a signal to every process of a session, also to those that come meanwhile."""
    sent: set[int] = set()
    while more := set(session(leader)) - sent:
        for pid in more:
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                pass
        sent |= more


def claimed(studio: Studio) -> set[str]:
    """What the database says there is."""
    with sqlite3.connect(studio.store / "results.sqlite") as db:
        found = {digest.hex() for (digest,) in db.execute("SELECT digest FROM output")}
    db.close()
    return found


def test_nothing_acknowledged_is_lost(disk: Disk, studio_template: Path, seed: int) -> None:
    rig = Rig(disk, studio_template, seed)
    rig.work()
    assert rig.cuts[-1][1], "the writer did nothing"
    for snapshot, acknowledged in rig.cuts:
        disk.return_to(snapshot)
        print(f"{disk.kind}: {len(acknowledged.splitlines())} acknowledged", flush=True)
        rig.check(acknowledged)


def test_the_rig_notices_missing_fsyncs(disk: Disk, studio_template: Path, seed: int) -> None:
    rig = Rig(disk, studio_template, seed)
    rig.work("nosync")
    for snapshot, acknowledged in rig.cuts:
        disk.return_to(snapshot)
        try:
            rig.check(acknowledged)
        except AssertionError as error:
            print(str(error)[:200])
            return
    pytest.fail("a store without fsync went through the rig")
