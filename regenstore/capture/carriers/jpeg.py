"""JPEG: EXIF, XMP (extended XMP too), C2PA, IPTC and comments, which stand before the picture.

Structure: ITU-T T.81, annex B; XMP part 3 (Adobe), 1.1.3; JUMBF in APP11 by ISO/IEC 19566-5, annex D.
"""

from __future__ import annotations

from collections.abc import Iterator

from regenstore.capture.carriers import exif, iptc
from regenstore.capture.carriers.bounded_file import BoundedFile, unsigned
from regenstore.capture.carriers.text import decoded
from regenstore.capture.embedded import Embedded

_EXIF = b"Exif\0\0"
_XMP = b"http://ns.adobe.com/xap/1.0/\0"
_EXTENDED_XMP = b"http://ns.adobe.com/xmp/extension/\0"
_APP1, _APP11, _APP13, _COMMENT, _SCAN, _END = 0xE1, 0xEB, 0xED, 0xFE, 0xDA, 0xD9


def pieces(file: BoundedFile) -> Iterator[Embedded]:
    """What the segments before the first scan hold; what is spread over several segments comes last."""
    exif_data, extended = bytearray(), bytearray()
    boxes: dict[bytes, bytearray] = {}
    for marker, at, length in _segments(file):
        if marker not in (_APP1, _APP11, _APP13, _COMMENT) or (data := file.piece(at, length)) is None:
            continue
        if marker == _COMMENT:
            yield Embedded("jpeg", "comment", decoded(data.rstrip(b"\0")))
        elif marker == _APP1 and data.startswith(_EXIF):
            exif_data += data[len(_EXIF) :]
        elif marker == _APP1 and data.startswith(_XMP):
            yield Embedded("xmp", "packet", decoded(data[len(_XMP) :]))
        elif marker == _APP1 and data.startswith(_EXTENDED_XMP):
            extended += data[len(_EXTENDED_XMP) + 40 :]
        elif marker == _APP13 and data.startswith(iptc.PHOTOSHOP):
            yield from iptc.from_photoshop(data[len(iptc.PHOTOSHOP) :])
        elif marker == _APP11 and data.startswith(b"JP"):
            number, part = data[2:4], data[8:]
            # Every part repeats the header of the box that is divided.
            repeated = (16 if part[:4] == b"\0\0\0\1" else 8) if number in boxes else 0
            boxes.setdefault(number, bytearray()).extend(part[repeated:])
    if exif_data:
        yield from exif.pieces(file.of(bytes(exif_data)))
    if extended:
        yield Embedded("xmp", "packet", decoded(bytes(extended)))
    for box in boxes.values():
        if b"c2pa" in box[:64]:
            yield Embedded("c2pa", "manifest", bytes(box))


def _segments(file: BoundedFile) -> Iterator[tuple[int, int, int]]:
    """Marker, position and length of every segment before the first scan."""
    at = 2
    while (head := file.look(at, 4))[:1] == b"\xff" and len(head) == 4:
        marker, length = head[1], unsigned(head[2:])
        if marker == 0xFF:  # fill
            at += 1
        elif marker in (_SCAN, _END) or length < 2:
            return
        else:
            yield marker, at + 4, length - 2
            at += 2 + length
