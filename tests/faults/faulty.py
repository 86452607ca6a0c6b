"""A file system (FUSE) that shows a folder, and fails: the n-th change, everything from there on, or reading.

usage: python -m tests.faults.faulty FOLDER MOUNTPOINT LOG SETTINGS

SETTINGS is JSON: ``{"fail": N, "error": "EIO", "stays": false, "flip": "vault/", "seed": 1}``. With ``fail`` 0
nothing fails. ``stays``: what grows fails from the N-th change on, as on a full disk. ``flip``: reading a file
whose path begins so gives one wrong bit. LOG tells every change and every flip. SQLite's shared memory is left
alone: it is no file that anybody relies on.
"""

from __future__ import annotations

import errno
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import mfusepy

ROOT = Path(__file__).parents[2]
GROWING = {"create", "write", "mkdir", "truncate", "link"}
STAT = ("st_mode", "st_ino", "st_nlink", "st_uid", "st_gid", "st_size", "st_blocks")


class FaultyFolder(mfusepy.Operations):
    use_ns = True

    def __init__(self, folder: str, log: str, settings: dict[str, Any]) -> None:
        self.folder = folder
        self.log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        self.number = int(settings.get("fail", 0))
        self.error = getattr(errno, settings.get("error", "EIO"))
        self.stays = bool(settings.get("stays", False))
        self.flipped = settings.get("flip")
        self.random = random.Random(settings.get("seed", 0))
        self.seen = 0

    def _change(self, what: str, path: str) -> None:
        if path.endswith("-shm"):
            return
        self.seen += 1
        os.write(self.log, f"change {self.seen}: {what} {path.lstrip('/')}\n".encode())
        failing = self.seen >= self.number and what in GROWING if self.stays else self.seen == self.number
        if self.number and failing:
            os.write(self.log, b"failed\n")
            raise OSError(self.error, os.strerror(self.error))

    def _real(self, path: str) -> str:
        return self.folder + path

    # -------------------------------------------------------------------------------- looking

    def getattr(self, path: str, fh: int | None = None) -> dict[str, Any]:
        found = os.lstat(self._real(path)) if fh is None else os.fstat(fh)
        times = {name: getattr(found, f"{name}_ns") for name in ("st_atime", "st_mtime", "st_ctime")}
        return {**{name: getattr(found, name) for name in STAT}, **times}

    def readdir(self, path: str, fh: int) -> list[str]:
        return [".", "..", *os.listdir(self._real(path))]

    def statfs(self, path: str) -> dict[str, int]:
        found = os.statvfs(self._real(path))
        return {name: getattr(found, name) for name in ("f_bsize", "f_frsize", "f_blocks", "f_bfree", "f_bavail")}

    def open(self, path: str, flags: int) -> int:
        return os.open(self._real(path), flags & ~os.O_APPEND)

    def read(self, path: str, size: int, offset: int, fh: int) -> bytes:
        data = bytearray(os.pread(fh, size, offset))
        if self.flipped is not None and data and path.lstrip("/").startswith(self.flipped):
            at = self.random.randrange(len(data))
            data[at] ^= 1 << self.random.randrange(8)
            os.write(self.log, f"flip {path.lstrip('/')} {offset + at}\n".encode())
        return bytes(data)

    def release(self, path: str, fh: int) -> int:
        os.close(fh)
        return 0

    # -------------------------------------------------------------------------------- changing

    def create(self, path: str, mode: int, fi: int | None = None) -> int:
        self._change("create", path)
        return os.open(self._real(path), os.O_RDWR | os.O_CREAT | os.O_EXCL, mode)

    def write(self, path: str, data: bytes, offset: int, fh: int) -> int:
        self._change("write", path)
        return os.pwrite(fh, data, offset)

    def truncate(self, path: str, length: int, fh: int | None = None) -> int:
        self._change("truncate", path)
        os.truncate(self._real(path), length)
        return 0

    def fsync(self, path: str, datasync: int, fh: int) -> int:
        self._change("fsync", path)
        return 0

    def fsyncdir(self, path: str, datasync: int, fh: int) -> int:
        self._change("fsync", path)
        return 0

    def chmod(self, path: str, mode: int) -> int:
        self._change("chmod", path)
        os.chmod(self._real(path), mode)
        return 0

    def utimens(self, path: str, times: tuple[int, int] | None = None) -> int:
        self._change("utimens", path)
        os.utime(self._real(path), ns=times)
        return 0

    def link(self, target: str, source: str) -> int:
        self._change("link", target)
        os.link(self._real(source), self._real(target))
        return 0

    def mkdir(self, path: str, mode: int) -> int:
        self._change("mkdir", path)
        os.mkdir(self._real(path), mode)
        return 0

    def rename(self, old: str, new: str) -> int:
        self._change("rename", new)
        os.rename(self._real(old), self._real(new))
        return 0

    def unlink(self, path: str) -> int:
        self._change("unlink", path)
        os.unlink(self._real(path))
        return 0

    def rmdir(self, path: str) -> int:
        self._change("rmdir", path)
        os.rmdir(self._real(path))
        return 0


@contextmanager
def shown_at(folder: Path, target: Path, log: Path, **settings: Any) -> Iterator[None]:
    """Let a folder be seen, with its faults, at another path."""
    target.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "tests.faults.faulty", str(folder), str(target), str(log), json.dumps(settings)]
    server = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE)
    try:
        deadline = time.monotonic() + 20
        while not os.path.ismount(target):
            assert server.poll() is None, server.stderr and server.stderr.read().decode()
            assert time.monotonic() < deadline, "the file system does not come up"
            time.sleep(0.01)
        yield
    finally:
        subprocess.run(["umount", str(target)], capture_output=True, check=False)
        try:
            server.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            subprocess.run(["umount", "-l", str(target)], check=False)
            server.kill()
            server.communicate()


def main() -> None:
    folder, target, log, settings = sys.argv[1:]
    operations = FaultyFolder(folder, log, json.loads(settings))
    mfusepy.FUSE(operations, target, foreground=True, nothreads=True, hard_remove=True)


if __name__ == "__main__":
    main()
