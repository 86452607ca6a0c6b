"""Which run of the system this is. What a process wrote without waiting for the disk is all there as long as the
system runs, whatever becomes of the process; after a power cut it can be short, wrong or gone."""

from __future__ import annotations

_PATH = "/proc/sys/kernel/random/boot_id"
_cached: list[bytes] = []


def boot_id() -> bytes:
    """What is another after each start of the system; empty where nobody knows."""
    if not _cached:
        try:
            with open(_PATH, "rb") as file:
                _cached.append(file.read().strip())
        except OSError:
            _cached.append(b"")
    return _cached[0]


def since_this_boot(told: bytes) -> bool:
    """Whether an id that was written down is surely that of this run of the system."""
    return bool(told) and told == boot_id()
