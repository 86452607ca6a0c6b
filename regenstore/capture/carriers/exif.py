"""EXIF, and TIFF files: the text that programs put into tags.

Structure: TIFF 6.0, section 2, and Exif 2.32 (CIPA DC-008), 4.6. ComfyUI writes ``prompt:{…}`` into Model,
``workflow:{…}`` into Make and further values into the tags below it; A1111, Fooocus and SwarmUI use UserComment.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal

from regenstore.capture.carriers.bounded_file import BoundedFile
from regenstore.capture.carriers.text import decoded, utf16
from regenstore.capture.embedded import Embedded

_ORDERS: dict[bytes, Literal["little", "big"]] = {b"II*\0": "little", b"MM\0*": "big"}
_BYTE, _ASCII, _UNDEFINED, _UTF8 = 1, 2, 7, 129
_MAX_TAGS = 1000
_EXIF_IFD = 0x8769
_USER_COMMENT, _MAKER_NOTE, _XMP, _C2PA = 0x9286, 0x927C, 0x02BC, 0xCD41
_NAMES = {
    0x010D: "DocumentName",
    0x010E: "ImageDescription",
    0x010F: "Make",
    0x0110: "Model",
    0x0131: "Software",
    0x0132: "DateTime",
    0x013B: "Artist",
    0x013C: "HostComputer",
    0x8298: "Copyright",
    0x9003: "DateTimeOriginal",
    0x9004: "DateTimeDigitized",
    _USER_COMMENT: "UserComment",
    _MAKER_NOTE: "MakerNote",
}
_UTF16 = {
    0x9C9B: "XPTitle",
    0x9C9C: "XPComment",
    0x9C9D: "XPAuthor",
    0x9C9E: "XPKeywords",
    0x9C9F: "XPSubject",
}
_KEYED = re.compile(r"([A-Za-z_][\w.-]*):\s*(?=[{\[])")
_SOME_CAPITALISE = {"Prompt": "prompt", "Workflow": "workflow"}
_PLAIN = re.compile(rb"[\t\n\r -~]{16,}\0*")


def pieces(file: BoundedFile, start: int = 0) -> Iterator[Embedded]:
    """The tags of the first image, and of its Exif part, of a TIFF structure that begins at a position."""
    if file.look(start, 6) == b"Exif\0\0":
        start += 6
    head = file.look(start, 8)
    order = _ORDERS.get(head[:4])
    if order is None:
        return
    directories = [int.from_bytes(head[4:8], order)]
    for directory in directories:  # grows by the Exif part, once
        count = int.from_bytes(file.look(start + directory, 2), order)
        for number in range(min(count, _MAX_TAGS)):
            entry = file.look(start + directory + 2 + 12 * number, 12)
            if len(entry) < 12:
                break
            tag, form = int.from_bytes(entry[:2], order), int.from_bytes(entry[2:4], order)
            length, value = int.from_bytes(entry[4:8], order), int.from_bytes(entry[8:], order)
            if tag == _EXIF_IFD and len(directories) == 1:
                directories.append(value)
            elif _is_wanted(tag, form):
                data = entry[8 : 8 + length] if length <= 4 else file.piece(start + value, length)
                if data:
                    yield _piece(tag, data, order)


def _is_wanted(tag: int, form: int) -> bool:
    if form in (_ASCII, _UTF8):
        return True
    return form in (_BYTE, _UNDEFINED) and (tag in _NAMES or tag in _UTF16 or tag in (_XMP, _C2PA))


def _piece(tag: int, data: bytes, order: str) -> Embedded:
    if tag == _XMP:
        return Embedded("xmp", "packet", decoded(data.rstrip(b"\0")))
    if tag == _C2PA:
        return Embedded("c2pa", "manifest", data)
    if tag == _MAKER_NOTE:
        return Embedded("exif", "MakerNote", data)
    if tag in _UTF16:
        return Embedded("exif", _UTF16[tag], utf16(data, "little"))
    if tag == _USER_COMMENT:
        return Embedded("exif", "UserComment", _user_comment(data, order))
    text = decoded(data.rstrip(b"\0"))
    if keyed := _KEYED.match(text):
        return Embedded("exif", _SOME_CAPITALISE.get(keyed[1], keyed[1]), text[keyed.end() :])
    return Embedded("exif", _NAMES.get(tag, f"0x{tag:04X}"), text)


def _user_comment(data: bytes, order: str) -> str:
    """Its first eight bytes name the encoding; some programs leave them out, or write another one than they say."""
    charset, text = data[:8], data[8:]
    if charset == b"UNICODE\0":
        return decoded(text.rstrip(b"\0")) if _PLAIN.fullmatch(text) else utf16(text, order)
    if charset == b"JIS\0\0\0\0\0":
        try:
            return text.rstrip(b"\0").decode("iso2022_jp")
        except UnicodeDecodeError:
            return decoded(text.rstrip(b"\0"))
    if charset in (b"ASCII\0\0\0", bytes(8)):
        return decoded(text.rstrip(b"\0"))
    return decoded(data.rstrip(b"\0"))
