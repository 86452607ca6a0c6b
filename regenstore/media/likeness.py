"""The result of comparing two media. :mod:`regenstore.media.comparison`, which is slow to import, produces it.

The tiers, best first: ``bytes`` (equal); ``content`` (every decoded pixel or sample is equal, metadata aside);
``equivalent`` (a metric reaches its threshold); ``different``.
"""

from __future__ import annotations

from dataclasses import dataclass

BYTES, CONTENT, EQUIVALENT, DIFFERENT = "bytes", "content", "equivalent", "different"


@dataclass(frozen=True)
class Likeness:
    """The tier of a comparison and, where a metric decided, its name, score and threshold."""

    tier: str
    metric: str = ""
    score: float | None = None
    threshold: float | None = None
    difference: str = ""
    """A description of the difference, for people."""
