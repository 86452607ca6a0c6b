"""The boot id of the running system. Data written without an fsync survives the death of any process for as long as the
system runs; after a power cut it may be truncated, wrong or missing.
Also the clock that runs from the boot on."""

from __future__ import annotations

import time

_PATH = "/proc/sys/kernel/random/boot_id"
_cached: list[bytes] = []
_RUNNING = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)  # macOS has only the latter, which counts sleep there


def boot_id() -> bytes:
    """Return an id that changes with each boot; empty where the system has none."""
    if not _cached:
        try:
            with open(_PATH, "rb") as file:
                _cached.append(file.read().strip())
        except OSError:
            _cached.append(b"")
    return _cached[0]


def since_this_boot(recorded: bytes) -> bool:
    """Return whether a recorded boot id is certainly the current one."""
    return bool(recorded) and recorded == boot_id()


def seconds_since_boot() -> float:
    """Return the seconds since some moment of this boot, including those that the machine slept, which
    ``time.monotonic`` leaves out on Linux. Setting the clock does not change it."""
    return time.clock_gettime(_RUNNING)
