"""Bit-exact video and audio encoders: the same frames and samples give the same bytes every time.

This rests on five settings. The ``bitexact`` flag on container and codecs leaves out versions, times and random
identifiers. x264 runs on one thread, as its output depends on the number of threads, and without macroblock-tree rate
control, which reads uninitialised memory. Colour conversion uses swscale with ``accurate_rnd + full_chroma_int +
bitexact``, which gives the same result on every CPU instruction set. No encoder is used whose arithmetic depends on the
processor, as that of AAC (whose float code differs between SSE and AVX) and Opus does: audio is FLAC in MP4 and
Matroska and PCM in QuickTime and WAV, and there is no WebM, which allows only Opus and Vorbis. All encoders stream:
none holds more than a few frames.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from fractions import Fraction
from types import TracebackType
from typing import Any, Self

import av
import numpy as np
from av.codec.context import Flags
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter
from numpy.typing import NDArray

from regenstore.media.stills import Pixels

Samples = NDArray[np.float32]
"""Channels x samples; full scale is -1 to 1."""
Frame = av.VideoFrame

EXACT = int(Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT | Interpolation.BITEXACT)
BT709 = 1
LIMITED = 1
BLOCK = 4096
"""Samples per audio frame for codecs that accept any number."""
LAYOUTS = {1: "mono", 2: "stereo", 3: "2.1", 4: "quad", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1"}


@dataclass(frozen=True)
class _Wrapper:
    """A container format with its options and codecs."""

    container: str
    options: dict[str, str]
    video: str = ""
    audio: str = ""


_X264 = {
    "preset": "veryfast",
    "crf": "18",
    # With macroblock-tree rate control, x264's assembly reads uninitialised memory: at sizes such as 320x180 the same
    # frames gave other bytes under another MALLOC_PERTURB_. Without it they never did.
    "mbtree": "0",
}
_WRAPPERS = {
    "video/mp4": _Wrapper("mp4", {"movflags": "+faststart"}, "libx264", "flac"),
    "video/quicktime": _Wrapper("mov", {"movflags": "+faststart"}, "libx264", "pcm"),
    "video/x-matroska": _Wrapper("matroska", {}, "libx264", "flac"),
    "audio/wav": _Wrapper("wav", {"rf64": "auto"}, "", "pcm"),
    "audio/flac": _Wrapper("flac", {}, "", "flac"),
}
VIDEO_TYPES = tuple(name for name in _WRAPPERS if name.startswith("video/"))
AUDIO_TYPES = tuple(name for name in _WRAPPERS if name.startswith("audio/"))


@dataclass(frozen=True)
class Sound:
    """The format of an audio track to write; ``bits`` matters only for lossless codecs."""

    rate: int
    channels: int
    bits: int = 16


class MediaWriter:
    """Writes one media file with a video track, an audio track or both. Use it as a context manager.

    If an exception is raised inside the ``with`` block or while finishing, no file is left.
    """

    def __init__(
        self,
        path: str,
        media_type: str,
        *,
        size: tuple[int, int] | None = None,
        rate: Fraction | None = None,
        sound: Sound | None = None,
        quality: int | None = None,
    ) -> None:
        wrapper = _WRAPPERS.get(media_type)
        if wrapper is None or (size is not None and not wrapper.video):
            raise ValueError(f"cannot write {media_type} (known: {', '.join(_WRAPPERS)})")
        self._path = path
        self._file = av.open(path, "w", format=wrapper.container, options={"fflags": "+bitexact", **wrapper.options})
        self._reformatter = VideoReformatter()
        self._video: Any = None
        self._audio: Any = None
        self._count = 0
        self._samples = 0
        self.sound = sound
        try:
            if size is not None and rate is not None:
                self._add_video(wrapper, size, rate, quality)
            if sound is not None:
                self._add_audio(wrapper, sound)
        except BaseException:
            self._abandon()
            raise

    def _add_video(self, wrapper: _Wrapper, size: tuple[int, int], rate: Fraction, quality: int | None) -> None:
        width, height = size
        if width % 2 or height % 2:
            raise ValueError(f"a 4:2:0 picture needs an even width and height, not {width}x{height}")
        options = dict(_X264)
        if quality is not None:
            options["crf"] = str(quality)
        stream = self._file.add_stream(wrapper.video, rate=rate, options=options)
        context: Any = stream.codec_context
        context.width, context.height, context.pix_fmt = width, height, "yuv420p"
        context.time_base = 1 / rate
        context.thread_count = 1
        context.flags |= int(Flags.bitexact)
        context.colorspace = context.color_primaries = context.color_trc = BT709
        context.color_range = LIMITED
        self._video = stream

    def _add_audio(self, wrapper: _Wrapper, sound: Sound) -> None:
        codec = wrapper.audio
        if codec == "pcm":
            codec = "pcm_s24le" if sound.bits > 16 else "pcm_s16le"
        if sound.channels not in LAYOUTS:
            raise ValueError(f"{sound.channels} audio channels are too many (at most {max(LAYOUTS)})")
        stream: Any = self._file.add_stream(codec, rate=sound.rate)
        context: Any = stream.codec_context
        context.layout = LAYOUTS[sound.channels]
        self._wide = codec == "pcm_s24le" or (codec == "flac" and sound.bits > 16)
        context.format = "s32" if self._wide else "s16"
        if codec == "flac" and self._wide:
            stream.options = {"bits_per_raw_sample": "24"}
        context.flags |= int(Flags.bitexact)
        context.thread_count = 1
        context.time_base = Fraction(1, sound.rate)
        self._pending = np.zeros((sound.channels, 0), np.float32)
        self._audio = stream

    def picture(self, pixels: Pixels) -> None:
        """Write the next frame from 8-bit RGB pixels of the file's size."""
        self.frame(av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels[..., :3]), format="rgb24"))

    def frame(self, frame: Frame) -> None:
        """Write the next frame from a decoded or scaled one, converting its colours if needed."""
        context = self._video.codec_context
        ready = as_yuv420(self._reformatter, frame, context.width, context.height)
        ready.pts = self._count
        ready.time_base = context.time_base
        ready.pict_type = 0  # A decoded frame keeps its type, which would be forced on the encoder.
        self._count += 1
        self._file.mux(self._video.encode(ready))

    def samples(self, block: Samples) -> None:
        """Write the next samples (channels x any number)."""
        self._pending = np.concatenate((self._pending, block), axis=1)
        size = self._audio.codec_context.frame_size or BLOCK
        done = 0
        while self._pending.shape[1] - done >= size:
            self._encode_samples(self._pending[:, done : done + size])
            done += size
        self._pending = self._pending[:, done:]

    def _encode_samples(self, block: Samples) -> None:
        assert self.sound is not None
        layout = LAYOUTS[self.sound.channels]
        levels = quantise(block, 24 if self._wide else 16)
        if self._wide:
            levels = levels << 8  # FFmpeg keeps 24-bit samples in the upper part of 32.
        packed: Any = np.ascontiguousarray(levels.T).reshape(1, -1)
        if not self._wide:
            packed = packed.astype(np.int16)
        frame = av.AudioFrame.from_ndarray(packed, format="s32" if self._wide else "s16", layout=layout)
        frame.sample_rate = self.sound.rate
        frame.pts = self._samples
        frame.time_base = Fraction(1, self.sound.rate)
        self._samples += block.shape[1]
        self._file.mux(self._audio.encode(frame))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self._abandon()
            return
        try:
            self._finish()
            self._file.close()
        except BaseException:
            self._abandon()
            raise

    def _abandon(self) -> None:
        """Close and remove the unfinished file. Errors here follow from the one that led here, so they are ignored."""
        try:
            self._file.close()
        except (av.FFmpegError, OSError, ValueError):
            pass
        if os.path.exists(self._path):
            os.unlink(self._path)

    def _finish(self) -> None:
        if self._audio is not None:
            if self._pending.shape[1]:
                self._encode_samples(self._pending)
            self._file.mux(self._audio.encode(None))
        if self._video is not None:
            self._file.mux(self._video.encode(None))


