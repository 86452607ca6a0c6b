"""Small media of every kind that sidecars have to tell right, made by PyAV and Pillow at test time."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image, PngImagePlugin

from regenstore.media.media_info import Color

UNTAGGED, REC709 = Color(), Color(1, 1, 1, False)
PQ, HLG = Color(9, 16, 9, False), Color(9, 18, 9, False)
NTSC24, NTSC30, NTSC60 = Fraction(24000, 1001), Fraction(30000, 1001), Fraction(60000, 1001)
SIZE = (64, 48)


@dataclass(frozen=True)
class Golden:
    """A video to make, and what the probe has to say of it."""

    name: str
    codec: str = "libx264"
    rate: Fraction = Fraction(24)
    frames: int = 12
    timecode: str | None = None
    color: Color = UNTAGGED
    pixels: str = "yuv420p"
    audio: bool = False
    variable: bool = False
    rotation: int = 0
    options: dict[str, str] = field(default_factory=dict)
    shown_codec: str = ""
    depth: int = 8


RATES = [
    Golden("r16.mp4", rate=Fraction(16)),
    Golden("r23976.mov", rate=NTSC24, timecode="01:00:00:00", color=REC709),
    Golden("r24.mp4", rate=Fraction(24), color=REC709, audio=True),
    Golden("r25.mp4", rate=Fraction(25)),
    Golden("r2997df.mov", rate=NTSC30, timecode="00:59:59;28", color=REC709, audio=True),
    Golden("r2997ndf.mov", rate=NTSC30, timecode="00:59:59:28"),
    Golden("r30.mp4", rate=Fraction(30)),
    Golden("r50.mp4", rate=Fraction(50)),
    Golden("r5994df.mov", rate=NTSC60, timecode="10:00:00;04"),
    Golden("r5994.mkv", rate=NTSC60),
    Golden("r60.mp4", rate=Fraction(60)),
    Golden("vfr.mp4", rate=Fraction(24), variable=True),
    Golden("r23976.webm", codec="libvpx-vp9", rate=NTSC24, frames=30, shown_codec="vp9"),
]
CODECS = [
    Golden("hevc_pq.mp4", "libx265", Fraction(25), 5, color=PQ, pixels="yuv420p10le", shown_codec="hevc", depth=10),
    Golden("hevc_hlg.mp4", "libx265", Fraction(25), 5, color=HLG, pixels="yuv420p10le", shown_codec="hevc", depth=10),
    Golden(
        "prores.mov", "prores_ks", Fraction(24), 4, "01:00:00:00", REC709, "yuv422p10le", shown_codec="prores", depth=10
    ),
    Golden(
        "prores4444.mov", "prores_ks", Fraction(24), 4, None, UNTAGGED, "yuva444p10le", shown_codec="prores", depth=12
    ),
    Golden("av1.mp4", "libsvtav1", Fraction(24), 4, shown_codec="av1"),
    Golden("ffv1.mkv", "ffv1", Fraction(24), 4, pixels="yuv422p10le", shown_codec="ffv1", depth=10),
    Golden("rotated.mp4", frames=4, rotation=90),
]


def make(golden: Golden, folder: Path) -> Path:
    """The file of a golden video; each frame's grey is its number."""
    path = folder / golden.name
    with av.open(str(path), "w") as file:
        stream = file.add_stream(golden.codec, rate=golden.rate, options=_options(golden))
        stream.width, stream.height = SIZE
        stream.pix_fmt = golden.pixels
        context = stream.codec_context
        context.thread_count = 1
        context.time_base = Fraction(1, 24000) if golden.variable else 1 / golden.rate
        if golden.color.stated:
            context.color_primaries, context.color_trc = golden.color.primaries, golden.color.transfer
            context.colorspace, context.color_range = golden.color.matrix, 2 if golden.color.full_range else 1
        if golden.timecode:
            stream.metadata["timecode"] = golden.timecode
        if golden.rotation:
            stream.set_display_rotation(-golden.rotation)
        sound = file.add_stream("flac" if path.suffix != ".mov" else "pcm_s16le", rate=48000) if golden.audio else None
        if sound is not None:
            sound.layout = "stereo"
        time = 0
        for number in range(golden.frames):
            grey = np.full((SIZE[1], SIZE[0], 3), 16 + number * 8 % 200, np.uint8)
            frame = av.VideoFrame.from_ndarray(grey, format="rgb24").reformat(format=golden.pixels)
            frame.pts, frame.time_base = (time if golden.variable else number), context.time_base
            time += 1000 if number % 3 else 2500
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
        if sound is not None:
            _sound(file, sound, float(golden.frames / golden.rate))
    return path


def _options(golden: Golden) -> dict[str, str]:
    given = {"libx264": {"preset": "ultrafast"}, "libx265": {"x265-params": "log-level=none"}}.get(golden.codec, {})
    if golden.codec == "libx265" and golden.color == PQ:
        hdr = "master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50):max-cll=1000,400"
        given = {"x265-params": f"log-level=none:hdr10=1:{hdr}"}
    if golden.codec == "libvpx-vp9":
        given = {"cpu-used": "8", "deadline": "realtime"}
    if golden.codec == "libsvtav1":
        given = {"preset": "12"}
    return {**given, **golden.options}


def _sound(file, stream, seconds: float) -> None:
    count = round(seconds * 48000)
    samples = np.zeros((1, count * 2), np.int16)
    frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="stereo")
    frame.sample_rate, frame.pts = 48000, 0
    frame.time_base = Fraction(1, 48000)
    for part in _split(frame):
        file.mux(stream.encode(part))
    file.mux(stream.encode(None))


def _split(frame):
    fifo = av.AudioFifo()
    fifo.write(frame)
    while (part := fifo.read(4096, partial=True)) is not None:
        yield part


def png(path: Path, *, mode: str = "RGB", srgb: bool = False, cicp: tuple[int, ...] | None = None) -> Path:
    """A small PNG, saying its colours in sRGB or cICP."""
    info = PngImagePlugin.PngInfo()
    if srgb:
        info.add(b"sRGB", b"\0")
    if cicp:
        info.add(b"cICP", bytes(cicp))
    Image.new(mode, SIZE).save(path, pnginfo=info)
    return path


def exr(path: Path) -> Path:
    """A small EXR of 32-bit floats, by FFmpeg's encoder."""
    with av.open(str(path), "w", format="image2") as file:
        stream = file.add_stream("exr", rate=1)
        stream.width, stream.height = SIZE
        stream.pix_fmt = "gbrpf32le"
        frame = av.VideoFrame.from_ndarray(np.zeros((SIZE[1], SIZE[0], 3), np.uint8), format="rgb24")
        file.mux(stream.encode(frame.reformat(format="gbrpf32le")))
        file.mux(stream.encode(None))
    return path
