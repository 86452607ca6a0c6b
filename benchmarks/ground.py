"""File systems to measure on: loop-mounted images of an ordinary ext4 and of an XFS with reflinks.

Without root there is only the folder that was given, on whatever it lies. Images and mount points live in
a temporary folder and are gone afterwards, whatever happens.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from benchmarks import machine

IMAGE_BYTES = 40 << 30  # sparse: only what is written takes room
_MAKE_OPTIONS = {"ext4": (), "xfs": ("-m", "reflink=1")}
_FICLONE = 0x40049409


class Unavailable(Exception):
    """Why a file system cannot be had here."""


@dataclass(frozen=True)
class Ground:
    """A folder on a file system, with its type's name."""

    name: str
    folder: str
    reflinks: bool

    def settle(self) -> None:
        """Write back what earlier commands left dirty, so that nobody pays for somebody else's bytes."""
        subprocess.run(["sync", "-f", self.folder], check=True)


@contextmanager
def here(base: str) -> Iterator[Ground]:
    """A temporary folder below ``base``."""
    folder = tempfile.mkdtemp(prefix="regenstore-bench-", dir=base)
    try:
        yield Ground(_type(folder), folder, _has_reflinks(folder))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def mounted_image(name: str, base: str) -> Iterator[Ground]:
    """A loop-mounted ``ext4`` or ``xfs``; raises Unavailable without root or the program that makes it."""
    if os.geteuid() != 0:
        raise Unavailable("mounting an image needs root")
    program = f"mkfs.{name}"
    if program in machine.missing():
        raise Unavailable(f"{program} is missing ({machine.PROGRAMS[program]})")
    folder = tempfile.mkdtemp(prefix=f"regenstore-{name}-", dir=base)
    image, mount = f"{folder}/image", f"{folder}/mount"
    mounted = False
    try:
        os.mkdir(mount)
        with open(image, "wb") as file:
            file.truncate(IMAGE_BYTES)
        _run(program, "-q", *_MAKE_OPTIONS[name], image)
        _run("mount", "-o", "loop", image, mount)
        mounted = True
        yield Ground(name, mount, _has_reflinks(mount))
    finally:
        if mounted and subprocess.run(["umount", mount], check=False).returncode:
            subprocess.run(["umount", "--lazy", mount], check=False)
        shutil.rmtree(folder, ignore_errors=True)


def _run(*command: str) -> None:
    environment = {**os.environ, "PATH": machine.search_path()}
    program = shutil.which(command[0], path=machine.search_path()) or command[0]
    done = subprocess.run([program, *command[1:]], env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Unavailable(f"{command[0]} failed: {done.stderr.strip() or done.returncode}")


def _type(folder: str) -> str:
    done = subprocess.run(["stat", "-f", "-c", "%T", folder], capture_output=True, text=True, check=False)
    return {"ext2/ext3": "ext4"}.get(done.stdout.strip(), done.stdout.strip() or "unknown")


def _has_reflinks(folder: str) -> bool:
    import fcntl

    with open(f"{folder}/a", "w+b") as source, open(f"{folder}/b", "wb") as target:
        source.write(b"x" * 8192)
        source.flush()
        try:
            fcntl.ioctl(target, _FICLONE, source.fileno())
        except OSError:
            return False
        finally:
            os.unlink(f"{folder}/a")
            os.unlink(f"{folder}/b")
    return True
