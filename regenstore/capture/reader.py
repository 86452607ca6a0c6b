"""From a medium to what its embedded metadata tell of how it was made."""

from __future__ import annotations

from collections.abc import Sequence
from typing import BinaryIO, NamedTuple

from regenstore.capture.captured import Captured
from regenstore.capture.carriers.read import embedded
from regenstore.capture.embedded import Embedded


class Reading(NamedTuple):
    """What is embedded in a medium, and what was understood of it."""

    pieces: Sequence[Embedded]
    captured: Captured | None


def read(file: BinaryIO) -> Reading:
    """Read a seekable file, within the limits of :mod:`regenstore.capture.embedded`. Bad content raises nothing;
    OSError passes."""
    pieces = embedded(file)
    if not pieces:
        return Reading(pieces, None)
    from regenstore.capture.programs.read import understand  # most media embed nothing

    return Reading(pieces, understand(pieces))
