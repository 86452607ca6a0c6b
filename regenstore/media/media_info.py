"""Technical metadata of a medium. :mod:`regenstore.media.probe` reads it from files.

Unknown values stay unknown: None, or code point 2 ("unspecified") for colours. Nothing is guessed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from fractions import Fraction
from functools import cache
from types import UnionType
from typing import Any, Literal, get_args, get_origin, get_type_hints

VERSION = 2
"""Increased whenever the probe's result for the same file changes."""
FACT = "probe"
"""The kind of fact under which probe results are kept."""
UNSPECIFIED = 2
"""The code point of ITU-T H.273 (CICP) for "unspecified"."""


@dataclass(frozen=True)
class Color:
    """Colour as code points of ITU-T H.273; ``full_range`` is None if the file does not state it."""

    primaries: int = UNSPECIFIED
    transfer: int = UNSPECIFIED
    matrix: int = UNSPECIFIED
    full_range: bool | None = None

    @property
    def stated(self) -> bool:
        """Whether the file states primaries, transfer or matrix."""
        return (self.primaries, self.transfer, self.matrix) != (UNSPECIFIED,) * 3

    def or_else(self, other: Color) -> Color:
        """This colour, with unstated values taken from ``other``."""
        return Color(
            self.primaries if self.primaries != UNSPECIFIED else other.primaries,
            self.transfer if self.transfer != UNSPECIFIED else other.transfer,
            self.matrix if self.matrix != UNSPECIFIED else other.matrix,
            self.full_range if self.full_range is not None else other.full_range,
        )


UNKNOWN_COLOR = Color()


@dataclass(frozen=True)
class Mastering:
    """Mastering display colour volume (SMPTE ST 2086): chromaticities as (x, y), luminances in cd/m²."""

    red: tuple[Fraction, Fraction] | None
    green: tuple[Fraction, Fraction] | None
    blue: tuple[Fraction, Fraction] | None
    white: tuple[Fraction, Fraction] | None
    min_luminance: Fraction | None
    max_luminance: Fraction | None


@dataclass(frozen=True)
class Timecode:
    """The timecode of the first frame as written in the file; ``drop`` means drop-frame."""

    text: str
    drop: bool


@dataclass(frozen=True)
class Video:
    """A video stream, or a still image (``rate`` None, one frame)."""

    width: int
    height: int
    codec: str
    pixel_format: str
    frames: int
    rate: Fraction | None = None
    """Exact frames per second; the average if variable, None for a still."""
    variable: bool = False
    """Whether frames have unequal durations."""
    duration: Fraction | None = None
    """In seconds. None for a still."""
    sample_aspect: Fraction | None = None
    profile: str | None = None
    bit_depth: int | None = None
    """Bits per component."""
    floating: bool = False
    """Whether samples are floating point."""
    alpha: bool = False
    field_order: Literal["progressive", "upper", "lower"] | None = None
    rotation: int = 0
    """Degrees clockwise by which players rotate the picture; ``width`` and ``height`` are before rotation."""
    container_color: Color = UNKNOWN_COLOR
    decoded_color: Color = UNKNOWN_COLOR
    mastering: Mastering | None = None
    max_content_light: int | None = None
    """MaxCLL and MaxFALL (CTA-861.3), in cd/m²."""
    max_average_light: int | None = None

    @property
    def color(self) -> Color:
        """The container's values, completed by the decoder's."""
        return self.container_color.or_else(self.decoded_color)

    @property
    def upright(self) -> tuple[int, int]:
        """Width and height as shown, rotation applied."""
        return (self.height, self.width) if self.rotation % 180 else (self.width, self.height)


@dataclass(frozen=True)
class AudioTrack:
    """One audio track; ``duration`` in seconds."""

    codec: str
    rate: int
    channels: int
    layout: str
    sample_format: str
    bits: int | None = None
    duration: Fraction | None = None


@dataclass(frozen=True)
class MediaInfo:
    """Technical metadata of one medium. ``container`` is the short name of its format."""

    kind: Literal["video", "image", "audio", "other"]
    container: str
    video: Video | None = None
    audio: tuple[AudioTrack, ...] = ()
    timecode: Timecode | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    """Other tags of the container, such as the reel name; keys in lower case."""

    @property
    def duration(self) -> Fraction | None:
        """Seconds: of the picture if it has a duration, else of the longest audio track."""
        if self.video is not None and self.video.duration is not None:
            return self.video.duration
        return max((track.duration for track in self.audio if track.duration is not None), default=None)

    def to_json(self) -> dict[str, Any]:
        """Convert to plain JSON values: fractions as ``"24000/1001"``, unknown values as null."""
        plain = _plain(self)
        assert isinstance(plain, dict)
        return plain

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> MediaInfo:
        """Inverse of :meth:`to_json`; raises ValueError for anything else."""
        try:
            found = _decoder(cls)(data)  # type: ignore[arg-type]  # classes can be hashed
            assert isinstance(found, cls)
            return found
        except (KeyError, TypeError, AttributeError, ZeroDivisionError) as error:
            raise ValueError(f"not media information ({error})") from None

    def to_bytes(self) -> bytes:
        return json.dumps(self.to_json(), sort_keys=True, separators=(",", ":")).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> MediaInfo:
        return cls.from_json(json.loads(data))


def _plain(value: object) -> object:
    if isinstance(value, Fraction):
        return f"{value.numerator}/{value.denominator}"
    if is_dataclass(value):
        return {part.name: _plain(getattr(value, part.name)) for part in fields(value)}
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    if isinstance(value, Mapping):
        return dict(value)
    return value


Decoder = Callable[[Any], Any]


@cache
def _decoder(hint: Any) -> Decoder:
    """A function that decodes JSON to a type. Cached: inspecting type hints takes far longer than decoding."""
    inner = next((part for part in get_args(hint) if part is not type(None)), None)
    if get_origin(hint) is UnionType or type(None) in get_args(hint):
        decode = _decoder(inner)
        return lambda data: None if data is None else decode(data)
    if get_origin(hint) is tuple:
        each = _decoder(inner)
        return lambda data: tuple(map(each, data))
    if hint is Fraction:
        return Fraction
    if is_dataclass(hint) and isinstance(hint, type):
        parts = {name: _decoder(part) for name, part in get_type_hints(hint).items()}
        return lambda data: hint(**{name: part(data[name]) for name, part in parts.items() if name in data})
    return lambda data: dict(data) if isinstance(data, dict) else data
