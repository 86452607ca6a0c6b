"""IPTC-IIM, the metadata of JPEG and TIFF before XMP.

Structure: IPTC IIM 4.2, chapters 3 and 6; the resources around it by Adobe's Photoshop file format.
"""

from __future__ import annotations

from collections.abc import Iterator

from regenstore.capture.carriers.bounded_file import unsigned
from regenstore.capture.carriers.text import decoded
from regenstore.capture.embedded import MAX_PIECES, Embedded

PHOTOSHOP = b"Photoshop 3.0\0"
_IIM = 0x0404
_NAMES = {
    5: "ObjectName",
    25: "Keywords",
    40: "SpecialInstructions",
    65: "OriginatingProgram",
    70: "ProgramVersion",
    80: "By-line",
    105: "Headline",
    110: "Credit",
    115: "Source",
    120: "Caption",
}


def from_photoshop(data: bytes) -> Iterator[Embedded]:
    """The fields within the image resources of Photoshop."""
    at = 0
    for _ in range(MAX_PIECES):
        if data[at : at + 4] != b"8BIM":
            return
        name_length = unsigned(data[at + 6 : at + 7])
        start = at + 6 + (name_length + 2) // 2 * 2 + 4
        length = unsigned(data[start - 4 : start])
        if unsigned(data[at + 4 : at + 6]) == _IIM:
            yield from pieces(data[start : start + length])
        at = start + length + length % 2


def pieces(data: bytes) -> Iterator[Embedded]:
    """The fields of the application record that say what a picture is and who made it."""
    at = 0
    for _ in range(MAX_PIECES):
        if data[at : at + 1] != b"\x1c":
            return
        record, number, length = data[at + 1 : at + 2], unsigned(data[at + 2 : at + 3]), unsigned(data[at + 3 : at + 5])
        value = data[at + 5 : at + 5 + length]
        if length >= 0x8000 or len(value) < length:
            return
        if record == b"\2" and number in _NAMES:
            yield Embedded("iptc", _NAMES[number], decoded(value))
        at += 5 + length
