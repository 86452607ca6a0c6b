"""A studio with a cast of difficult samples."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.export.dataset.studio import Studio

HUGE_SEED = 2**64 - 1
PLACES = {"a": "train", "b": "train", "c": "train", "d": "validation", "e": "validation", "f": "test", "g": "test"}
"""Where the difficult samples are put."""


@pytest.fixture
def studio(tmp_path: Path) -> Studio:
    folder = tmp_path / "media"
    folder.mkdir()
    return Studio(folder)


@pytest.fixture
def difficult(studio: Studio) -> Studio:
    """Values that loaders have taken for something else: each split has columns that are empty in another one."""
    studio.add("shots/a.mp4", prompt="a lighthouse", seed=str(HUGE_SEED), about={"characters": ["val"], "rating": 4})
    studio.add("shots/b.mp4", prompt="2024-01-01", seed=1, about={"scene": "test"})
    studio.add("shots/c.mp4", prompt="null", seed="0x10", loras=[{"name": "film", "weight": 0.5}])
    studio.add("shots/d.mp4", prompt='a storm,\n"quoted"\u2028and more \x00\x1b[31m', seed=-1)
    studio.add("shots/e.mp4", about={"tags": ["night"], "failure_tags": ["melted"], "characters": ["test-shots"]})
    studio.add("shots/f.mp4", prompt="1234567890123456", negative_prompt="true", steps=30, about={"quality": 0.5})
    studio.add("shots/g.mp4", prompt="\u202e\U0001f3a5 é", loras={"a": 0.5, "b": 1}, guidance_scale=7)
    return studio


@pytest.fixture
def places() -> dict[str, str]:
    return {f"shots/{name}.mp4": split for name, split in PLACES.items()}
