"""Running programs as somebody whom permissions hold: root without the two capabilities that pass over them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.fork_server import WITHOUT

AS_USER = WITHOUT if os.name == "posix" and os.geteuid() == 0 else []
"""To be put before a command."""


def _held() -> bool:
    if not AS_USER:
        return os.name == "posix"
    return (
        shutil.which(WITHOUT[0]) is not None
        and not subprocess.run([*WITHOUT, "true"], capture_output=True, check=False).returncode
    )


needed = pytest.mark.skipif(not _held(), reason="nobody whom permissions hold can be played here")


@contextmanager
def unreadable(path: Path) -> Iterator[None]:
    """Nobody may read a file, or look into a folder."""
    mode = path.stat().st_mode
    path.chmod(0)
    try:
        yield
    finally:
        path.chmod(mode)


def bytes_below(*folders: Path, leave: re.Pattern[str]) -> dict[str, bytes]:
    """Every file below some folders, but those with names like these."""
    return {
        str(path): path.read_bytes()
        for folder in folders
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.is_symlink() and not leave.match(path.name)
    }
