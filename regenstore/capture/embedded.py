"""Embedded metadata as values, and the limits within which it is read."""

from __future__ import annotations

from typing import NamedTuple

MAX_PIECE = 16 << 20
"""A longer piece of text or data is passed over, compressed or not: a ComfyUI graph of 1,000 nodes takes 1 to 2 MiB."""
MAX_TOTAL = 64 << 20
"""Bytes of text and data read from one medium."""
MAX_PIECES = 4096
"""Chunks, boxes, tags or blocks looked at in one medium."""


class Embedded(NamedTuple):
    """One piece of metadata of a medium."""

    carrier: str
    """Where it was: ``png``, ``exif``, ``xmp``, ``c2pa``, ``iptc``, ``jpeg`` (a comment), ``mp4``, ``matroska``,
    ``vorbis``, ``id3``, ``riff``, ``gif``, ``exr``, ``gltf``, ``safetensors``, or ``alpha`` (the lowest bits of
    pixels)."""
    name: str
    """The key that the program used (``prompt``, ``parameters``), or the name of the EXIF tag (``UserComment``);
    ``packet`` for XMP, ``manifest`` for C2PA, ``comment`` for a format's own comments, ``stealth`` for ``alpha``."""
    value: str | bytes
    """Decoded text; bytes for what is not text (C2PA, MakerNote)."""