def as_yuv420(reformatter: VideoReformatter, frame: Frame, width: int, height: int) -> Frame:
    """Convert a frame to limited-range BT.709 4:2:0 of the given size."""
    rgb = frame.format.name.startswith(("rgb", "gbr", "bgr", "pal", "gray"))
    full = rgb or frame.color_range == ColorRange.JPEG
    return reformatter.reformat(
        frame,
        width=width,
        height=height,
        format="yuv420p",
        src_colorspace=None if rgb else matrix_of(frame),
        dst_colorspace=Colorspace.ITU709,
        interpolation=EXACT,
        src_color_range=ColorRange.JPEG if full else ColorRange.MPEG,
        dst_color_range=ColorRange.MPEG,
        threads=1,
    )


def matrix_of(frame: Frame) -> int:
    """The frame's colour matrix; if the file states none, the one that players assume for its size."""
    known = {1: Colorspace.ITU709, 5: Colorspace.ITU601, 6: Colorspace.SMPTE170M, 9: Colorspace.BT2020}
    guess = Colorspace.ITU709 if frame.height >= 720 else Colorspace.ITU601
    return int(known.get(int(frame.colorspace), guess))


def quantise(block: Samples, bits: int) -> NDArray[np.int32]:
    """Convert samples to integers of ``bits`` bits, rounded and clipped."""
    top = float(2 ** (bits - 1))
    scaled = np.rint(block.astype(np.float64) * top)
    return np.clip(scaled, -top, top - 1).astype(np.int32)


def versions() -> dict[str, str]:
    """The versions of all libraries that can change the bytes of a video or audio file."""
    found = {"pyav": av.__version__}
    for name in ("libavcodec", "libavformat", "libavutil", "libswscale"):
        found[name] = ".".join(map(str, av.library_versions.get(name, ())))
    return found
