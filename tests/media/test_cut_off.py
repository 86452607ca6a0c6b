"""Files that end too early are told from whole ones, for all that real encoders write here."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from regenstore.media.cut_off import missing_end
from regenstore.media.probe import probe

NOISE = np.random.default_rng(7).integers(0, 256, (96, 96, 3), dtype=np.uint8)
SOUNDS = {"wav": ("pcm_s16le", "s16"), "aiff": ("pcm_s16be", "s16"), "flac": ("flac", "s16"), "m4a": ("aac", "fltp")}
SOUNDS |= {"ogg": ("libopus", "s16"), "mp3": ("libmp3lame", "s16p")}
FILMS = {
    "mp4": "mpeg4",
    "mov": "mpeg4",
    "mkv": "mpeg4",
    "avi": "mpeg4",
    "webm": "libvpx-vp9",
    "exr": "exr",
    "dpx": "dpx",
    "mxf": "mpeg2video",
}
STILLS = ("png", "jpg", "webp", "gif", "tif", "avif")


def _film(path: Path, codec: str) -> None:
    layout = {"exr": "gbrpf32le", "dpx": "rgb24"}.get(codec, "yuv420p")
    still = codec in ("exr", "dpx")
    with av.open(str(path), "w", "image2" if still else None, options={"update": "1"} if still else {}) as out:
        stream = out.add_stream(codec, rate=24)
        stream.width, stream.height, stream.pix_fmt = 96, 96, layout
        for _ in range(1 if still else 6):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(NOISE, format="rgb24").reformat(format=layout)))
        out.mux(stream.encode())


def _sound(path: Path, codec: str, layout: str) -> None:
    values = NOISE.reshape(1, -1).astype(np.int16) * 99
    with av.open(str(path), "w") as out:
        stream = out.add_stream(codec, rate=48000, layout="mono")
        given = values if layout.startswith("s16") else (values / 32768).astype(np.float32)
        frame = av.AudioFrame.from_ndarray(given, format=layout, layout="mono")
        frame.rate = 48000
        resized = av.AudioFifo()
        resized.write(frame)
        size = stream.codec_context.frame_size or 1024
        while (part := resized.read(size, partial=True)) is not None:
            out.mux(stream.encode(part))
        out.mux(stream.encode())


def _written(folder: Path, suffix: str) -> Path:
    path = folder / f"whole.{suffix}"
    if suffix in STILLS:
        Image.fromarray(NOISE).save(path)
    elif suffix in FILMS:
        _film(path, FILMS[suffix])
    else:
        _sound(path, *SOUNDS[suffix])
    return path


@pytest.mark.parametrize("suffix", [*STILLS, *FILMS, *SOUNDS])
def test_a_file_that_is_cut_off_is_known_from_a_whole_one(tmp_path, suffix):
    whole = _written(tmp_path, suffix)
    data = whole.read_bytes()
    assert missing_end(str(whole)) is None
    for length in (len(data) - (2 if suffix in ("wav", "aiff") else 1), len(data) * 2 // 3, len(data) // 2):
        part = tmp_path / f"part.{suffix}"
        part.write_bytes(data[:length])
        if suffix == "ogg" and length < len(data) - 1 and missing_end(str(part)) is None:
            continue  # between two pages, an Ogg stream may end
        assert "cut off" in (missing_end(str(part)) or "")


def test_a_probe_refuses_what_is_cut_off(tmp_path):
    out = io.BytesIO()
    Image.fromarray(NOISE).save(out, "PNG")
    (tmp_path / "x").write_bytes(out.getvalue()[:-2000])
    with pytest.raises(ValueError, match="cut off"):
        probe(str(tmp_path / "x"), "image/png")


OPEN_ENDED: list[tuple[str, Callable[[bytes], bytes]]] = [
    ("wav", lambda data: data[:4] + b"\xff\xff\xff\xff" + data[8:]),  # written into a pipe
    ("jpg", lambda data: data + bytes(4000)),  # padded, or followed by another picture
    ("png", lambda data: data + b"behind"),
    ("mp4", lambda data: data + b"\0\0\0\0"),
    ("mp3", lambda data: data + b"TAG" + bytes(125)),
    ("mp3", lambda data: data.replace(b"Xing", b"Xinc").replace(b"Info", b"Infc")[:-99]),
    ("mxf", lambda data: data + b"behind"),
]


@pytest.mark.parametrize(("suffix", "changed"), OPEN_ENDED)
def test_what_has_no_stated_end_or_more_behind_it_is_whole(tmp_path, suffix, changed):
    path = _written(tmp_path, suffix)
    path.write_bytes(changed(path.read_bytes()))
    assert missing_end(str(path)) is None


SIGNATURES = [
    b"\x89PNG\r\n\x1a\n",
    b"\xff\xd8\xff",
    b"GIF89a",
    b"\x1aE\xdf\xa3",
    b"v/1\x01",
    b"fLaC",
    b"OggS",
    b"II*\0",
    b"\x06\x0e\x2b\x34\x02\x05\x01\x01\x0d\x01\x02\x01\x01\x02",
    b"ID3",
    b"\xff\xfb",
]


@pytest.mark.parametrize("head", SIGNATURES)
def test_whatever_bytes_follow_a_signature_nothing_is_raised(tmp_path, head):
    for tail in (b"", b"\0" * 90, b"\xff" * 90, NOISE.tobytes()[:500]):
        (tmp_path / "x").write_bytes(head + tail)
        missing_end(str(tmp_path / "x"))
