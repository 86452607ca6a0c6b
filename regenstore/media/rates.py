"""Exact frame rates and timecode arithmetic, without I/O."""

from __future__ import annotations

import re
from fractions import Fraction

NTSC = (24, 30, 48, 60, 120)
"""Rates with a variant slowed by 1000/1001: 23.976, 29.97, 47.952, 59.94, 119.88."""

_TIMECODE = re.compile(r"(\d{1,2}):(\d{1,2}):(\d{1,2})[:;](\d{1,3})")


def exact_rate(fps: float) -> Fraction:
    """The exact rate that a decimal number stands for: 23.976 is 24000/1001, 12.5 is 25/2."""
    if not 0 < fps <= 1000:
        raise ValueError(f"frame rate {fps} is not between 0 and 1000")
    for whole in NTSC:
        slow = Fraction(whole * 1000, 1001)
        if fps != whole and abs(float(slow) - fps) < 0.006:
            return slow
    return Fraction(str(fps)).limit_denominator(1001)


def parse_timecode(text: str, rate: Fraction) -> int:
    """Convert ``HH:MM:SS:FF`` to a frame number, counting at the rounded rate (non-drop-frame)."""
    match = _TIMECODE.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"timecode {text!r} is not of the form HH:MM:SS:FF")
    hours, minutes, seconds, frames = (int(part) for part in match.groups())
    base = timecode_base(rate)
    if hours > 23 or minutes > 59 or seconds > 59 or frames >= base:
        raise ValueError(f"timecode {text!r}: hours go up to 23, minutes and seconds to 59, frames to {base - 1}")
    return ((hours * 60 + minutes) * 60 + seconds) * base + frames


def format_timecode(frame: int, rate: Fraction) -> str:
    """Format a frame number as ``HH:MM:SS:FF``; wraps around after 24 hours."""
    base = timecode_base(rate)
    frame %= 24 * 3600 * base
    seconds, frames = divmod(frame, base)
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}:{frames:02d}"


def timecode_base(rate: Fraction) -> int:
    """Frames per timecode second: 24 for 23.976."""
    return max(1, int(rate + Fraction(1, 2)))


def even(size: float) -> int:
    """The nearest even size, at least 2: 4:2:0 has one chroma sample per 2 x 2 pixels."""
    return max(2, int(size / 2 + 0.5) * 2)
