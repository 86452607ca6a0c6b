"""GIF: comments, and XMP.

Structure: GIF89a (CompuServe), 15 to 26; XMP part 3 (Adobe), 1.1.2. Comments stand before the pictures: after so many
blocks of pixels none is looked for.
"""

from __future__ import annotations

from collections.abc import Iterator

from regenstore.capture.carriers.bounded_file import BoundedFile
from regenstore.capture.carriers.text import decoded
from regenstore.capture.embedded import MAX_PIECES, Embedded

_EXTENSION, _PICTURE, _COMMENT, _APPLICATION = 0x21, 0x2C, 0xFE, 0xFF
_XMP = b"\x0bXMP DataXMP"
_AFTER_XMP = b"\x01\xff\xfe\xfd"
"""How the 258 bytes begin that lead a reader that takes the packet for blocks to its end."""


def pieces(file: BoundedFile) -> Iterator[Embedded]:
    """The comments and XMP among the first blocks of a GIF."""
    left = MAX_PIECES
    at = 13 + _colours(file.look(10, 1))
    while left > 0 and len(head := file.look(at, 14)) >= 2:
        is_comment = head[0] == _EXTENSION and head[1] == _COMMENT
        is_xmp = head[0] == _EXTENSION and head[1] == _APPLICATION and head[2:] == _XMP
        if head[0] == _PICTURE:
            at += 11 + _colours(head[9:10])
        elif head[0] == _EXTENSION:
            at += 14 if is_xmp else 2
        else:
            return
        start, parts = at, []
        while left > 0 and (length := file.look(at, 1)[:1]) > b"\0":
            if is_comment:
                parts.append(file.look(at + 1, length[0]))
            at, left = at + 1 + length[0], left - 1
        if is_comment:
            file.spend(at - start)
            yield Embedded("gif", "comment", decoded(b"".join(parts)))
        elif is_xmp and (data := file.piece(start, at - start)) is not None:
            yield Embedded("xmp", "packet", decoded(data.partition(_AFTER_XMP)[0]))
        at += 1


def _colours(flags: bytes) -> int:
    """The length of the table of colours that a byte of flags announces."""
    return 3 << (flags[0] & 7) + 1 if flags and flags[0] & 0x80 else 0
