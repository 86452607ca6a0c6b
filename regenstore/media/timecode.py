"""Frames, times and timecode of video, exact at every rate. Pure arithmetic on fractions.

Frame numbers are authoritative; seconds are ``frame / rate``. Timecode counts frames at the rounded rate, so
01:00:00:00 at 24000/1001 is frame 86400, which is 3603.6 s. Drop-frame timecode (SMPTE ST 12-1) skips the first two
numbers (four at 59.94) of every minute that is not a multiple of ten, to stay close to the clock; it exists only for
30000/1001 and 60000/1001. All timecode arithmetic is here: for burn-ins, for timecode in files, and for sidecars.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

DROPPING = {Fraction(30000, 1001): 2, Fraction(60000, 1001): 4}
"""Rates with drop-frame timecode, and how many numbers each such minute skips."""
_TIMECODE = re.compile(r"(\d{1,2})[:;.](\d{1,2})[:;.](\d{1,2})([:;.,])(\d{1,3})")


def decimal_rate(rate: Fraction, places: int = 6) -> str:
    """The rate in decimals, rounded half up: ``23.976024``."""
    scaled = int(rate * 10**places + Fraction(1, 2))
    return f"{scaled // 10**places}.{scaled % 10**places:0{places}d}" if places else str(scaled)


def rational_seconds(frames: int, rate: Fraction) -> str:
    """Format a duration in frames as rational seconds, in unreduced whole frame durations: ``96096/24000s``; whole
    seconds as ``5s``."""
    numerator, denominator = frames * rate.denominator, rate.numerator
    return f"{numerator // denominator}s" if numerator % denominator == 0 else f"{numerator}/{denominator}s"


def timecode_base(rate: Fraction) -> int:
    """Frames per timecode second: 24 for 23.976."""
    return max(1, int(rate + Fraction(1, 2)))


def is_drop(text: str) -> bool:
    """Whether a timecode is written as drop-frame."""
    return ";" in text or "," in text


def to_timecode(frame: int, rate: Fraction, *, drop: bool = False, digits: int | None = None) -> str:
    """Format a frame number as ``HH:MM:SS:FF``, or ``HH:MM:SS;FF`` with drop-frame; wraps around after 24 hours.
    ``digits``: least number of digits for the frames; None: as many as the largest number at this rate has.

    Raises ValueError for drop-frame at a rate that does not support it.
    """
    base = timecode_base(rate)
    if drop:
        left_out = _left_out(rate)
        ten_minutes = 600 * base - 9 * left_out
        minute = 60 * base - left_out
        frame %= 144 * ten_minutes
        tens, rest = divmod(frame, ten_minutes)
        # The first minute of ten is complete; each later one starts with a gap.
        gaps = 9 * tens + ((rest - 60 * base) // minute + 1 if rest >= 60 * base else 0)
        frame += left_out * gaps
    frame %= 24 * 3600 * base
    whole, frames = divmod(frame, base)
    width = max(2, len(str(base - 1))) if digits is None else digits
    mark = ";" if drop else ":"
    return f"{whole // 3600:02d}:{whole // 60 % 60:02d}:{whole % 60:02d}{mark}{frames:0{width}d}"


def from_timecode(text: str, rate: Fraction, *, drop: bool | None = None) -> int:
    """The frame number of a timecode. ``drop`` None: by the mark before the frames (``;`` or ``,`` means drop-frame).

    Raises ValueError for an invalid timecode at this rate: wrong form, too large a frame number, or a number that
    drop-frame skips.
    """
    match = _TIMECODE.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"timecode {text!r} is not of the form HH:MM:SS:FF")
    hours, minutes, secs, frames = (int(match[part]) for part in (1, 2, 3, 5))
    base = timecode_base(rate)
    if hours > 23 or minutes > 59 or secs > 59 or frames >= base:
        raise ValueError(f"timecode {text!r}: hours go up to 23, minutes and seconds to 59, frames to {base - 1}")
    number = ((hours * 60 + minutes) * 60 + secs) * base + frames
    if not (match[4] in ";," if drop is None else drop):
        return number
    left_out = _left_out(rate)
    if minutes % 10 and secs == 0 and frames < left_out:
        raise ValueError(f"timecode {text!r} does not exist: drop-frame skips this number")
    total = hours * 60 + minutes
    return number - left_out * (total - total // 10)


def _left_out(rate: Fraction) -> int:
    found = DROPPING.get(rate)
    if found is None:
        raise ValueError(f"drop-frame timecode exists only at 29.97 and 59.94, not at {decimal_rate(rate, 3)}")
    return found


@dataclass(frozen=True)
class Timebase:
    """The frames of a clip: rate, count, and the number of the first frame in timecode."""

    rate: Fraction
    frames: int
    start: int = 0
    """Number of the first frame, counting from 00:00:00:00."""
    drop: bool = False

    @classmethod
    def of(cls, rate: Fraction, frames: int, timecode: str | None = None, *, drop: bool | None = None) -> Timebase:
        """Create with the start from a file's timecode, else 0. Raises ValueError for an impossible timecode."""
        if timecode is None:
            return cls(rate, frames)
        drop = is_drop(timecode) if drop is None else drop
        return cls(rate, frames, from_timecode(timecode, rate, drop=drop), drop)

    @property
    def start_timecode(self) -> str:
        return to_timecode(self.start, self.rate, drop=self.drop)

    @property
    def end_timecode(self) -> str:
        """The timecode of the frame after the last one (exclusive)."""
        return to_timecode(self.start + self.frames, self.rate, drop=self.drop)

    @property
    def duration(self) -> Fraction:
        """In seconds."""
        return self.frames / self.rate
