"""Whether an MP4 has only sound, by the handlers of its tracks (ISO/IEC 14496-12, 8.2 to 8.4). Standard library only,
as the clean filter uses it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

Read = Callable[[int, int], bytes]
"""Returns the bytes of a file from a place on; fewer at its end."""
_MOST_BOXES = 2000
_PICTURES = {b"vide", b"pict", b"auxv"}


def sound_only(read: Read) -> bool:
    """Whether there are tracks of sound and none of pictures. False if that is not certain: the movie box is missing,
    damaged, or has more tracks than anyone needs."""
    boxes = _Boxes(read)
    try:
        found = set(boxes.handlers())
    except ValueError:
        return False
    return b"soun" in found and not found & _PICTURES


class _Boxes:
    def __init__(self, read: Read) -> None:
        self._read = read
        self._left = _MOST_BOXES

    def handlers(self) -> Iterator[bytes]:
        for movie in self._inside((0, 1 << 62), b"moov"):
            for track in self._inside(movie, b"trak"):
                for media in self._inside(track, b"mdia"):
                    for start, end in self._inside(media, b"hdlr"):
                        if end - start >= 12:
                            yield self._read(start + 8, 4)

    def _inside(self, within: tuple[int, int], wanted: bytes) -> Iterator[tuple[int, int]]:
        """Yield where the contents of boxes of a name begin and end. Raises ValueError."""
        at, end = within
        while at + 8 <= end and len(head := self._read(at, 16)) >= 8:
            self._left -= 1
            length, start = int.from_bytes(head[:4], "big"), at + 8
            if length == 1:
                length, start = int.from_bytes(head[8:16], "big"), at + 16
            if length == 0:
                length = end - at  # up to the end
            if not self._left or at + length < start or at + length > end:
                raise ValueError("damaged, or too many boxes")
            if head[4:8] == wanted:
                yield start, at + length
            at += length
