"""Media types by content and by file name. Standard library only, as the clean filter uses it."""

from __future__ import annotations

import os

BY_SUFFIX = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".webp": "image/webp",
    ".gif": "image/gif",
    ".tif": "image/tiff",
    ".tiff": "image/tiff",
    ".bmp": "image/bmp",
    ".avif": "image/avif",
    ".exr": "image/x-exr",
    ".dpx": "image/x-dpx",
    ".mp4": "video/mp4",
    ".m4v": "video/mp4",
    ".mov": "video/quicktime",
    ".mkv": "video/x-matroska",
    ".webm": "video/webm",
    ".avi": "video/x-msvideo",
    ".wav": "audio/wav",
    ".flac": "audio/flac",
    ".mp3": "audio/mpeg",
    ".ogg": "audio/ogg",
    ".opus": "audio/ogg",
    ".m4a": "audio/mp4",
    ".glb": "model/gltf-binary",
    ".safetensors": "application/x-safetensors",
}
UNKNOWN = "application/octet-stream"
HEAD = 64
"""Number of leading bytes that :func:`sniff` needs."""


def by_name(path: str | bytes) -> str:
    """The media type for a file name, or ``application/octet-stream``."""
    suffix = os.path.splitext(os.fsdecode(path))[1].lower()
    return BY_SUFFIX.get(suffix, UNKNOWN)


def suffix_for(media_type: str) -> str:
    """The usual file extension of a media type, with its dot; empty if unknown."""
    return next((suffix for suffix, known in BY_SUFFIX.items() if known == media_type), "")


def sniff(head: bytes) -> str | None:
    """The media type by the first bytes, or None. Signatures are from the formats' specifications."""
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if head.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if head[:4] == b"RIFF":
        return {b"WAVE": "audio/wav", b"WEBP": "image/webp", b"AVI ": "video/x-msvideo"}.get(head[8:12])
    if head[:4] == b"RF64" and head[8:12] == b"WAVE":
        return "audio/wav"
    if head[4:8] == b"ftyp":
        brand = head[8:12]
        if brand in (b"avif", b"avis"):
            return "image/avif"
        if brand == b"qt  ":
            return "video/quicktime"
        return "audio/mp4" if brand in (b"M4A ", b"M4B ") else "video/mp4"
    if head.startswith(b"\x1aE\xdf\xa3"):
        return "video/webm" if b"webm" in head else "video/x-matroska"
    for magic, media_type in _MAGIC:
        if head.startswith(magic):
            return media_type
    return None


_MAGIC = (
    (b"fLaC", "audio/flac"),
    (b"OggS", "audio/ogg"),
    (b"ID3", "audio/mpeg"),
    (b"\xff\xfb", "audio/mpeg"),
    (b"\xff\xf3", "audio/mpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"II*\x00", "image/tiff"),
    (b"MM\x00*", "image/tiff"),
    (b"\x76\x2f\x31\x01", "image/x-exr"),
    (b"SDPX", "image/x-dpx"),
    (b"XPDS", "image/x-dpx"),
    (b"glTF", "model/gltf-binary"),
    (b"BM", "image/bmp"),
)


def of_content(head: bytes, path: str | bytes) -> str:
    """The media type of content at a path: by its bytes, else by its name."""
    return sniff(head) or by_name(path)


def kind(media_type: str) -> str:
    """``image``, ``video``, ``audio``, or the first part of the type."""
    return media_type.partition("/")[0]
