"""What built-in generators said of their environment is believed for a while, where nothing of it changed."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from regenstore.errors import GenerationError
from regenstore.generators.registry import built_in
from regenstore.proof import environment_cache
from regenstore.proof.environment_cache import RecentEnvironments
from regenstore.proof.environments import Environments


class Asked(Environments):
    """Stands for the generators of this machine; notes who asks."""

    def __init__(self, asked: list[str]) -> None:
        self.asked = asked

    def __exit__(self, *exc: object) -> None:
        self.asked.append("closed")

    def of(self, generator: str, version: str) -> Mapping[str, str]:
        self.asked.append(generator)
        if generator == "broken":
            raise GenerationError("generator-unavailable", "it cannot run here")
        return {"machine": f"here, {len(self.asked)}"}


def test_the_names_of_what_is_built_in() -> None:
    assert built_in().keys() == environment_cache.BUILT_IN


def test_only_what_is_built_in_and_unchanged_is_believed_and_for_an_hour(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, asked = tmp_path / "home" / "environments.json", list[str]()
    seen = {"PATH": "/usr/bin"}

    def of(name: str, version: str = "1") -> Mapping[str, str]:
        with RecentEnvironments(str(path), seen, lambda: Asked(asked)) as here:
            return here.of(name, version)

    first = of("procedural.image")
    assert of("procedural.image") == first and asked == ["procedural.image", "closed"]
    of("procedural.image", "2")
    of("paint")
    of("paint")
    assert asked.count("procedural.image") == 2 and asked.count("paint") == 2
    with pytest.raises(GenerationError):
        of("broken")
    asked.clear()
    seen["PATH"] = "/opt/bin"
    of("procedural.image")
    folder = tmp_path / "packages"
    (folder / "numpy-99.0.dist-info").mkdir(parents=True)
    monkeypatch.syspath_prepend(str(folder))
    of("procedural.image")
    os.utime(folder / "numpy-99.0.dist-info", (1, 1))
    of("procedural.image")
    of("procedural.image")
    assert asked.count("procedural.image") == 3
    now = time.time()
    for later, times in ((3500, 3), (3700, 4), (-10, 5)):  # and where the clock was set back
        monkeypatch.setattr(time, "time", lambda later=later: now + later)
        of("procedural.image")
        assert asked.count("procedural.image") == times
    for damaged in (b"", b"[]", b"\xff", b'{"procedural.image/1": [1, 2]}'):
        path.write_bytes(damaged)
        assert of("procedural.image")
    assert asked.count("procedural.image") == 9
