"""Decode video and audio, frame by frame and block by block, with the same result on every machine.

Decoders run on one thread, and for the usual codecs their output is exact by specification. Conversions to RGB use the
exact swscale flags of :mod:`regenstore.media.encode`. Frames are resampled to a constant rate (repeated or skipped as
the file's timestamps demand), so that frame n of a video is the picture at n / rate. Audio is float32 from -1 to 1; 16-
and 24-bit samples survive unchanged.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter

from regenstore.media.encode import EXACT, Frame, Samples, matrix_of
from regenstore.media.rates import exact_rate
from regenstore.media.stills import Pixels

FORMATS = (
    "aac,ac3,aiff,apng,asf,au,avi,caf,dv,flac,flv,gif,h264,hevc,ivf,m4v,mjpeg,mov,matroska,mp3,mpeg,mpegts,"
    "mpegvideo,mxf,nut,ogg,rm,w64,wav,webm,yuv4mpegpipe,bmp_pipe,dpx_pipe,exr_pipe,j2k_pipe,jpeg_pipe,jpegxl_pipe,"
    "png_pipe,ppm_pipe,tiff_pipe,webp_pipe"
)
"""Self-contained container formats. Playlists and scripts (HLS, DASH, concat) are excluded: they read other files,
on which a result must not depend."""
MAX_FRAMES = 2_000_000
"""Frame limit, so that a damaged timestamp cannot make a video endless."""


@dataclass(frozen=True)
class Info:
    """Basic properties of a video or audio file. Sizes are upright; ``duration`` is in seconds, 0 if unknown."""

    width: int = 0
    height: int = 0
    rate: Fraction = Fraction(0)
    duration: float = 0.0
    sample_rate: int = 0
    channels: int = 0
    bits: int = 16

    @property
    def has_video(self) -> bool:
        return self.width > 0

    @property
    def has_audio(self) -> bool:
        return self.channels > 0


@contextmanager
def opened(path: str, what: str) -> Iterator[Any]:
    """Open a container of one of :data:`FORMATS`. Raises ValueError if FFmpeg cannot read it, also for errors inside
    the block."""
    try:
        options = {"format_whitelist": FORMATS, "protocol_whitelist": "file"}
        # No caller uses the tags, and many cameras write them in invalid UTF-8.
        file = av.open(path, "r", options=options, metadata_errors="replace")
    except (av.FFmpegError, OSError) as error:
        raise ValueError(f"{what} is not readable as video or audio ({_reason(error)})") from None
    try:
        yield file
    except av.FFmpegError as error:
        raise ValueError(f"{what} cannot be decoded ({_reason(error)})") from None
    finally:
        file.close()


def _reason(error: Exception) -> str:
    # PyAV's text contains the path inside the store, which means nothing to the user.
    return getattr(error, "strerror", None) or error.__class__.__name__


def inspect(path: str, what: str = "the input") -> Info:
    """Read the basic properties of a file. Raises ValueError if FFmpeg cannot read it."""
    with opened(path, what) as file:
        width = height = rate_of_sound = channels = 0
        bits, rate, duration = 16, Fraction(0), 0.0
        for stream in file.streams.video[:1]:
            context = _codec(stream, what)
            width, height = context.width, context.height
            rate = constant_rate(stream)
            duration = _seconds(stream, file)
            if _quarter_turns(file, stream) % 2:
                width, height = height, width
        for stream in file.streams.audio[:1]:
            context = _codec(stream, what)
            rate_of_sound, channels = context.sample_rate, context.channels
            bits = 24 if context.format is not None and context.format.name in ("s32", "s32p") else 16
            duration = duration or _seconds(stream, file)
        return Info(width, height, rate, duration, rate_of_sound, channels, bits)


def _codec(stream: Any, what: str) -> Any:
    if stream.codec_context is None:
        raise ValueError(f"{what} uses a codec that cannot be decoded here")
    return stream.codec_context


def constant_rate(stream: Any) -> Fraction:
    """The stream's constant frame rate. Matroska stores nanoseconds per frame, which FFmpeg turns into 19001/317 for
    59.94."""
    rate = Fraction(stream.average_rate or stream.guessed_rate or 25)
    exact = exact_rate(float(rate)) if 0 < rate <= 1000 else rate
    return exact if abs(exact - rate) * 100_000 < rate else rate


def _seconds(stream: Any, file: Any) -> float:
    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    return float(file.duration / av.time_base) if file.duration else 0.0


def _quarter_turns(file: Any, stream: Any) -> int:
    """The quarter turns by which a phone's video is rotated; taken from its first frame."""
    for frame in file.decode(stream):
        file.seek(0)
        return int(round(frame.rotation / 90) % 4)
    return 0


