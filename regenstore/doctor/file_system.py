"""The kind of file system at a path, from statfs(2)'s magic number. Linux only; unknown elsewhere."""

from __future__ import annotations

import ctypes
import os
import sys

_MAGIC = {
    0x6969: "NFS",
    0x517B: "SMB",
    0xFF534D42: "CIFS",
    0xFE534D42: "SMB2",
    0x01021997: "9P",
    0x5346414F: "AFS",
    0x00C36400: "Ceph",
    0x0BD00BD0: "Lustre",
    0x47504653: "GPFS",
    0x65735546: "FUSE",
    0xEF53: "ext4",
    0x58465342: "XFS",
    0x9123683E: "Btrfs",
    0x01021994: "tmpfs",
    0x794C7630: "overlayfs",
}
NETWORK = frozenset({"NFS", "SMB", "CIFS", "SMB2", "9P", "AFS", "Ceph", "Lustre", "GPFS"})
"""Network file systems, on which SQLite's write-ahead log is unreliable between machines."""


def kind(path: str) -> str:
    """The file system's name, or its number; empty if unknown."""
    if not sys.platform.startswith("linux"):
        return ""
    statfs = getattr(ctypes.CDLL(None, use_errno=True), "statfs", None)
    buffer = ctypes.create_string_buffer(512)  # f_type is the first field, a machine word, everywhere on Linux
    if statfs is None or statfs(os.fsencode(path), buffer):
        return ""
    magic = ctypes.c_ulong.from_buffer(buffer).value & 0xFFFFFFFF
    return _MAGIC.get(magic, f"{magic:#x}")
