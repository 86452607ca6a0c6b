"""What is measured of videos whose frames are known."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from regenstore.media.frame_metrics import measure
from regenstore.media.frame_table import FrameMetrics

RATE = 24


def bars(shift: int, level: int = 60) -> np.ndarray:
    """A picture with edges, moved to the right."""
    picture = np.full((180, 320, 3), level, np.uint8)
    picture[40:100, shift % 260 : shift % 260 + 50] = 200
    picture[120:150, ::7] = 150
    return picture


def film(path: Path, pictures: list[np.ndarray], times: list[int] | None = None, **options: str) -> str:
    """A video of pictures; ``times`` in 24ths of a second."""
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=RATE, options={"crf": "12", **options})
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        for number, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(picture, "rgb24")
            frame.pts, frame.time_base = (number if times is None else times[number]), Fraction(1, RATE)
            for packet in stream.encode(frame):
                file.mux(packet)
        for packet in stream.encode():
            file.mux(packet)
    return str(path)


def measured(path: str) -> FrameMetrics:
    return measure(path, "video/mp4", lambda done: None)


def ones(values: object) -> list[int]:
    return [index for index, value in enumerate(values) if value == 1.0]


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> FrameMetrics:
    """12 moving frames, 12 black, 12 moving, 12 times the last of them again, 12 of something else, all moving."""
    moving = [bars(3 * n) for n in range(12)]
    black = [np.zeros((180, 320, 3), np.uint8)] * 12
    more = [bars(3 * n, 90) for n in range(12)]
    other = [255 - bars(5 * n, 20) for n in range(12)]
    path = film(tmp_path_factory.mktemp("story") / "story.mp4", [*moving, *black, *more, *[more[-1]] * 12, *other])
    return measured(path)


def test_one_row_per_frame_and_when_it_is_shown(story: FrameMetrics) -> None:
    assert story.count == 60
    assert story.columns["time"][0] == 0 and story.columns["time"][59] == pytest.approx(59 / RATE)


def test_black_frames(story: FrameMetrics) -> None:
    assert ones(story.columns["black"]) == list(range(12, 24))
    assert story.columns["luma_avg"][15] == pytest.approx(16, abs=1)


def test_frozen_frames(story: FrameMetrics) -> None:
    frozen = ones(story.columns["frozen"])
    assert set(range(36, 48)) <= set(frozen) <= set(range(12, 24)) | set(range(35, 48))


def test_cuts_stand_out_and_stillness_does_not_move(story: FrameMetrics) -> None:
    scene, motion = story.columns["scene_score"], story.columns["motion"]
    cuts = sorted(range(60), key=lambda n: -scene[n])[:3]
    assert sorted(cuts) == [12, 24, 48]
    assert motion[40] < 0.05 < 0.2 < motion[5]
    assert story.columns["luma_diff"][24] > 20


def test_blur_and_blockiness_follow_what_was_done(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    coarse = rng.integers(0, 255, (45, 80, 3), np.uint8)
    sharp = np.kron(coarse, np.ones((4, 4, 1), np.uint8))
    soft = sharp.astype(float)
    for _ in range(6):
        soft = (soft + np.roll(soft, 1, 0) + np.roll(soft, 1, 1) + np.roll(soft, -1, 0) + np.roll(soft, -1, 1)) / 5
    blocks = np.kron(rng.integers(0, 255, (23, 40, 3), np.uint8), np.ones((8, 8, 1), np.uint8))[:180]
    clear = measured(film(tmp_path / "a.mp4", [sharp] * 4))
    blurred = measured(film(tmp_path / "b.mp4", [soft.astype(np.uint8)] * 4))
    blocky = measured(film(tmp_path / "c.mp4", [blocks] * 4))
    assert min(blurred.columns["blur"]) > max(clear.columns["blur"])
    assert min(blocky.columns["blockiness"]) > 2 * max(blurred.columns["blockiness"])


def test_blockiness_is_of_each_frame_alone(tmp_path: Path) -> None:
    """The filter itself tells the mean of all frames so far."""
    rng = np.random.default_rng(4)
    soft = (128 + 60 * np.sin(np.mgrid[0:176, 0:320].sum(0) / 9.0)).astype(np.uint8)
    plain = np.dstack([soft] * 3) ^ rng.integers(0, 3, (176, 320, 1), np.uint8)
    blocks = np.kron(rng.integers(0, 255, (22, 40, 3), np.uint8), np.ones((8, 8, 1), np.uint8))
    found = measured(film(tmp_path / "a.mp4", [blocks] * 6 + [plain] * 6, bf="0")).columns["blockiness"]
    assert max(found[7:]) < 2 < min(found[:6])


def test_measuring_twice_gives_the_same(tmp_path: Path) -> None:
    path = film(tmp_path / "a.mp4", [bars(3 * n) for n in range(20)])
    assert measured(path).to_bytes() == measured(path).to_bytes()


def test_a_variable_rate_has_its_own_times(tmp_path: Path) -> None:
    times = [0, 1, 2, 5, 9, 10, 20]
    found = measured(film(tmp_path / "a.mp4", [bars(9 * n) for n in range(7)], times))
    assert [round(value * RATE) for value in found.columns["time"]] == times


def test_large_frames_are_measured_smaller_and_progress_is_told(tmp_path: Path) -> None:
    pictures = [np.kron(bars(n), np.ones((8, 8, 1), np.uint8)) for n in range(3)]
    path = film(tmp_path / "a.mp4", pictures, preset="ultrafast")
    told: list[float] = []
    assert measure(path, "video/mp4", told.append).count == 3
    assert told == sorted(told) and told[-1] == 1.0


@pytest.mark.parametrize("data", [b"", b"no video at all", b"\0" * 5000])
def test_what_is_no_video_says_so(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(data)
    with pytest.raises(ValueError, match="video/mp4"):
        measured(str(path))