def stored_frames(path: str, what: str = "the input") -> Iterator[tuple[Any, float]]:
    """Yield the frames as stored, without repeating or skipping any, each with the fraction of the file read so far.

    Their ``pts`` increase strictly. Decodes on several threads. Raises ValueError if no frame can be decoded, and as
    :func:`opened` does.
    """
    with opened(path, what) as file:
        if not file.streams.video:
            raise ValueError(f"{what} has no video stream")
        stream = file.streams.video[0]
        _codec(stream, what)
        stream.thread_type = "AUTO"
        seconds = float(file.duration / av.time_base) if file.duration else 0.0
        last = -1
        for number, frame in enumerate(file.decode(stream)):
            if number >= MAX_FRAMES:
                raise ValueError(f"{what} has more than {MAX_FRAMES} frames")
            # In a damaged or raw stream, pts may be missing or run backwards.
            last = frame.pts = max(last + 1, 0 if frame.pts is None else frame.pts)
            yield frame, min(1.0, float(frame.pts * frame.time_base) / seconds) if seconds else 0.0
        if last < 0:
            raise ValueError(f"{what} has no frame that can be decoded")


def frames(
    path: str, *, first: int = 0, last: int | None = None, what: str = "the input"
) -> Iterator[tuple[int, Frame]]:
    """Yield frames ``first`` to ``last`` (inclusive, from 0) at the file's constant rate, with their numbers."""
    with opened(path, what) as file:
        if not file.streams.video:
            raise ValueError(f"{what} has no video stream")
        stream = file.streams.video[0]
        _codec(stream, what).thread_count = 1
        rate = constant_rate(stream)
        base = Fraction(stream.time_base)
        origin = stream.start_time or 0
        # Decoding from the start would be slow for a late cut; seek to the key frame before it.
        if first > 2 * rate:
            file.seek(origin + int((first / rate - 1) / base), stream=stream, backward=True)
        held: Frame | None = None
        number, due = first, -1
        for position, frame in enumerate(file.decode(stream)):
            pts = frame.pts if frame.pts is not None else origin + int(position / rate / base)
            due = int((pts - origin) * base * rate + Fraction(1, 2))
            while held is not None and number < due:
                if last is not None and number > last:
                    return
                yield number, held
                number += 1
                if number > MAX_FRAMES:
                    raise ValueError(f"{what} has more than {MAX_FRAMES} frames")
            held = frame
        if held is None and first == 0:
            raise ValueError(f"{what} has no frame that can be decoded")
        if held is not None and number <= due and (last is None or number <= last):
            yield number, held


def frame_count(path: str, what: str = "the input") -> int:
    """The number of frames that :func:`frames` yields, from packet timestamps, without decoding."""
    with opened(path, what) as file:
        if not file.streams.video:
            raise ValueError(f"{what} has no video stream")
        stream = file.streams.video[0]
        rate = constant_rate(stream)
        latest, packets = None, 0
        for packet in file.demux(stream):
            if packet.size and packet.pts is not None:
                latest = packet.pts if latest is None else max(latest, packet.pts)
            packets += 1 if packet.size else 0
        if latest is None or stream.time_base is None:
            return packets
        due = (latest - (stream.start_time or 0)) * Fraction(stream.time_base) * rate
        return min(MAX_FRAMES, int(due + Fraction(1, 2)) + 1)


