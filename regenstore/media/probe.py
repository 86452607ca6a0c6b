"""Read the technical metadata of a medium: with PyAV for video and audio, with Pillow for stills.

The probe reads all packets of the video track, whose timestamps give the number of frames and show whether the rate is
constant, and decodes one frame. What the file does not state stays unknown.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping
from fractions import Fraction
from typing import Any, Literal

import av
from av.sidedata.sidedata import Type as SideData
from PIL import Image, UnidentifiedImageError

from regenstore.media.cut_off import missing_end
from regenstore.media.decode import constant_rate, opened
from regenstore.media.media_info import AudioTrack, Color, Mastering, MediaInfo, Timecode, Video
from regenstore.media.stills import open_still
from regenstore.media.timecode import is_drop
from regenstore.media.types import kind, suffix_for

_FIELD_ORDER: Mapping[int, Literal["progressive", "upper", "lower"]] = {
    # AVFieldOrder (libavcodec/codec_par.h): which field is displayed first.
    1: "progressive", 2: "upper", 3: "lower", 4: "lower", 5: "upper",
}  # fmt: skip
_MASTERING = struct.Struct("=20i2i")
"""AVMasteringDisplayMetadata: red, green, blue, white (x, y), min and max luminance as rationals; two flags."""
_LIGHT = struct.Struct("=2I")
"""AVContentLightMetadata: MaxCLL, MaxFALL."""
_STILL_MODES = {"1": 1, "L": 8, "LA": 8, "P": 8, "RGB": 8, "RGBA": 8, "CMYK": 8, "YCbCr": 8, "I;16": 16, "I;16B": 16}
_ALPHA_MODES = {"LA", "RGBA", "PA", "La", "RGBa"}


def _unnamed_side_data(types: Any, value: object) -> Any:
    member = object.__new__(types)
    member._name_, member._value_ = f"UNNAMED_{value}", value
    return member


# PyAV names fewer kinds of side data than FFmpeg (31, the EXIF of Motion-JPEG, has none), and if a name is missing it
# returns none of the frame's side data.
SideData._missing_ = classmethod(_unnamed_side_data)  # type: ignore[assignment]


def probe(path: str, media_type: str, what: str = "the medium") -> MediaInfo:
    """Read a file's technical metadata. ``media_type`` selects the reader: for stills, Pillow comes first.

    Raises ValueError if neither library can read it as picture or sound, or if it is known to be cut off. A type that
    is neither (a 3-D model, say) gives an empty ``other``.
    """
    if why := missing_end(path):
        raise ValueError(why)
    family = kind(media_type)
    if family not in ("image", "video", "audio"):
        return MediaInfo("other", media_type.partition("/")[2])
    if family == "image":
        still = _still(path)
        if still is not None:
            return still
    with opened(path, what) as file:
        return _container(file, media_type)


# ------------------------------------------------------------------------------------------- stills


def _still(path: str) -> MediaInfo | None:
    """Probe with Pillow; None for formats it does not know, such as EXR and DPX."""
    try:
        with open_still(path) as picture:
            mode, form, info = picture.mode, (picture.format or "").lower(), picture.info
            depth = _png_depth(path) if form == "png" else _STILL_MODES.get(mode)
            video = Video(
                width=picture.width,
                height=picture.height,
                codec=form,
                pixel_format=mode,
                frames=int(getattr(picture, "n_frames", 1)),
                bit_depth=depth or (32 if mode in ("F", "I") else None),
                floating=mode == "F",
                alpha=mode in _ALPHA_MODES or "transparency" in info,
                field_order="progressive",
                rotation=_exif_rotation(picture),
                container_color=_still_color(path, form, info),
            )
    except UnidentifiedImageError:
        return None
    except Exception as error:  # a damaged file makes Pillow's plug-ins raise nearly anything
        raise ValueError(f"the picture cannot be read ({error.__class__.__name__})") from None
    return MediaInfo("image", form, video)


def _exif_rotation(picture: Image.Image) -> int:
    """Degrees clockwise from the EXIF orientation; mirrored orientations count as their rotation."""
    if picture.format == "PNG" and not {"exif", "Raw profile type exif"} & picture.info.keys():
        return 0  # Pillow would decode the whole picture to see whether EXIF follows it
    return {3: 180, 4: 180, 5: 90, 6: 90, 7: 270, 8: 270}.get(picture.getexif().get(0x0112, 1), 0)


def _png_chunks(path: str) -> dict[bytes, bytes]:
    """The first chunk of each kind before the pixels, small ones only (PNG, section 5)."""
    found: dict[bytes, bytes] = {}
    with open(path, "rb") as file:
        file.seek(8)
        while len(head := file.read(8)) == 8:
            length, name = int.from_bytes(head[:4], "big"), head[4:]
            if name in (b"IDAT", b"IEND"):
                break
            if length > 64:
                file.seek(length + 4, 1)
                continue
            found.setdefault(name, file.read(length))
            file.seek(4, 1)
    return found


def _png_depth(path: str) -> int | None:
    header = _png_chunks(path).get(b"IHDR", b"")
    return header[8] if len(header) == 13 else None


def _still_color(path: str, form: str, info: Mapping[Any, Any]) -> Color:
    """The colour a PNG states in cICP or sRGB; other formats would need an ICC parser."""
    if form != "png":
        return Color()
    stated = _png_chunks(path).get(b"cICP", b"")
    if len(stated) == 4:
        return Color(stated[0], stated[1], stated[2], bool(stated[3]))
    return Color(1, 13, 0, True) if "srgb" in info else Color()


# ------------------------------------------------------------------------------------------- containers


def _container(file: Any, media_type: str) -> MediaInfo:
    still = kind(media_type) == "image"
    tags = {str(key).lower(): str(value) for key, value in file.metadata.items()}
    tracks = tuple(_track(stream) for stream in file.streams.audio if stream.codec_context is not None)
    pictures = [stream for stream in file.streams.video if stream.codec_context is not None and not _cover(stream)]
    timecode = _timecode(file, tags)
    video = _video(file, pictures[0], still=still) if pictures else None
    if video is None and not tracks:
        raise ValueError("the medium has neither picture nor sound that can be decoded here")
    family: Literal["video", "image", "audio"] = "audio" if video is None else "image" if still else "video"
    # FFmpeg reads MP4 and QuickTime with one demuxer, "mov,mp4,m4a…".
    names = file.format.name.removesuffix("_pipe").split(",")
    name = suffix_for(media_type)[1:]
    return MediaInfo(family, name if name in names else names[0], video, tracks, timecode, tags)


def _cover(stream: Any) -> bool:
    """Whether a video track is only cover art."""
    return bool(stream.disposition & av.stream.Disposition.attached_pic)


def _timecode(file: Any, tags: Mapping[str, str]) -> Timecode | None:
    found = tags.get("timecode")
    for stream in file.streams:
        if found is None:
            found = next((str(v) for k, v in stream.metadata.items() if str(k).lower() == "timecode"), None)
    return None if found is None else Timecode(found, is_drop(found))


def _track(stream: Any) -> AudioTrack:
    context = stream.codec_context
    length = None
    if stream.duration is not None and stream.time_base is not None:
        length = stream.duration * Fraction(stream.time_base)
    elif stream.container.duration:
        length = Fraction(stream.container.duration, av.time_base)
    sample = context.format.name if context.format is not None else ""
    name = context.codec.canonical_name
    counted = re.match(r"pcm_[suf](\d+)", name)
    bits = int(counted[1]) if counted else None
    if name in ("flac", "alac", "wavpack", "tta") and sample.startswith("s16"):
        bits = 16  # 24-bit samples are decoded to 32, which tells nothing
    return AudioTrack(name, context.sample_rate or 0, context.channels, context.layout.name, sample, bits, length)


def _video(file: Any, stream: Any, *, still: bool) -> Video:
    context = stream.codec_context
    base = Fraction(stream.time_base)
    container_color = _color(context)
    first = None
    times: list[int] = []
    count = last_length = 0
    for packet in file.demux(stream):
        if first is None:
            first = next(iter(packet.decode()), None)
        if not packet.size or packet.is_discard:
            continue
        count += 1
        if packet.pts is not None:
            times.append(packet.pts)
            last_length = packet.duration or last_length
    if first is None:
        first = next(iter(context.decode(None)), None)
    if first is None:
        raise ValueError("the medium has no frame that can be decoded")
    rate, variable = (None, False) if still else _pace(sorted(times), base, constant_rate(stream))
    shape = first.format
    return Video(
        width=first.width,
        height=first.height,
        codec=context.codec.canonical_name,
        pixel_format=shape.name,
        frames=count,
        rate=rate,
        variable=variable,
        duration=_duration(rate, variable, count, times, base, last_length),
        sample_aspect=Fraction(stream.sample_aspect_ratio) if stream.sample_aspect_ratio else None,
        profile=stream.profile or None,
        bit_depth=max((component.bits for component in shape.components), default=0) or None,
        floating=shape.name.endswith(("f32le", "f32be", "f16le", "f16be")),
        alpha=any(component.is_alpha for component in shape.components) or shape.name == "pal8",
        field_order=_fields(context, first),
        rotation=round(-first.rotation) % 360,
        container_color=container_color,
        decoded_color=_color(first),
        **_hdr(first),
    )


def _fields(context: Any, frame: Any) -> Literal["progressive", "upper", "lower"] | None:
    found = _FIELD_ORDER.get(int(context.field_order or 0))
    return found or (None if frame.interlaced_frame else "progressive")


def _pace(times: list[int], base: Fraction, rate: Fraction) -> tuple[Fraction, bool]:
    """The exact frame rate, and whether it varies: it is constant if every frame begins within one tick of its due
    time."""
    if len(times) < 2:
        return rate, False

    def fits(candidate: Fraction) -> bool:
        step = 1 / (candidate * base)
        return all(abs(time - times[0] - index * step) <= 1 for index, time in enumerate(times))

    if fits(rate):
        return rate, False
    mean = (len(times) - 1) / ((times[-1] - times[0]) * base) if times[-1] > times[0] else rate
    return (mean, False) if fits(mean) and base.numerator * mean < base.denominator / 4 else (rate, True)


def _duration(
    rate: Fraction | None, variable: bool, count: int, times: list[int], base: Fraction, last: int
) -> Fraction | None:
    if rate is None:
        return None
    if variable and times:
        return (max(times) - min(times) + last) * base
    return count / rate


def _color(described: Any) -> Color:
    """The colour of a codec context or a frame. Both have these four fields, as FFmpeg's numbers, which are those of
    H.273."""
    ranges = {1: False, 2: True}
    return Color(
        int(described.color_primaries),
        int(described.color_trc),
        int(described.colorspace),
        ranges.get(int(described.color_range)),
    )


def _hdr(frame: Any) -> dict[str, Any]:
    """Mastering display and content light, from the first frame's side data."""
    found: dict[str, Any] = {}
    side = frame.side_data
    data = bytes(side[SideData.MASTERING_DISPLAY_METADATA]) if SideData.MASTERING_DISPLAY_METADATA in side else b""
    if len(data) >= _MASTERING.size:
        numbers = _MASTERING.unpack_from(data)
        values = [Fraction(n, d) if d else Fraction(0) for n, d in zip(numbers[0:20:2], numbers[1:20:2])]
        red, green, blue, white = ((values[i], values[i + 1]) if numbers[20] else None for i in range(0, 8, 2))
        low, high = (values[8], values[9]) if numbers[21] else (None, None)
        found["mastering"] = Mastering(red, green, blue, white, low, high)
    data = bytes(side[SideData.CONTENT_LIGHT_LEVEL]) if SideData.CONTENT_LIGHT_LEVEL in side else b""
    if len(data) >= _LIGHT.size:
        found["max_content_light"], found["max_average_light"] = _LIGHT.unpack_from(data)
    return found
