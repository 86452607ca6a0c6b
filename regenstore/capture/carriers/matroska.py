"""Matroska and WebM: tags, wherever they stand, and the title.

Structure: RFC 8794 (EBML), RFC 9559 (Matroska), 5.1.8 (tags). FFmpeg turns the names into capitals.
"""

from __future__ import annotations

from collections.abc import Iterator

from regenstore.capture.carriers.bounded_file import BoundedFile, unsigned
from regenstore.capture.carriers.text import common_case, decoded
from regenstore.capture.embedded import Embedded

_SEGMENT, _CLUSTER, _TAGS = 0x18538067, 0x1F43B675, 0x1254C367
_SEEK_HEAD, _SEEK, _SEEK_ID, _SEEK_POSITION = 0x114D9B74, 0x4DBB, 0x53AB, 0x53AC
_INFO, _TITLE = 0x1549A966, 0x7BA9
_TAG, _SIMPLE_TAG, _TAG_NAME, _TAG_STRING = 0x7373, 0x67C8, 0x45A3, 0x4487
_MAX_DEPTH = 8
_MAX_NUMBER = 8


def pieces(file: BoundedFile) -> Iterator[Embedded]:
    """What the tags of a file hold. Clusters are passed over: at once if the file's index tells of tags behind them,
    else one by one."""
    at, start = 0, 0
    announced: list[int] = []
    while found := _element(file, at):
        kind, inside, end = found
        if kind == _SEGMENT:
            at = start = inside
            continue
        if kind == _SEEK_HEAD and end is not None:
            announced += [start + position for position in _announced(file, inside, end)]
        elif kind == _INFO and end is not None:
            for inner, value in _values(file, inside, end):
                if inner == _TITLE:
                    yield Embedded("matroska", "title", decoded(value.rstrip(b"\0")))
        elif kind == _TAGS and end is not None:
            yield from _simple_tags(file, inside, end)
        elif kind == _CLUSTER:
            ahead = [place for place in announced if place > at]
            announced = []
            if ahead and (there := _element(file, min(ahead))) and there[0] == _TAGS:
                at = min(ahead)
                continue
        at = inside if end is None else end  # of unknown length: its elements follow as if they were beside it


def _element(file: BoundedFile, at: int) -> tuple[int, int, int | None] | None:
    """Id, start of the content and its end of the element at a position; the end is None if it is not known."""
    head = file.look(at, 12)
    id_length = 9 - head[0].bit_length() if head else 9
    if id_length > 4 or len(head) <= id_length:
        return None
    length = 9 - head[id_length].bit_length()
    inside = id_length + length
    if length > 8 or len(head) < inside:
        return None
    most = (1 << 7 * length) - 1
    size = unsigned(head[id_length:inside]) & most
    return unsigned(head[:id_length]), at + inside, None if size == most else at + inside + size


def _elements(file: BoundedFile, at: int, end: int) -> Iterator[tuple[int, int, int]]:
    while at < end and (found := _element(file, at)) and found[2] is not None and found[2] <= end:
        yield found[0], found[1], found[2]
        at = found[2]


def _values(file: BoundedFile, at: int, end: int) -> Iterator[tuple[int, bytes]]:
    for kind, start, stop in _elements(file, at, end):
        if kind in (_TITLE, _SEEK_ID, _SEEK_POSITION, _TAG_NAME, _TAG_STRING):
            value = file.piece(start, stop - start)
            if value is not None:
                yield kind, value


def _announced(file: BoundedFile, at: int, end: int) -> Iterator[int]:
    """Where an index says that there are tags, from the segment's start."""
    for kind, start, stop in _elements(file, at, end):
        if kind == _SEEK:
            entry = {inner: unsigned(value[:_MAX_NUMBER]) for inner, value in _values(file, start, stop)}
            if entry.get(_SEEK_ID) == _TAGS:
                yield entry.get(_SEEK_POSITION, 0)


def _simple_tags(file: BoundedFile, at: int, end: int, depth: int = 0) -> Iterator[Embedded]:
    for kind, start, stop in _elements(file, at, end):
        if kind in (_TAG, _SIMPLE_TAG) and depth < _MAX_DEPTH:
            if kind == _SIMPLE_TAG:
                values = dict(_values(file, start, stop))
                if _TAG_NAME in values and _TAG_STRING in values:
                    name, text = (decoded(values[each].rstrip(b"\0")) for each in (_TAG_NAME, _TAG_STRING))
                    yield Embedded("matroska", common_case(name), text)
            yield from _simple_tags(file, start, stop, depth + 1)
