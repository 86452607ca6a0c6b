"""Faces in a portrait, in a clip, and in pictures without any; with the real detector."""

from __future__ import annotations

import importlib.util
import io
import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from regenstore.media import faces
from tests.media.test_frame_metrics import film as make_film

pytestmark = [
    pytest.mark.heavy,
    pytest.mark.skipif(not faces.installed(), reason="the extra 'faces' is not installed"),
]


def picture(name: str) -> np.ndarray:
    """A picture that scikit-image carries."""
    found = importlib.util.find_spec("skimage")
    if found is None or found.origin is None:
        pytest.skip("scikit-image is not installed")
    with Image.open(Path(found.origin).parent / "data" / name) as opened:
        return np.asarray(opened.convert("RGB"))


def quiet(done: float) -> None:
    """Nobody is told."""


@pytest.fixture(scope="module")
def portrait() -> np.ndarray:
    return picture("astronaut.png")


def test_a_portrait_has_one_face_where_it_is(portrait: np.ndarray, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(portrait).save(path)
    found = faces.measure(str(path), "image/png", quiet)
    assert found.count == 1 and found.columns["face_count"][0] == 1
    assert found.columns["face_confidence"][0] > 0.95
    x, y, w, h = (found.columns[f"face_{side}"][0] for side in "xywh")
    assert x < 224 < x + w and y < 115 < y + h  # the nose
    assert 60 < w < 140 and 70 < h < 170


def test_a_large_picture_is_told_in_its_own_pixels(portrait: np.ndarray, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(portrait).resize((2048, 2048)).save(path)
    found = faces.measure(str(path), "image/png", quiet)
    x, y, w, h = (found.columns[f"face_{side}"][0] for side in "xywh")
    assert x < 4 * 224 < x + w and y < 4 * 115 < y + h


@pytest.mark.parametrize("name", ["brick.png", "coffee.png", "rocket.jpg", "chelsea.png"])
def test_where_nobody_is(name: str, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(picture(name)).save(path)
    found = faces.measure(str(path), "image/png", quiet)
    assert found.columns["face_count"][0] == 0
    assert math.isnan(found.columns["face_confidence"][0])


def clip(portrait: np.ndarray, path: Path) -> str:
    """Ten frames in which the portrait moves to the right, by 16 pixels each."""
    pictures = []
    for number in range(10):
        canvas = np.full((512, 800, 3), 50, np.uint8)
        canvas[:, 16 * number : 16 * number + 512] = portrait
        pictures.append(canvas)
    return make_film(path, pictures)


def test_a_clip_is_looked_at_now_and_then_and_boxes_move(portrait: np.ndarray, tmp_path: Path) -> None:
    found = faces.measure(clip(portrait, tmp_path / "a.mp4"), "video/mp4", quiet)
    assert [n for n, count in enumerate(found.columns["face_count"]) if count == count] == [0, 4, 8]
    x = found.columns["face_x"]
    assert 100 < x[8] - x[0] < 156


def test_every_face_of_a_frame_has_its_box(portrait: np.ndarray, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(np.concatenate([portrait, portrait[:, ::-1]], axis=1)).save(path)
    found = faces.measure(str(path), "image/png", quiet)
    assert found.columns["face_count"][0] == 2
    centres = {
        round((found.columns[f"{face}_x"][0] + found.columns[f"{face}_w"][0] / 2) / 1024, 1)
        for face in ("face", "face2")
    }
    assert centres == {0.2, 0.8}
    assert found.columns["face2_confidence"][0] > 0.95


def test_crops_show_the_face(portrait: np.ndarray, tmp_path: Path) -> None:
    path = clip(portrait, tmp_path / "a.mp4")
    found = faces.measure(path, "video/mp4", quiet)
    row = {"frame": 8, **{side: found.columns[f"face_{side}"][8] for side in "xywh"}}
    (data,) = faces.crops(path, "video/mp4", [row])
    with Image.open(io.BytesIO(data)) as crop:
        assert crop.size == (256, 256)
        assert len(faces.Detector().find(np.asarray(crop.convert("RGB")))) == 1
    (corner,) = faces.crops(path, "video/mp4", [{"frame": 0, "x": -50, "y": -50, "w": 60, "h": 60}])
    assert Image.open(io.BytesIO(corner)).getpixel((5, 5)) == (0, 0, 0)
    with pytest.raises(ValueError, match="no frame 99"):
        faces.crops(path, "video/mp4", [{**row, "frame": 99}])
