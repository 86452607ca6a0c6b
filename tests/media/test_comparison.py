"""Tiers of likeness, on real files."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from regenstore.media.comparison import compare, psnr, ssim
from regenstore.media.encode import MediaWriter, Sound
from regenstore.media.likeness import BYTES, CONTENT, DIFFERENT, EQUIVALENT
from regenstore.media.stills import write_still


def picture(seed: int = 1, height: int = 48, width: int = 64) -> np.ndarray:
    """A smooth gradient with some texture."""
    y, x = np.mgrid[0:height, 0:width]
    base = np.stack([x * 3 % 256, y * 5 % 256, (x + y) * 2 % 256], -1).astype(np.int16)
    noise = np.random.Generator(np.random.PCG64(seed)).integers(-6, 7, base.shape)
    return np.clip(base + noise, 0, 255).astype(np.uint8)


def png(path: Path, pixels: np.ndarray, media_type: str = "image/png") -> str:
    write_still(str(path), pixels, media_type)
    return str(path)


def video(path: Path, frames: list[np.ndarray], rate: int = 24, sound: np.ndarray | None = None) -> str:
    height, width = frames[0].shape[:2]
    track = None if sound is None else Sound(48_000, sound.shape[0])
    with MediaWriter(
        str(path), "video/x-matroska", size=(width, height), rate=Fraction(rate), sound=track, quality=0
    ) as writer:
        for frame in frames:
            writer.picture(frame)
        if sound is not None:
            writer.samples(sound)
    return str(path)


def wav(path: Path, samples: np.ndarray, rate: int = 48_000) -> str:
    with MediaWriter(str(path), "audio/wav", sound=Sound(rate, samples.shape[0], 24)) as writer:
        writer.samples(samples)
    return str(path)


def tone(length: int = 9_600, shift: float = 0.0) -> np.ndarray:
    return (np.sin(np.arange(length) * 0.05 + shift) * 0.5).astype(np.float32)[None]


def test_equal_bytes_are_equal_whatever_they_are(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(b"no medium at all")
    assert compare(str(tmp_path / "a"), str(tmp_path / "b"), "model/gltf-binary").tier == BYTES


def test_equal_pixels_in_other_files_are_equal_content(tmp_path: Path) -> None:
    one = png(tmp_path / "a", picture())
    other = png(tmp_path / "b", picture(), "image/tiff")
    assert compare(one, other, "image/png").tier == CONTENT


def test_a_few_values_off_by_one_are_equivalent_and_counted(tmp_path: Path) -> None:
    changed = picture()
    changed[3, 5, 0] ^= 1
    changed[9, 7, 2] ^= 1
    found = compare(png(tmp_path / "a", picture()), png(tmp_path / "b", changed), "image/png")
    assert (found.tier, found.metric, found.threshold) == (EQUIVALENT, "PSNR", 45.0)
    assert found.score == pytest.approx(10 * np.log10(255**2 * 9216 / 2), abs=0.01)
    assert found.difference == "2 of 9216 values differ, by at most 1"


@pytest.mark.parametrize("other", [picture()[::-1].copy(), picture()[:, :-2].copy(), np.zeros_like(picture())])
def test_other_pictures_are_different(tmp_path: Path, other: np.ndarray) -> None:
    assert compare(png(tmp_path / "a", picture()), png(tmp_path / "b", other), "image/png").tier == DIFFERENT


def test_what_cannot_be_decoded_is_different_and_says_so(tmp_path: Path) -> None:
    (tmp_path / "b").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    found = compare(png(tmp_path / "a", picture()), str(tmp_path / "b"), "image/png")
    assert found.tier == DIFFERENT and "decoding failed" in found.difference
    found = compare(str(tmp_path / "a"), str(tmp_path / "b"), "model/gltf-binary")
    assert found.tier == DIFFERENT and "cannot be decoded here" in found.difference


def test_videos_are_compared_frame_by_frame(tmp_path: Path) -> None:
    frames = [picture(seed) for seed in range(5)]
    slightly = [frame.copy() for frame in frames]
    slightly[3][0:8, 0:8] ^= 2
    one = video(tmp_path / "a", frames)
    assert compare(one, video(tmp_path / "b", frames, sound=None), "video/x-matroska").tier == BYTES
    found = compare(one, video(tmp_path / "c", slightly), "video/x-matroska")
    assert found.tier == EQUIVALENT and found.difference.startswith("1 of 5 frames differ")
    for name, other in {
        "d": video(tmp_path / "d", frames[:4]),
        "e": video(tmp_path / "e", frames, rate=25),
        "f": video(tmp_path / "f", frames[::-1]),
        "g": video(tmp_path / "g", frames, sound=tone()),
    }.items():
        assert compare(one, other, "video/x-matroska").tier == DIFFERENT, name


def test_a_video_with_other_sound_is_different(tmp_path: Path) -> None:
    frames = [picture(seed) for seed in range(5)]
    one = video(tmp_path / "a", frames, sound=tone())
    assert compare(one, video(tmp_path / "b", frames, sound=tone(shift=1.0)), "video/x-matroska").tier == DIFFERENT


def test_sounds(tmp_path: Path) -> None:
    one = wav(tmp_path / "a", tone())
    nearly = tone() + np.float32(1e-5)
    assert compare(one, wav(tmp_path / "b", tone()), "audio/wav").tier == BYTES
    found = compare(one, wav(tmp_path / "c", nearly), "audio/wav")
    assert (found.tier, found.metric) == (EQUIVALENT, "SNR")
    for other in (tone(9_000), tone(shift=0.5), np.zeros_like(tone())):
        assert compare(one, wav(tmp_path / "d", other), "audio/wav").tier == DIFFERENT


def test_metrics_agree_with_their_definitions() -> None:
    a = np.full((16, 16, 3), 100, np.uint8)
    b = a.copy()
    b[...] += 5
    assert psnr(a, b) == pytest.approx(10 * np.log10(255**2 / 25))
    assert psnr(a, a) == float("inf")
    assert ssim(picture(), picture()) == pytest.approx(1.0)
    c1 = (0.01 * 255) ** 2  # constant pictures: only the luminance term is left
    assert ssim(a, b) == pytest.approx((2 * 100 * 105 + c1) / (100**2 + 105**2 + c1))
    assert ssim(a[:3, :3], b[:3, :3]) == pytest.approx(ssim(a, b))
