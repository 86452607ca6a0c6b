"""How alike two media are; :mod:`regenstore.media.comparison`, which is slow to import, finds out.

The tiers, best first: ``bytes`` equal; ``content`` equal (every decoded pixel or sample, metadata left
out); ``equivalent`` (the metric reaches its threshold); ``different``.
"""

from __future__ import annotations

from dataclasses import dataclass

BYTES, CONTENT, EQUIVALENT, DIFFERENT = "bytes", "content", "equivalent", "different"


@dataclass(frozen=True)
class Likeness:
    """A comparison: the tier, and where a metric decided, its name, score and threshold."""

    tier: str
    metric: str = ""
    score: float | None = None
    threshold: float | None = None
    difference: str = ""
    """In words: how they differ."""
