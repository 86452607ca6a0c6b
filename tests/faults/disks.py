"""Real file systems in image files, and the image as it would be had the power gone at this moment.

The image lies on a Btrfs of its own. With its writer stopped, a reflink copy of the image is what the disk
holds: all that the file system has sent to it, and nothing of what it still keeps in memory.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import time
from pathlib import Path

FICLONE = 0x40049409
MAKE = {
    "ext4": ["mkfs.ext4", "-q", "-F"],
    "xfs": ["mkfs.xfs", "-q"],
    "btrfs": ["mkfs.btrfs", "-q"],
}
OPTIONS = {"ext4": "loop", "xfs": "loop,nouuid", "btrfs": "loop"}
SIZE = 320 << 20


class CannotMount(Exception):
    """This machine cannot do it: no root, no loop device, no such file system."""


def _make(kind: str, image: Path, size: int) -> None:
    with image.open("wb") as file:
        file.truncate(size)
    _run([*MAKE[kind], str(image)])


def _run(command: list[str]) -> None:
    if os.geteuid() != 0:
        raise CannotMount("mounting needs root")
    if shutil.which(command[0]) is None:
        raise CannotMount(f"{command[0]} is not installed")
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode:
        raise CannotMount(f"{' '.join(command)}: {done.stderr.decode(errors='replace').strip()}")


def mount(kind: str, image: Path, folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    _run(["mount", "-t", kind, "-o", OPTIONS[kind], str(image), str(folder)])


def unmount(folder: Path) -> None:
    """What was killed may keep it busy for a moment."""
    limit = time.monotonic() + 10
    while os.path.ismount(folder):
        lazily = ["-l"] if time.monotonic() > limit else []
        if subprocess.run(["umount", *lazily, str(folder)], capture_output=True, check=False).returncode:
            time.sleep(0.1)


class Disk:
    """A file system of the given kind, mounted at ``folder/disk``."""

    def __init__(self, kind: str, folder: Path) -> None:
        self.kind = kind
        self.host = folder / "host"
        self.top = folder / "disk"
        _make("btrfs", folder / "host.img", 2 << 30)
        mount("btrfs", folder / "host.img", self.host)
        self.image = self.host / "disk.img"
        self.snapshots: list[Path] = []
        try:
            _make(kind, self.image, SIZE)
            mount(kind, self.image, self.top)
        except CannotMount:
            unmount(self.host)
            raise

    def cut(self) -> Path:
        """What would be left of the disk now. Whoever writes must be stopped."""
        copy = self.host / f"cut{len(self.snapshots)}.img"
        with self.image.open("rb") as source, copy.open("wb") as target:
            fcntl.ioctl(target, FICLONE, source.fileno())
        self.snapshots.append(copy)
        return copy

    def return_to(self, snapshot: Path) -> None:
        """Mount a snapshot where the disk was."""
        unmount(self.top)
        mount(self.kind, snapshot, self.top)

    def close(self) -> None:
        unmount(self.top)
        unmount(self.host)
