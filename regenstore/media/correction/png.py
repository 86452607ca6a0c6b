"""PNG differences: in the pixel values, in the chunks around them, and in how the stream was encoded.

A PNG is split into its other chunks (kept byte for byte), the filter of each row, the values, and a deflate stream. The
take's stream is recorded in one of two ways: by the encoder choices that differ from the base's (works for any encoder
and needs no library to rebuild); or, where these are too many because another encoder wrote the base, by the settings
with which this machine's zlib produces the same stream.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from regenstore.media.correction import choices, deflate
from regenstore.media.correction.packing import (
    Bytes,
    as_array,
    joined,
    packed,
    sparse,
    split,
    unpacked,
    with_sparse,
)

MAGIC = b"\x89PNG\r\n\x1a\n"
LARGEST = 64 << 20
"""Largest amount of pixel values, in bytes."""
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_MODES = {(0, 8): "L", (2, 8): "RGB", (3, 8): "P", (4, 8): "LA", (6, 8): "RGBA"}
_PREFIX = 1 << 18


@dataclass(frozen=True)
class Png:
    """A parsed PNG. ``frame`` is everything but the stream: the bytes before it, the sizes of its chunks, and the
    bytes after it."""

    frame: tuple[bytes, bytes, bytes]
    stream: bytes
    filtered: bytes

    @cached_property
    def header(self) -> tuple[int, int, int, int, int]:
        """Width, height, bit depth, colour type, interlacing."""
        return _header(self.frame[0])

    @cached_property
    def stride(self) -> int:
        width, _, bits, colours, _ = self.header
        return (width * bits * _CHANNELS[colours] + 7) // 8

    @cached_property
    def step(self) -> int:
        """Bytes from a value to the one on its left."""
        return max(1, self.header[2] * _CHANNELS[self.header[3]] // 8)

    @cached_property
    def rows(self) -> tuple[Bytes, Bytes] | None:
        """The filter of each row and the unfiltered values; None if Pillow does not decode them to this layout."""
        width, height, bits, colours, interlaced = self.header
        mode = _MODES.get((colours, bits))
        if mode is None or interlaced or len(self.filtered) != height * (self.stride + 1):
            return None
        try:
            plain = _assembled((self.frame[0], b"", b"\0\0\0\0IEND\xaeB`\x82"), self.stream)
            with Image.open(io.BytesIO(plain), formats=("PNG",)) as picture:
                if picture.mode != mode or picture.size != (width, height):
                    return None
                values = as_array(picture.tobytes()).reshape(height, self.stride)
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError, Warning):
            return None
        filters = as_array(self.filtered).reshape(height, -1)[:, 0].copy()
        if int(filters.max()) > 4 or _filtered(filters, values, self.step) != self.filtered:
            return None
        return filters, values


def _header(before: bytes) -> tuple[int, int, int, int, int]:
    if before[12:16] != b"IHDR" or len(before) < 33:
        raise ValueError("it does not begin with a header")
    width, height, bits, colours, _, _, interlaced = struct.unpack_from(">IIBBBBB", before, 16)
    if colours not in _CHANNELS or bits not in (1, 2, 4, 8, 16) or not 0 < width < 1 << 24 or not 0 < height < 1 << 24:
        raise ValueError("its header is damaged")
    return width, height, bits, colours, interlaced


def _chunks(data: bytes) -> Iterator[tuple[int, bytes, int]]:
    at = len(MAGIC)
    while at + 12 <= len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        if at + 12 + size > len(data):
            raise ValueError("a chunk reaches past the end of the file")
        yield at, data[at + 4 : at + 8], size
        if data[at + 4 : at + 8] == b"IEND":
            return
        at += 12 + size


def _sizes(sizes: list[int]) -> bytes:
    """Chunk sizes without the last. They are nearly always equal, which zstd compresses to almost nothing."""
    return struct.pack(f"<{len(sizes) - 1}I", *sizes[:-1])


def _assembled(frame: tuple[bytes, bytes, bytes], stream: bytes) -> bytes:
    """Join a frame and a stream to a file."""
    before, sizes, behind = frame
    parts, at = [before], 0
    listed = struct.unpack(f"<{len(sizes) // 4}I", sizes)
    for size in (*listed, max(0, len(stream) - sum(listed))):
        data = stream[at : at + size]
        at += size
        named = b"IDAT" + data
        parts += [len(data).to_bytes(4, "big"), named, zlib.crc32(named).to_bytes(4, "big")]
    return b"".join([*parts, behind])


def taken_apart(data: bytes) -> Png:
    """Parse a PNG so that it can be rebuilt exactly. Raises ValueError for other files and for unusual PNGs."""
    if not data.startswith(MAGIC):
        raise ValueError("it is not a PNG")
    found = [(at, size) for at, name, size in _chunks(data) if name == b"IDAT"]
    if not found:
        raise ValueError("it has no image data")
    first, end = found[0][0], found[-1][0] + 12 + found[-1][1]
    stream = b"".join(data[at + 8 : at + 8 + size] for at, size in found)
    frame = (data[:first], _sizes([size for _, size in found]), data[end:])
    if _assembled(frame, stream) != data:
        raise ValueError("its chunks are laid out in an unsupported way")
    _header(frame[0])
    return Png(frame, stream, _inflated(stream))


def _inflated(stream: bytes) -> bytes:
    reader = zlib.decompressobj()
    try:
        data = reader.decompress(stream, LARGEST + 1)
    except zlib.error as error:
        raise ValueError(f"its stream is damaged ({error})") from None
    if len(data) > LARGEST or not reader.eof or reader.unused_data:
        raise ValueError("its stream is too long, or ends too early")
    return data


# ------------------------------------------------------------------------------------------- filters


def _filtered(filters: Bytes, values: Bytes, step: int) -> bytes:
    """Apply each row's filter (PNG specification, section 9)."""
    height, stride = values.shape
    out = np.empty((height, stride + 1), np.uint8)
    out[:, 0] = filters
    for kind in range(5):
        for rows in _parts(np.nonzero(filters == kind)[0], stride):
            now = values[rows]
            above = np.where(rows[:, None] > 0, values[rows - 1], 0).astype(np.int16)
            left, corner = np.zeros_like(above), np.zeros_like(above)
            left[:, step:], corner[:, step:] = now[:, :-step], above[:, :-step]
            out[rows, 1:] = now - _guess(kind, left, above, corner).astype(np.uint8)
    return out.tobytes()


