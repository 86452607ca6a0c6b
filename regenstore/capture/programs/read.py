"""Which program wrote embedded metadata, and what it tells by them."""

from __future__ import annotations

from collections.abc import Sequence

from regenstore.capture.captured import Captured
from regenstore.capture.embedded import Embedded


def understand(pieces: Sequence[Embedded]) -> Captured | None:
    """Return what the most telling of the pieces tell; None if no program's metadata are among them. Bad content raises
    nothing."""
    return None
