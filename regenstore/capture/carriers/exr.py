"""OpenEXR: the text attributes of its header, where compositing programs and savers of ComfyUI put theirs.

Structure: OpenEXR file layout (Academy Software Foundation), "Header".
"""

from __future__ import annotations

from collections.abc import Iterator

from regenstore.capture.carriers.bounded_file import BoundedFile, unsigned_le
from regenstore.capture.carriers.text import decoded, until_nul
from regenstore.capture.embedded import Embedded

_LONGEST_NAME = 255


def pieces(file: BoundedFile) -> Iterator[Embedded]:
    """The text attributes of the first part."""
    at = 8
    while len(head := file.look(at, 2 * (_LONGEST_NAME + 1))) > 1 and head[0]:
        name, rest = until_nul(head)
        kind, _ = until_nul(rest)
        at += len(name) + len(kind) + 6
        length = unsigned_le(file.look(at - 4, 4))
        if kind == b"string" and (data := file.piece(at, length)) is not None:
            yield Embedded("exr", decoded(name), decoded(data))
        at += length