def _parts(rows: NDArray[np.int64], stride: int) -> Iterator[NDArray[np.int64]]:
    many = max(1, (4 << 20) // stride)
    for at in range(0, rows.size, many):
        yield rows[at : at + many]


def _guess(
    kind: int, left: NDArray[np.int16], above: NDArray[np.int16], corner: NDArray[np.int16]
) -> NDArray[np.int16]:
    if kind < 3:
        return (np.zeros_like(left), left, above)[kind]
    if kind == 3:
        return (left + above) >> 1
    far = left + above - corner
    a, b, c = abs(far - left), abs(far - above), abs(far - corner)
    return np.where((a <= b) & (a <= c), left, np.where(b <= c, above, corner))


# ------------------------------------------------------------------------------------------- differences


def _content(base: Png, take: Png, limit: int) -> bytes | None:
    """The difference of the decompressed streams: in values and filters if both have them, else in raw bytes."""
    if len(base.filtered) != len(take.filtered):
        return None
    ours, theirs = base.rows, take.rows
    if ours is None or theirs is None or ours[1].shape != theirs[1].shape or base.step != take.step:
        plain = sparse(as_array(base.filtered), as_array(take.filtered), limit)
        return None if plain is None else b"\0" + joined([plain])
    values = sparse(ours[1].ravel(), theirs[1].ravel(), limit)
    filters = sparse(ours[0], theirs[0], max(limit, 64))
    return None if values is None or filters is None else b"\1" + joined([values, filters])


def _with_content(base: Png, data: bytes) -> bytes:
    if data[:1] == b"\0":
        return with_sparse(as_array(base.filtered), split(data[1:], 1)[0]).tobytes()
    if base.rows is None:
        raise ValueError("the base lacks the pixel values that the difference refers to")
    filters, values = base.rows
    changed, chosen = split(data[1:], 2)
    return _filtered(
        with_sparse(filters, chosen), with_sparse(values.ravel(), changed).reshape(values.shape), base.step
    )


def _frame(base: Png, take: Png) -> bytes:
    return joined([packed(other, own) for own, other in zip(base.frame, take.frame)])


def _with_frame(base: Png, data: bytes, limit: int) -> tuple[bytes, bytes, bytes]:
    before, sizes, behind = (unpacked(part, limit, own) for own, part in zip(base.frame, split(data, 3)))
    return before, sizes, behind


def by_choices(base: Png, take: Png, limit: int, deadline: float) -> bytes | None:
    """The difference by the encoder's choices, or None if it is too large. Raises ValueError for streams that cannot
    be rebuilt exactly."""
    content = _content(base, take, limit)
    if content is None:
        return None
    ours = deflate.taken_apart([base.stream[2:-4]], [len(base.filtered)], deadline)
    theirs = deflate.checked([take.stream[2:-4]], [len(take.filtered)], as_array(take.filtered), deadline)
    return joined([_frame(base, take), content, take.stream[:2], choices.difference(ours, theirs)])


def with_choices(base: Png, data: bytes, limit: int, deadline: float) -> bytes:
    """Apply a difference of :func:`by_choices`; ``limit`` is the size of the take."""
    frame, content, head, chosen = split(data, 4)
    filtered = _with_content(base, content)
    ours = deflate.taken_apart([base.stream[2:-4]], [len(base.filtered)], deadline)
    theirs = choices.with_difference(ours, chosen, len(filtered))
    (raw,) = deflate.put_together(theirs, as_array(filtered))
    return _assembled(_with_frame(base, frame, limit), head + raw + zlib.adler32(filtered).to_bytes(4, "big"))


def by_settings(base: Png, take: Png, limit: int) -> bytes | None:
    """The difference by zlib's settings; None if it is too large, or if no settings reproduce the stream."""
    content = _content(base, take, limit)
    settings = None if content is None else _settings(take)
    return None if content is None or settings is None else joined([_frame(base, take), content, settings])


def with_settings(base: Png, data: bytes, limit: int) -> bytes:
    """Apply a difference of :func:`by_settings`; ``limit`` is the size of the take."""
    frame, content, settings = split(data, 3)
    if len(settings) != 4:
        raise ValueError("the settings are damaged")
    stream = _deflated(_with_content(base, content), settings)
    return _assembled(_with_frame(base, frame, limit), stream)


def _deflated(data: bytes, settings: bytes) -> bytes:
    encoder = zlib.compressobj(settings[0], zlib.DEFLATED, settings[1], settings[2], settings[3])
    return encoder.compress(data) + encoder.flush()


def _settings(take: Png) -> bytes | None:
    """The zlib level, window, memory and strategy that reproduce the stream; each is first tried on its beginning."""
    window = 8 + (take.stream[0] >> 4)
    if not 9 <= window <= 15:
        return None
    start = take.filtered[:_PREFIX]
    for level in (6, 4, 9, 1, 3, 5, 2, 7, 8, 0):
        for memory in (9, 8):
            for strategy in (zlib.Z_FILTERED, zlib.Z_DEFAULT_STRATEGY, zlib.Z_HUFFMAN_ONLY, zlib.Z_RLE, zlib.Z_FIXED):
                encoder = zlib.compressobj(level, zlib.DEFLATED, window, memory, strategy)
                head = encoder.compress(start)
                if take.stream.startswith(head):
                    settings = bytes([level, window, memory, strategy])
                    if _deflated(take.filtered, settings) == take.stream:
                        return settings
    return None
