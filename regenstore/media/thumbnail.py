"""Thumbnails of media."""

from __future__ import annotations

import io

from PIL import Image

from regenstore.media.decode import frames, to_rgb
from regenstore.media.stills import Pixels, read_still
from regenstore.media.types import kind

WIDTH = 192


def thumbnail(path: str, media_type: str, width: int = WIDTH) -> bytes | None:
    """A JPEG of a picture or of a video's first frame; None for audio and for files that cannot be read."""
    try:
        pixels = _first(path, media_type)
    except ValueError:
        return None
    if pixels is None:
        return None
    shown = Image.fromarray(pixels).convert("RGB")
    shown.thumbnail((width, width * 4))
    out = io.BytesIO()
    shown.save(out, "JPEG", quality=80)
    return out.getvalue()


def _first(path: str, media_type: str) -> Pixels | None:
    if kind(media_type) == "image":
        return read_still(path)
    if kind(media_type) == "video":
        for _, frame in frames(path):
            return to_rgb(frame)
    return None
