"""Technical metadata and measurements of media, cached per content: looked up, else computed and kept."""

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

FRAMES, FACES, ALL_FACES = "frames", "faces", "all_faces"
"""Kinds of facts: per-frame measurements, and face detections in some frames, or in every frame."""
_VERSION_OF = {FRAMES: 1, FACES: 2, ALL_FACES: 1}
_MEASURED = {"video": (FRAMES, FACES), "image": (FACES,)}
NO_FACES = "no face detection; to add it: pip install 'regenstore[faces]'"

Told = Callable[[float], None]
"""Progress callback: the fraction done, 0 to 1."""
Measure = Callable[[str, str, Told], FrameMetrics]


def _frames(path: str, media_type: str, told: Told) -> FrameMetrics:
    from regenstore.media import frame_metrics  # slow to import, and not needed for cached results

    return frame_metrics.measure(path, media_type, told)


def _faces(path: str, media_type: str, told: Told) -> FrameMetrics:
    from regenstore.media import faces

    return faces.measure(path, media_type, told)


def _all_faces(path: str, media_type: str, told: Told) -> FrameMetrics:
    from regenstore.media import faces

    return faces.measure(path, media_type, told, every=1)


def measures() -> dict[str, Measure]:
    """The measurements available here; faces need the extra ``faces``."""
    from regenstore.media import faces

    return {FRAMES: _frames, **({FACES: _faces, ALL_FACES: _all_faces} if faces.installed() else {})}


class Measurements:
    """Probe results and measurements of media, each computed once per content. ``measures``: how to compute missing
    measurements; without it only cached ones are returned. ``all_faces``: look for faces in every frame of a video;
    without it, such detections are returned where they are kept."""

    def __init__(
        self, facts: ContentFacts, measures: Mapping[str, Measure] | None = None, *, all_faces: bool = False
    ) -> None:
        self.facts = facts
        self._measures = {} if measures is None else measures
        self._all_faces = all_faces

    def info(self, medium: Located) -> MediaInfo:
        """The technical metadata of a medium. Raises InvalidInput (``bad-export``) if it cannot be read."""
        kept = self.facts.get(medium.digest, FACT, VERSION)
        if kept is not None:
            try:
                return MediaInfo.from_bytes(kept)
            except ValueError:
                pass  # for example of an unreleased version: probe again
        from regenstore.media.probe import probe  # slow to import, and not needed for cached results

        try:
            found = probe(medium.file, medium.media_type)
        except ValueError as error:
            raise InvalidInput("bad-export", f"{medium.path}: {error}") from None
        self.facts.put(medium.digest, FACT, VERSION, found.to_bytes())
        return found

    def stamp(self, medium: Located, measuring: bool) -> tuple[object, ...] | None:
        """A value that changes whenever :meth:`info` or :meth:`metrics` may return something else. None if
        ``metrics`` with ``told`` (``measuring``) would measure."""
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
        """The per-frame measurements of a video, or of a picture: cached, else (with ``told``) computed; None if
        there are none. Raises InvalidInput (``bad-export``)."""
        tables = [self._table(medium, each, told) for each in self._measured(medium)]
        known = [table for table in tables if table is not None]
        if not known:
            return None
        # For a damaged video one decoder may yield more frames than another; only frames that all have are returned.
        count = min(table.count for table in known)
        columns = {name: values[:count] for table in known for name, values in table.columns.items()}
        return FrameMetrics(count, columns)

    def _measured(self, medium: Located) -> tuple[str, ...]:
        """The kinds of measurement that a medium can have: an MP4 without pictures is sound, whatever its type says."""
        declared = kind(medium.media_type)
        found = _MEASURED.get(self.info(medium).kind if declared == "video" else declared, ())
        if (
            declared == "video"
            and found
            and (self._all_faces or self.facts.get(medium.digest, ALL_FACES, _VERSION_OF[ALL_FACES]))
        ):
            return (FRAMES, ALL_FACES)
        return found

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
        """JPEG crops of faces detected in a medium; ``faces`` is as :func:`regenstore.media.faces.crops` takes it."""
        from regenstore.media.faces import crops

        try:
            return crops(medium.file, medium.media_type, faces)
        except ValueError as error:
            raise InvalidInput("bad-export", f"{medium.path}: {error}") from None