def to_rgb(frame: Frame, width: int | None = None, height: int | None = None) -> Pixels:
    """Convert a frame to upright 8-bit RGB, scaled if a size is given."""
    turns = round(frame.rotation / 90) % 4
    if turns % 2:
        width, height = height, width
    rgb = frame.format.name.startswith(("rgb", "gbr", "bgr", "pal", "gray"))
    full = rgb or frame.color_range == ColorRange.JPEG
    ready = VideoReformatter().reformat(
        frame,
        width=width,
        height=height,
        format="rgb24",
        src_colorspace=None if rgb else matrix_of(frame),
        dst_colorspace=None if rgb else Colorspace.ITU709,
        interpolation=EXACT,
        src_color_range=ColorRange.JPEG if full else ColorRange.MPEG,
        dst_color_range=ColorRange.JPEG,
        threads=1,
    )
    pixels: Any = ready.to_ndarray()
    return np.ascontiguousarray(np.rot90(pixels, turns)) if turns else pixels


def crop_frame(frame: Frame, box: tuple[int, int, int, int] | None) -> Frame:
    """Crop a frame to ``x, y, width, height``, in its own pixel format if possible.

    4:2:0 frames with an even box are cut plane by plane; anything else goes through RGB.
    """
    upright = round(frame.rotation / 90) % 4 == 0
    if box is None and upright:
        return frame
    x, y, width, height = box or (0, 0, 0, 0)
    planar = frame.format.name in ("yuv420p", "yuvj420p")
    if upright and planar and not any(value % 2 for value in box or (1,)) and not frame.height % 2:
        # PyAV presents planar 4:2:0 as one array: luma rows, then both chroma planes as packed rows.
        tall: Any = frame.to_ndarray()
        rows = frame.height
        chroma = tall[rows:].reshape(2, rows // 2, frame.width // 2)
        luma = tall[y : y + height, x : x + width]
        part = chroma[:, y // 2 : (y + height) // 2, x // 2 : (x + width) // 2]
        stacked = np.concatenate((luma.ravel(), part.ravel())).reshape(height * 3 // 2, width)
        cut = av.VideoFrame.from_ndarray(np.ascontiguousarray(stacked), format=frame.format.name)
        cut.colorspace, cut.color_range = matrix_of(frame), frame.color_range
        return cut
    pixels = to_rgb(frame)
    if box is not None:
        pixels = pixels[y : y + height, x : x + width]
    return av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")


def sound_blocks(
    path: str, *, start: float = 0.0, duration: float | None = None, what: str = "the input"
) -> Iterator[Samples]:
    """Yield blocks of samples from ``start`` seconds, for ``duration`` seconds or to the end."""
    with opened(path, what) as file:
        if not file.streams.audio:
            raise ValueError(f"{what} has no audio stream")
        stream = file.streams.audio[0]
        _codec(stream, what).thread_count = 1
        rate = stream.codec_context.sample_rate
        skip = round(start * rate)
        left = None if duration is None else round(duration * rate)
        for frame in file.decode(stream):
            block = _samples_of(frame, what)
            if skip >= block.shape[1]:
                skip -= block.shape[1]
                continue
            block, skip = block[:, skip:], 0
            if left is not None:
                block = block[:, :left]
                left -= block.shape[1]
            if block.shape[1]:
                yield block
            if left == 0:
                return


def _samples_of(frame: Any, what: str) -> Samples:
    """A decoded audio frame as channels x samples."""
    kind: str = frame.format.name
    raw = frame.to_ndarray()
    if not kind.endswith("p"):
        raw = raw.reshape(-1, len(frame.layout.channels)).T
    scale = {"u8": 128.0, "s16": 32768.0, "s32": 2147483648.0, "flt": 1.0, "dbl": 1.0}.get(kind.removesuffix("p"))
    if scale is None:
        raise ValueError(f"{what} has audio samples in the unsupported format {kind}")
    values = raw.astype(np.float64)
    if kind.startswith("u8"):
        values = values - 128.0
    return np.ascontiguousarray((values / scale).astype(np.float32))
