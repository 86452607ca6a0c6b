"""What was found out about media, kept per content: looked up, else found out and kept."""

from __future__ import annotations

from collections.abc import Callable

from regenstore.errors import InvalidInput
from regenstore.export.media_set import Medium
from regenstore.media.frame_table import FrameMetrics
from regenstore.media.media_info import FACT, VERSION, MediaInfo
from regenstore.media.types import kind
from regenstore.objects.facts import Facts

FRAMES = "frames"
"""Kind of fact: the per-frame measurements."""

Told = Callable[[float], None]
"""Told how much of the work is done, 0 to 1."""


class Known:
    """Probe and measurements of media, each done once per content. ``measure`` and its ``version``: how frames
    are measured; without it only what is kept already is known."""

    def __init__(
        self,
        facts: Facts,
        measure: Callable[[str, str, Told], FrameMetrics] | None = None,
        version: int = 1,
    ) -> None:
        self._facts = facts
        self._measure = measure
        self._version = version

    def info(self, medium: Medium) -> MediaInfo:
        """What the medium technically is. Raises InvalidInput (``bad-export``) for one that cannot be read."""
        kept = self._facts.get(medium.digest, FACT, VERSION)
        if kept is not None:
            try:
                return MediaInfo.from_bytes(kept)
            except ValueError:
                pass  # of a version that was never released, say: it is found out again
        from regenstore.media.probe import probe  # slow to import, and not needed for what is kept

        try:
            found = probe(medium.file, medium.media_type)
        except ValueError as error:
            raise InvalidInput("bad-export", f"{medium.path}: {error}") from None
        self._facts.put(medium.digest, FACT, VERSION, found.to_bytes())
        return found

    def metrics(self, medium: Medium, told: Told | None = None) -> FrameMetrics | None:
        """The per-frame measurements of a video: kept ones, else (with ``told``) measured now; None for what has
        no frames, and for what was not measured yet. Raises InvalidInput (``bad-export``)."""
        if kind(medium.media_type) != "video":
            return None
        kept = self._facts.get(medium.digest, FRAMES, self._version)
        if kept is not None:
            try:
                return FrameMetrics.from_bytes(kept)
            except ValueError:
                pass
        if told is None or self._measure is None:
            return None
        try:
            found = self._measure(medium.file, medium.media_type, told)
        except ValueError as error:
            raise InvalidInput("bad-export", f"{medium.path}: {error}") from None
        self._facts.put(medium.digest, FRAMES, self._version, found.to_bytes())
        return found
