"""Corrections: what is made gives the take back to the byte, and what is damaged gives nothing."""

from __future__ import annotations

import io
import struct
import time
import wave
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from regenstore.media.correction import deflate, jpeg, making, packing, png, streams
from regenstore.media.correction.making import Difference
from regenstore.media.encode import MediaWriter, Sound

DEEP = settings(deadline=None, max_examples=60)


def near(values: np.ndarray, count: int, seed: int = 1) -> np.ndarray:
    """The same 8-bit values but for so many, which are off by one."""
    rng = np.random.default_rng(seed)
    changed = values.copy()
    at = rng.choice(values.size, min(count, values.size), replace=False)
    flat = changed.reshape(-1)
    flat[at] = np.where(flat[at] < 128, flat[at] + 1, flat[at] - 1)
    return changed


def picture(width: int = 320, height: int = 240, channels: int = 3, seed: int = 1) -> np.ndarray:
    """Smooth shapes with a little noise: compresses as a generated picture does."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    planes = [
        128 + 60 * np.sin(x / 37 + c) + 50 * np.cos(y / 23 + x / 91) + rng.normal(0, 3, x.shape) for c in range(3)
    ]
    values = np.stack(planes, -1).clip(0, 255).astype(np.uint8)
    if channels == 4:
        values = np.concatenate((values, values[..., :1]), -1)
    return values if channels > 1 else values[..., 0]


def saved(pixels: np.ndarray, form: str, **options: object) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, form, **options)
    return file.getvalue()


def comfy(pixels: np.ndarray, prompt: str = '{"3": {"class_type": "KSampler", "inputs": {"seed": 7}}}') -> bytes:
    """A PNG as ComfyUI writes it."""
    text = PngImagePlugin.PngInfo()
    text.add_text("prompt", prompt)
    text.add_text("workflow", '{"nodes": []}')
    return saved(pixels, "PNG", pnginfo=text, compress_level=4)


def made(base: bytes, take: bytes, share: float = 0.05) -> Difference:
    found = making.make(base, take, int(len(take) * share))
    assert found is not None
    assert making.apply(found, base, len(take)) == take
    return found


# ------------------------------------------------------------------------------------------- near-equal media


@pytest.mark.parametrize("count", [1, 8, 100, 2000])
def test_a_png_as_comfyui_writes_it(count: int) -> None:
    pixels = picture()
    found = made(comfy(pixels), comfy(near(pixels, count)))
    assert (found.method in ("png", "bytes"), found.needs) == (True, "")
    assert len(found.data) < 180 + 4 * count


@pytest.mark.parametrize(
    "options",
    [{}, {"compress_level": 1}, {"compress_level": 9}, {"optimize": True}, {"compress_type": 3}, {"compress_level": 0}],
    ids=str,
)
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_pngs_of_other_settings(channels: int, options: dict[str, object]) -> None:
    pixels = picture(channels=channels)
    found = made(saved(pixels, "PNG", **options), saved(near(pixels, 20), "PNG", **options))
    assert found.method in ("png", "bytes") and not found.needs


def test_pngs_of_other_kinds() -> None:
    palette = Image.fromarray(picture()).quantize(32)
    grey = (picture()[..., 0].astype(np.uint16) * 255 + 17).astype(np.uint16)
    for base in (palette, Image.fromarray(grey), palette.convert("1")):
        other = base.copy()
        for x in range(5):
            other.putpixel((40 * x, 10), 1)
        files = [io.BytesIO() for _ in range(2)]
        for image, file in zip((base, other), files):
            image.save(file, "PNG")
        found = made(files[0].getvalue(), files[1].getvalue(), 0.3)
        assert found.method in ("png", "bytes")


def test_a_png_whose_metadata_changed() -> None:
    pixels = picture()
    found = made(comfy(pixels, '{"host": "one"}'), comfy(near(pixels, 8), '{"host": "another one"}'))
    assert found.method == "png" and len(found.data) < 300


def test_a_png_from_another_encoder_needs_the_same_zlib() -> None:
    pixels = picture() // 32 * 32  # flat areas: another encoder finds other matches in them
    take = comfy(pixels)
    unfiltered = saved(pixels, "PNG", compress_level=0)
    found = made(unfiltered, take)
    assert found.method == "png-zlib" and found.needs == f"zlib {zlib.ZLIB_RUNTIME_VERSION}"
    other = Difference(found.method, "zlib 0.9", found.data)
    with pytest.raises(ValueError, match=r"zlib 0\.9"):
        making.apply(other, unfiltered, len(take))
    assert making.usable(found.method, found.needs) and not making.usable(found.method, "zlib 0.9")


@pytest.mark.parametrize("options", [{}, {"optimize": True}, {"progressive": True}, {"subsampling": 0}], ids=str)
def test_a_jpeg(options: dict[str, object]) -> None:
    pixels = picture(640, 480)
    found = made(saved(pixels, "JPEG", quality=90, **options), saved(near(pixels, 40), "JPEG", quality=90, **options))
    assert found.method == "jpeg" and len(found.data) < 1000


def test_deflate_inside_other_files() -> None:
    pixels = picture()
    files = [saved(values, "TIFF", compression="tiff_adobe_deflate") for values in (pixels, near(pixels, 30))]
    found = made(files[0], files[1])
    assert found.method == "streams" and len(found.data) < 1000


def test_lossless_webp_needs_the_same_encoder() -> None:
    pixels = picture()
    found = made(saved(pixels, "WEBP", lossless=True), saved(near(pixels, 30), "WEBP", lossless=True))
    assert found.method == "webp" and found.needs.startswith("libwebp")


@pytest.mark.parametrize(("media_type", "bits"), [("audio/wav", 16), ("audio/flac", 16), ("audio/flac", 24)])
@pytest.mark.parametrize("count", [3, 300])
def test_sounds(tmp_path, media_type: str, bits: int, count: int) -> None:
    rng = np.random.default_rng(2)
    levels = (np.sin(np.arange(2 * 44100) / 40) * 9000 + rng.normal(0, 900, 2 * 44100)).astype(np.int64)
    changed = levels.copy()
    changed[rng.choice(levels.size, count, replace=False)] += 1
    files = []
    for name, values in (("one", levels), ("two", changed)):
        with MediaWriter(str(tmp_path / name), media_type, sound=Sound(44100, 2, bits)) as writer:
            writer.samples((values.reshape(2, -1) / 32768).astype(np.float32))
        files.append((tmp_path / name).read_bytes())
    found = made(files[0], files[1])
    assert len(found.data) < len(files[1]) // 25


def test_a_longer_header_before_the_same_samples() -> None:
    frames = np.random.default_rng(3).integers(-9000, 9000, 40000).astype("<i2").tobytes()
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setparams((1, 2, 8000, 0, "NONE", ""))
        sound.writeframes(frames)
    plain = file.getvalue()
    note = b"LIST" + struct.pack("<I", 26) + b"INFOICMT" + struct.pack("<I", 14) + b"made elsewhere"
    found = made(plain, plain[:36] + note + plain[36:])
    assert found.method == "patch" and len(found.data) < 120


# ------------------------------------------------------------------------------------------- what gets none


def test_what_differs_too_much_gets_none() -> None:
    assert making.make(comfy(picture(seed=1)), comfy(picture(seed=2)), 5000) is None
    assert making.make(b"a" * 100_000, np.random.default_rng(1).bytes(100_000), 5000) is None


def test_patience_ends() -> None:
    pixels = picture(1200, 900)
    files = (
        saved(pixels, "TIFF", compression="tiff_adobe_deflate"),
        saved(near(pixels, 30), "TIFF", compression="tiff_adobe_deflate"),
    )
    begun = time.monotonic()
    assert making.make(*files, len(files[1]) // 20, patience=0) is None
    assert time.monotonic() - begun < 5


# ------------------------------------------------------------------------------------------- whatever it is


@DEEP
@given(st.binary(max_size=3000), st.binary(max_size=3000))
def test_any_bytes_give_themselves_back(base: bytes, take: bytes) -> None:
    made(base, take, share=1000.0) if take else None


@DEEP
@given(st.binary(min_size=1, max_size=4000), st.lists(st.tuples(st.integers(0, 3999), st.integers(0, 255)), max_size=9))
def test_nearly_equal_bytes(base: bytes, changes: list[tuple[int, int]]) -> None:
    take = bytearray(base)
    for place, value in changes:
        take[place % len(base)] = value
    found = made(base, bytes(take), share=1000.0)
    assert len(found.data) < 60 + 4 * len(changes)


@DEEP
@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.integers(1, 40), st.integers(0, 9), st.sampled_from([1, 3, 4]))
def test_any_pictures_of_a_size(seed: int, width: int, height: int, level: int, channels: int) -> None:
    pixels = picture(width, height, channels, seed)
    base = png.taken_apart(saved(pixels, "PNG", compress_level=level))
    for values in (near(pixels, 3, seed), np.random.default_rng(seed).integers(0, 256, pixels.shape, np.uint8)):
        take = saved(values, "PNG", compress_level=level)
        data = png.by_choices(base, png.taken_apart(take), 1 << 20, time.monotonic() + 60)
        assert data is not None and png.with_choices(base, data, len(take), time.monotonic() + 60) == take


@DEEP
@given(
    st.lists(st.binary(max_size=2000) | st.text("ab", max_size=5000).map(str.encode), min_size=1, max_size=4),
    st.integers(0, 9),
    st.integers(0, 4),
)
def test_any_deflate_streams(contents: list[bytes], level: int, strategy: int) -> None:
    coded = []
    for content in contents:
        encoder = zlib.compressobj(level, zlib.DEFLATED, -15, 9, strategy)
        coded.append(encoder.compress(content) + encoder.flush(zlib.Z_FULL_FLUSH) + encoder.flush())
    sizes = [len(content) for content in contents]
    choices = deflate.taken_apart(coded, sizes, time.monotonic() + 60)
    assert deflate.put_together(choices, packing.as_array(b"".join(contents))) == coded


@given(st.lists(st.integers(0, 2**40)))
def test_numbers(values: list[int]) -> None:
    assert packing.from_varints(packing.varints(np.array(values, np.int64))).tolist() == values


# ------------------------------------------------------------------------------------------- damage


@pytest.fixture(scope="module")
def every_method() -> list[tuple[Difference, bytes, bytes]]:
    pixels, large = picture(160, 120), picture(320, 240)
    changed = near(pixels, 40)
    noise = np.random.default_rng(5).bytes(20_000)
    pairs = [
        (comfy(pixels), comfy(changed)),
        (saved(large, "JPEG", quality=95), saved(near(large, 40), "JPEG", quality=95)),
        (
            saved(pixels, "TIFF", compression="tiff_adobe_deflate"),
            saved(changed, "TIFF", compression="tiff_adobe_deflate"),
        ),
        (saved(pixels, "WEBP", lossless=True), saved(changed, "WEBP", lossless=True)),
        (noise, noise[:500] + b"something else" + noise[500:]),
        (noise, noise[:500] + b"x" + noise[501:]),
        (saved(pixels // 32 * 32, "PNG", compress_level=0), comfy(pixels // 32 * 32)),
    ]
    found = [(made(base, take), base, take) for base, take in pairs]
    assert {one.method for one, _, _ in found} == {"png", "jpeg", "streams", "webp", "patch", "bytes", "png-zlib"}
    return found


def test_damaged_differences_give_errors_or_other_bytes(every_method) -> None:
    rng = np.random.default_rng(6)
    refused = 0
    for difference, base, take in every_method:
        for _ in range(15):
            data = bytearray(difference.data)
            data[int(rng.integers(len(data)))] ^= 1 << int(rng.integers(8))
            damaged = bytes(data) if rng.random() < 0.7 else bytes(data[: int(rng.integers(len(data)))])
            try:
                given_back = making.apply(Difference(difference.method, difference.needs, damaged), base, len(take))
            except ValueError:
                refused += 1
            else:
                assert len(given_back) < 2 * len(base) + len(take)
    assert refused > 30


def test_a_bomb_is_refused() -> None:
    bomb = packing.packed(bytes(1 << 26))
    with pytest.raises(ValueError, match="unpacks to"):
        making.apply(Difference("patch", "", bomb), b"base", 1000)
    with pytest.raises(ValueError):
        making.apply(Difference("bytes", "", packing.joined([bomb, bomb])), b"base", 1000)


def test_hostile_files_get_no_correction() -> None:
    picture_bomb = io.BytesIO()
    header = struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    stream = zlib.compress(bytes(1 << 27), 9)
    picture_bomb.write(png.MAGIC + chunk(b"IHDR", header) + chunk(b"IDAT", stream) + chunk(b"IEND", b""))
    bomb = picture_bomb.getvalue()
    with pytest.raises(ValueError, match="too long"):
        png.taken_apart(bomb)
    with pytest.raises(ValueError, match="no zlib streams"):
        streams.taken_apart(stream, time.monotonic() + 60)
    for junk in (b"", png.MAGIC, jpeg.MAGIC, b"fLaC", b"RIFF\0\0\0\0WEBP", bomb[:60]):
        assert making.make(junk, junk + b"x", 0) is None
        for method in making.METHODS:
            with pytest.raises(ValueError):
                making.apply(Difference(method, making.METHODS[method].needs(), b"\x01\x02\x03"), junk, 10)
