"""How sizes, times and counts are written for people, everywhere."""

from __future__ import annotations

_UNITS = ("B", "kB", "MB", "GB", "TB")


def size_text(size: float) -> str:
    """Format a number of bytes for display, in powers of 1000, which is how options such as --free read them too."""
    at = 0
    while at < len(_UNITS) - 1 and float(_digits(size)) >= 1000:
        size, at = size / 1000, at + 1
    return f"{size:.0f} B" if at == 0 else f"{_digits(size)} {_UNITS[at]}"


def _digits(number: float) -> str:
    return f"{number:.1f}" if number < 99.95 else f"{number:.0f}"


def time_text(seconds: float) -> str:
    """Format a duration for display: two or three digits, whatever its length."""
    if 0 < seconds < 0.001:
        return "under 1 ms"
    if seconds < 9.95:
        return f"{seconds:.2g} s"
    if seconds < 599.5:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7170 else f"{seconds / 3600:.1f} h"


def age_text(seconds: float) -> str:
    """Format a limit of age for display, in the largest unit that it fills."""
    for unit, length in (("day", 86400.0), ("hour", 3600.0), ("minute", 60.0)):
        if seconds >= length:
            return f"{seconds / length:g} {unit}" + ("" if seconds == length else "s")
    return f"{seconds:g} s"


def counted(number: int, one: str, many: str = "") -> str:
    """A number with its noun: ``1 content``, ``2,000 contents``."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def about(seconds: float | None) -> str:
    """Format an estimate for display."""
    return "unknown time" if seconds is None else f"about {time_text(seconds)}"
