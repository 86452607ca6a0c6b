"""A repository without the filter."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.refs.film import Film


@pytest.fixture
def film(tmp_path: Path, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Film:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    made = Film(tmp_path / "film", environment)
    made.path.mkdir()
    made.git("init", "-q")
    made.save("a.txt", "first")
    return made
