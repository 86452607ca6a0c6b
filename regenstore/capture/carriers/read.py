"""Reading of embedded metadata from a file of any format.

Nothing in a file is believed: broken, cut off and hostile ones give what can be read, in bounded time and memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import BinaryIO

from regenstore.capture.carriers.bounded_file import BoundedFile, LimitReached
from regenstore.capture.embedded import MAX_PIECES, Embedded

_BOXES = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"JXL ", b"jP  ")


def embedded(file: BinaryIO, strict: bool = False) -> list[Embedded]:
    """Return what is embedded in a seekable file, in the file's order; nothing for formats that are not known.

    Never raises for what the file holds; OSError of reading it passes. With ``strict``, for tests, unexpected
    exceptions pass. The file's position afterwards is anywhere.
    """
    found: list[Embedded] = []
    try:
        for piece in islice(_pieces(BoundedFile(file)), MAX_PIECES):
            found.append(piece)
    except LimitReached:
        pass
    except OSError:
        raise
    except Exception:  # a mistake of a reader must not keep a medium out of the repository
        if strict:
            raise
    return found


def _pieces(file: BoundedFile) -> Iterator[Embedded]:
    """By the format's first bytes; each format's reader is loaded when one comes."""
    head = file.look(0, 12)
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        from regenstore.capture.carriers import png

        return png.pieces(file)
    if head.startswith(b"\xff\xd8\xff"):
        from regenstore.capture.carriers import jpeg

        return jpeg.pieces(file)
    if head[:4] in (b"RIFF", b"RF64", b"FORM"):
        from regenstore.capture.carriers import riff

        return riff.pieces(file)
    if head[4:8] in _BOXES:
        from regenstore.capture.carriers import iso_media

        return iso_media.pieces(file)
    if head[:4] in (b"II*\0", b"MM\0*"):
        from regenstore.capture.carriers import exif

        return exif.pieces(file)
    if head.startswith(b"\x1aE\xdf\xa3"):
        from regenstore.capture.carriers import matroska

        return matroska.pieces(file)
    if head[:4] in (b"fLaC", b"OggS"):
        from regenstore.capture.carriers import vorbis

        return vorbis.ogg(file) if head.startswith(b"OggS") else vorbis.flac(file)
    if head.startswith(b"ID3"):
        from regenstore.capture.carriers import id3

        return id3.pieces(file)
    if head[:4] == b"GIF8":
        from regenstore.capture.carriers import gif

        return gif.pieces(file)
    if head[:4] == b"\x76\x2f\x31\x01":
        from regenstore.capture.carriers import exr

        return exr.pieces(file)
    if head[:4] == b"glTF" or head[5:9] == b"\0\0\0{":
        from regenstore.capture.carriers import json_header

        return json_header.gltf(file) if head[:1] == b"g" else json_header.safetensors(file)
    return iter(())
