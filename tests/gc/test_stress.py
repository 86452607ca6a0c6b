"""Workers and gcs on one store, killed at random: whatever a root needs can be had, at every moment and at the end.

With any of these out it fails, mostly within half a minute (a busy machine needs longer: it is a matter of chance):
holds (gc sees none), a claim's new identity, the way back from the trash, the looks before and after a content is
moved under gc's lock, both taken together. One of the two alone is for test_races, which tries every moment.

The seed is printed; REGENSTORE_SEED runs it again, REGENSTORE_STRESS_SECONDS says for how long.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from regenstore.objects import toml
from tests.conftest import fresh_seed
from tests.gc.stress import Shared

ROOT = Path(__file__).parent.parent.parent
ROLES = ("work", "work", "work", "collect", "collect")


def start(role: str, folder: Path, seed: int) -> subprocess.Popen[bytes]:
    log = (folder / "log").open("ab")
    with log:
        return subprocess.Popen(
            [sys.executable, "-m", "tests.gc.stress", role, str(folder), str(seed)],
            cwd=ROOT,
            stdout=log,
            stderr=log,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        )


@pytest.mark.heavy
@pytest.mark.timeout(1200)
def test_nothing_that_is_needed_is_lost(tmp_path):
    seed = fresh_seed()
    lasts = float(os.environ.get("REGENSTORE_STRESS_SECONDS", "60"))
    print(f"seed {seed}")
    chance = random.Random(seed)
    Shared(tmp_path, seed).cache.close()
    processes = [(role, start(role, tmp_path, chance.randrange(2**32))) for role in ROLES]
    kills, end = 0, time.monotonic() + lasts
    try:
        while time.monotonic() < end and not (tmp_path / "lost").exists():
            time.sleep(chance.random() * 3)  # a killed process takes its time to begin again
            n = chance.choice([0, 1, 2, 0, 1, 2, 3, 4])  # a gc lives long enough to take something
            role, process = processes[n]
            assert process.poll() in (None, -signal.SIGKILL), (tmp_path / "log").read_text()[-3000:]
            process.send_signal(signal.SIGKILL)
            process.wait()
            kills += 1
            processes[n] = role, start(role, tmp_path, chance.randrange(2**32))
    finally:
        for _, process in processes:
            process.kill()
            process.wait()
    shared = Shared(tmp_path, seed)
    refs = shared.refs()
    runs = len(os.listdir(f"{shared.store.root}/evicted"))
    done = (tmp_path / "done").read_text().split()
    print(f"{kills} kills, {done.count('work')} deeds, {done.count('collect')} gcs, {runs} that took something")
    assert not (tmp_path / "lost").exists(), (tmp_path / "lost").read_text()
    assert kills > lasts / 4 and runs > lasts / 30
    for _ in range(2):
        for path in refs:
            assert shared.has(toml.decode(path.read_bytes())), path.name
        shared.store.holds.release()
        shared.gc(free=1_000_000, unreachable=True, older_than=0.0)
