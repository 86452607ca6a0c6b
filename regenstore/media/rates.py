"""Exact frame rates, and sizes that encoders accept. Pure arithmetic, without I/O."""

from __future__ import annotations

from fractions import Fraction

NTSC = (24, 30, 48, 60, 120)
"""Rates with a variant slowed by 1000/1001: 23.976, 29.97, 47.952, 59.94, 119.88."""


def exact_rate(fps: float) -> Fraction:
    """The exact rate that a decimal number stands for: 23.976 is 24000/1001, 12.5 is 25/2."""
    if not 0 < fps <= 1000:
        raise ValueError(f"frame rate {fps} is not between 0 and 1000")
    for whole in NTSC:
        slow = Fraction(whole * 1000, 1001)
        if fps != whole and abs(float(slow) - fps) < 0.006:
            return slow
    return Fraction(str(fps)).limit_denominator(1001)


def even(size: float) -> int:
    """The nearest even size, at least 2: 4:2:0 has one chroma sample per 2 x 2 pixels."""
    return max(2, int(size / 2 + 0.5) * 2)
