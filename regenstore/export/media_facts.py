"""What was found out about media, kept per content: looked up, else found out and kept."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from regenstore.errors import InvalidInput
from regenstore.export.media_set import Located
from regenstore.media.frame_table import FrameMetrics
from regenstore.media.media_info import FACT, VERSION, MediaInfo
from regenstore.media.types import kind
from regenstore.objects.fact_cache import ContentFacts

FRAMES, FACES = "frames", "faces"
"""Kinds of fact: per-frame measurements, and what a detector of faces found."""
_VERSION_OF = {FRAMES: 1, FACES: 2}
_MEASURED = {"video": (FRAMES, FACES), "image": (FACES,)}
NO_FACES = "faces are not looked for: pip install 'regenstore[faces]'"

Told = Callable[[float], None]
"""Told how much of the work is done, 0 to 1."""
Measure = Callable[[str, str, Told], FrameMetrics]


def _frames(path: str, media_type: str, told: Told) -> FrameMetrics:
    from regenstore.media import frame_metrics  # slow to import, and not needed for what is kept

    return frame_metrics.measure(path, media_type, told)


def _faces(path: str, media_type: str, told: Told) -> FrameMetrics:
    from regenstore.media import faces

    return faces.measure(path, media_type, told)


def measures() -> dict[str, Measure]:
    """What can be measured here: faces with the extra ``faces`` only."""
    from regenstore.media import faces

    return {FRAMES: _frames, **({FACES: _faces} if faces.installed() else {})}


class Measurements:
    """Probe and measurements of media, each done once per content. ``measures``: how what was not measured yet is;
    without it only what is kept already is known."""

    def __init__(self, facts: ContentFacts, measures: Mapping[str, Measure] | None = None) -> None:
        self.facts = facts
        self._measures = {} if measures is None else measures

    def info(self, medium: Located) -> MediaInfo:
        """What the medium technically is. Raises InvalidInput (``bad-export``) for one that cannot be read."""
        kept = self.facts.get(medium.digest, FACT, VERSION)
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
        self.facts.put(medium.digest, FACT, VERSION, found.to_bytes())
        return found

    def stamp(self, medium: Located, measuring: bool) -> tuple[object, ...] | None:
        """Changes whenever :meth:`info` or :meth:`metrics` may say something else; None where ``metrics`` with
        ``told`` (``measuring``) would measure."""
        kept: list[object] = [VERSION]
        for what in self._measured(medium):
            try:
                found = os.stat(self.facts.path(medium.digest, what, _VERSION_OF[what]))
                kept += [what, _VERSION_OF[what], found.st_size, found.st_mtime_ns]
            except OSError:
                if measuring and what in self._measures:
                    return None
        return tuple(kept)

    def metrics(self, medium: Located, told: Told | None = None) -> FrameMetrics | None:
        """What is measured of each frame of a video, or of a picture: kept, else (with ``told``) measured now; None
        for what has none. Raises InvalidInput (``bad-export``)."""
        tables = [self._table(medium, each, told) for each in self._measured(medium)]
        known = [table for table in tables if table is not None]
        if not known:
            return None
        # Of a damaged video one decoder may give more frames than another: what all have is told.
        count = min(table.count for table in known)
        columns = {name: values[:count] for table in known for name, values in table.columns.items()}
        return FrameMetrics(count, columns)

    def _measured(self, medium: Located) -> tuple[str, ...]:
        """The kinds of measurement that a medium can have: an MP4 without pictures is sound, whatever its type says."""
        declared = kind(medium.media_type)
        return _MEASURED.get(self.info(medium).kind if declared == "video" else declared, ())

    def _table(self, medium: Located, what: str, told: Told | None) -> FrameMetrics | None:
        kept = self.facts.get(medium.digest, what, _VERSION_OF[what])
        if kept is not None:
            try:
                return FrameMetrics.from_bytes(kept)
            except ValueError:
                pass
        measure = self._measures.get(what)
        if told is None or measure is None:
            return None
        try:
            found = measure(medium.file, medium.media_type, told)
        except ValueError as error:
            raise InvalidInput("bad-export", f"{medium.path}: {error}") from None
        self.facts.put(medium.digest, what, _VERSION_OF[what], found.to_bytes())
        return found

    def faces_of(self, medium: Located, faces: Sequence[Mapping[str, Any]]) -> list[bytes]:
        """JPEGs of faces that were found in a medium, as :func:`regenstore.media.faces.crops` takes them."""
        from regenstore.media.faces import crops

        try:
            return crops(medium.file, medium.media_type, faces)
        except ValueError as error:
            raise InvalidInput("bad-export", f"{medium.path}: {error}") from None
