"""Golden media, made once for all workers of a test run's session."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.export.golden import CODECS, RATES, Golden, make

GOLDEN = {golden.name: golden for golden in (*RATES, *CODECS)}


@pytest.fixture(scope="session")
def golden_file(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Gives the file of a golden video by its name; skips where this FFmpeg has no encoder for it."""
    folder = tmp_path_factory.mktemp("golden")
    made: dict[str, Path] = {}

    def give(name: str) -> Path:
        if name not in made:
            made[name] = _made(GOLDEN[name], folder)
        return made[name]

    return give


def _made(golden: Golden, folder: Path) -> Path:
    import av

    if golden.codec not in av.codecs_available:
        pytest.skip(f"this FFmpeg has no encoder {golden.codec}")
    return make(golden, folder)
