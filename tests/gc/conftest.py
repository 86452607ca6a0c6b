from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.gc.world import World


@pytest.fixture(autouse=True)
def no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here is about power cuts: a killed process leaves what it wrote in any case."""
    monkeypatch.setattr(os, "fsync", lambda fd: None)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)
