"""Media types by content and by file name. Standard library only, as the clean filter uses it."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

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
    ".heic": "image/heic",
    ".heif": "image/heif",
    ".hif": "image/heif",
    ".jxl": "image/jxl",
    ".jp2": "image/jp2",
    ".psd": "image/vnd.adobe.photoshop",
    ".hdr": "image/vnd.radiance",
    ".exr": "image/x-exr",
    ".dpx": "image/x-dpx",
    ".mp4": "video/mp4",
    ".m4v": "video/mp4",
    ".mov": "video/quicktime",
    ".mkv": "video/x-matroska",
    ".webm": "video/webm",
    ".avi": "video/x-msvideo",
    ".mxf": "application/mxf",
    ".ts": "video/mp2t",
    ".m2ts": "video/mp2t",
    ".mts": "video/mp2t",
    ".mpg": "video/mpeg",
    ".mpeg": "video/mpeg",
    ".ogv": "video/ogg",
    ".y4m": "video/x-yuv4mpeg",
    ".flv": "video/x-flv",
    ".wmv": "video/x-ms-wmv",
    ".wav": "audio/wav",
    ".flac": "audio/flac",
    ".mp3": "audio/mpeg",
    ".ogg": "audio/ogg",
    ".opus": "audio/ogg",
    ".oga": "audio/ogg",
    ".m4a": "audio/mp4",
    ".aac": "audio/aac",
    ".aif": "audio/aiff",
    ".aiff": "audio/aiff",
    ".caf": "audio/x-caf",
    ".glb": "model/gltf-binary",
    ".safetensors": "application/x-safetensors",
}
UNKNOWN = "application/octet-stream"
HEAD = 4096
"""Number of leading bytes that :func:`sniff` needs: the first pages of an Ogg file, or some transport packets."""


def by_name(path: str | bytes) -> str:
    """The media type for a file name, or ``application/octet-stream``."""
    suffix = os.path.splitext(os.fsdecode(path))[1].lower()
    return BY_SUFFIX.get(suffix, UNKNOWN)


def suffix_for(media_type: str) -> str:
    """The usual file extension of a media type, with its dot; empty if unknown."""
    return next((suffix for suffix, known in BY_SUFFIX.items() if known == media_type), "")


def sniff(head: bytes) -> str | None:
    """The media type by the first :data:`HEAD` bytes, or None. Signatures are from the formats' specifications; a
    container's brand or codec counts, never its name."""
    if head[:4] in (b"RIFF", b"RF64"):
        return {b"WAVE": "audio/wav", b"WEBP": "image/webp", b"AVI ": "video/x-msvideo"}.get(head[8:12])
    if head[:4] == b"FORM":
        return "audio/aiff" if head[8:12] in (b"AIFF", b"AIFC") else None
    if head[4:8] == b"ftyp":
        return _iso_base_media(head)
    if head.startswith(b"\x1aE\xdf\xa3"):
        return _ebml(head)
    if head.startswith(b"OggS"):
        return "video/ogg" if any(codec in head for codec in _OGG_VIDEO) else "audio/ogg"
    for magic, media_type in _MAGIC:
        if head.startswith(magic):
            return media_type
    return "video/mp2t" if _transport_stream(head) else None


def _iso_base_media(head: bytes) -> str:
    """By the major brand of the ``ftyp`` box (ISO/IEC 14496-12, 4.3). ``mif1`` and ``msf1`` are pictures whose codec
    only the compatible brands name."""
    major = head[8:12]
    if major not in _ISO_IMAGES:
        return _ISO_BRANDS.get(major, "video/mp4")
    length = min(int.from_bytes(head[:4], "big"), len(head))
    compatible = (_ISO_BRANDS.get(head[at : at + 4], "") for at in range(16, length, 4))
    return next((found for found in compatible if kind(found) == "image"), _ISO_IMAGES[major])


def _ebml(head: bytes) -> str:
    """By DocType, element 0x4282 of the EBML header (RFC 8794)."""
    at = head.find(b"\x42\x82") + 2
    doc_type = head[at + 1 : at + 1 + (head[at] & 0x7F)] if 2 <= at < len(head) else b""
    return "video/webm" if doc_type == b"webm" else "video/x-matroska"


def _transport_stream(head: bytes) -> bool:
    """Packets of 188 bytes that begin with 0x47 (ISO/IEC 13818-1), after four bytes of time each in M2TS."""
    return any(
        len(head) > first + 2 * step and all(head[first + n * step] == 0x47 for n in range(3))
        for first, step in ((0, 188), (4, 192))
    )


_ISO_BRANDS = {
    b"avif": "image/avif",
    b"avis": "image/avif",
    b"heic": "image/heic",
    b"heix": "image/heic",
    b"heim": "image/heic",
    b"heis": "image/heic",
    b"hevc": "image/heic-sequence",
    b"hevx": "image/heic-sequence",
    b"hevm": "image/heic-sequence",
    b"hevs": "image/heic-sequence",
    b"qt  ": "video/quicktime",
    b"M4A ": "audio/mp4",
    b"M4B ": "audio/mp4",
    b"M4P ": "audio/mp4",
    b"F4A ": "audio/mp4",
}
_ISO_IMAGES = {b"mif1": "image/heif", b"msf1": "image/heif-sequence"}
_OGG_VIDEO = (b"\x80theora", b"BBCD\x00", b"OVP80", b"\x01video")
_MAGIC = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"fLaC", "audio/flac"),
    (b"ID3", "audio/mpeg"),
    (b"\xff\xfb", "audio/mpeg"),
    (b"\xff\xfa", "audio/mpeg"),
    (b"\xff\xf3", "audio/mpeg"),
    (b"\xff\xf2", "audio/mpeg"),
    (b"\xff\xf1", "audio/aac"),
    (b"\xff\xf9", "audio/aac"),
    (b"caff", "audio/x-caf"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"II*\x00", "image/tiff"),
    (b"MM\x00*", "image/tiff"),
    (b"II+\x00", "image/tiff"),
    (b"MM\x00+", "image/tiff"),
    (b"\x76\x2f\x31\x01", "image/x-exr"),
    (b"SDPX", "image/x-dpx"),
    (b"XPDS", "image/x-dpx"),
    (b"8BPS", "image/vnd.adobe.photoshop"),
    (b"#?RADIANCE", "image/vnd.radiance"),
    (b"\xff\x0a", "image/jxl"),
    (b"\x00\x00\x00\x0cJXL \r\n\x87\n", "image/jxl"),
    (b"\x00\x00\x00\x0cjP  \r\n\x87\n", "image/jp2"),
    (b"\x06\x0e\x2b\x34\x02\x05\x01\x01\x0d\x01\x02\x01\x01\x02", "application/mxf"),
    (b"\x00\x00\x01\xba", "video/mpeg"),
    (b"\x00\x00\x01\xb3", "video/mpeg"),
    (b"YUV4MPEG2 ", "video/x-yuv4mpeg"),
    (b"FLV\x01", "video/x-flv"),
    (b"0&\xb2u\x8ef\xcf\x11\xa6\xd9\x00\xaa\x00b\xcel", "video/x-ms-wmv"),
    (b"glTF", "model/gltf-binary"),
    (b"BM", "image/bmp"),
)


def sniff_file(read: Callable[[int, int], bytes]) -> str | None:
    """The media type by the bytes of a file, or None. ``read`` returns bytes from a place on. Unlike
    :func:`sniff`, this looks into an MP4 whether it has only sound."""
    found = sniff(read(0, HEAD))
    if found == "video/mp4":
        from regenstore.media.iso_tracks import sound_only  # the filter seldom needs it

        return "audio/mp4" if sound_only(read) else found
    return found


def of_content(read: Callable[[int, int], bytes], path: str | bytes) -> str:
    """The media type of content at a path: by its bytes, else by its name.

    Bytes of no known format count as what their name says: so an export names a damaged picture among the media that it
    leaves out, whereas it passes over other files.
    """
    return sniff_file(read) or by_name(path)


def kind(media_type: str) -> str:
    """``image``, ``video``, ``audio``, or the first part of the type. MXF is video, although registered as
    ``application``."""
    return "video" if media_type == "application/mxf" else media_type.partition("/")[0]
