"""Make and apply differences between two files of one medium. The method is found by trying.

Guarantees: a difference that :func:`make` returns has been applied and reproduced the take; applying one needs no more
memory than a few times the sizes involved; damaged data gives a ValueError or wrong bytes, which the caller rejects by
their digest.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from regenstore.media.correction import jpeg, png, settings, streams
from regenstore.media.correction.packing import as_array, packed, sparse, unpacked, with_sparse

LARGEST = 256 << 20
"""Largest medium, in bytes; larger ones get no correction."""
PATIENCE = 120.0
"""Approximate time limit for making one, in seconds."""
_ENOUGH = 4  # a difference this many times smaller than the limit ends the search
_BITS_LARGEST = 32 << 20
_NO_END = float("inf")


@dataclass(frozen=True)
class Difference:
    """The step from a base to a take. ``needs`` names the encoder it depends on, if any."""

    method: str
    needs: str
    data: bytes


def make(base: bytes, take: bytes, limit: int, patience: float = PATIENCE) -> Difference | None:
    """A verified difference smaller than ``limit`` bytes that turns ``base`` into ``take``, or None.

    Methods that need nothing but this program come first; one that needs the same version of an encoder is used only if
    no other is small enough.
    """
    if max(len(base), len(take)) > LARGEST:
        return None
    deadline = time.monotonic() + patience
    for group in (_INDEPENDENT, _BY_ENCODER):
        found: list[Difference] = []
        for method in group:
            if time.monotonic() > deadline:
                break
            found += _tried(method, base, take, limit, deadline)
            if found and min(len(one.data) for one in found) * _ENOUGH < limit:
                break
        if found:
            return min(found, key=lambda one: len(one.data))
    return None


def _tried(method: str, base: bytes, take: bytes, limit: int, deadline: float) -> Iterator[Difference]:
    way = METHODS[method]
    try:
        data = way.make(base, take, limit, deadline)
        if data is None or len(data) >= limit:
            return
        found = Difference(method, way.needs(), data)
        if apply(found, base, len(take)) == take:
            yield found
    except ValueError:
        return  # this method does not fit these files


def apply(difference: Difference, base: bytes, size: int) -> bytes:
    """Apply a difference to ``base``; the result should have ``size`` bytes.

    The caller must compare its digest: damage is not always noticed here. Raises ValueError for a difference that
    cannot be applied.
    """
    way = METHODS.get(difference.method)
    if way is None:
        raise ValueError(f"the correction method '{difference.method}' is unknown here")
    if way.needs() != difference.needs:
        raise ValueError(f"it needs {difference.needs}, but this machine has {way.needs() or 'no encoder for it'}")
    if max(len(base), size) > LARGEST:
        raise ValueError("the medium is too large")
    try:
        return way.apply(base, difference.data, size)
    except ValueError:
        raise
    except Exception as error:  # damaged data can raise nearly anything; none of it is used then
        raise ValueError(f"it is damaged ({type(error).__name__})") from error


def usable(method: str, needs: str) -> bool:
    """Whether such a difference can be applied here: its method is known and its encoder has the same version."""
    return method in METHODS and METHODS[method].needs() == needs


@dataclass(frozen=True)
class _Way:
    make: Callable[[bytes, bytes, int, float], bytes | None]
    apply: Callable[[bytes, bytes, int], bytes]
    needs: Callable[[], str] = lambda: ""


def _bytes(base: bytes, take: bytes, limit: int, deadline: float) -> bytes | None:
    return sparse(as_array(base), as_array(take), limit) if len(base) == len(take) else None


def _bits(base: bytes, take: bytes, limit: int, deadline: float) -> bytes | None:
    return packed(take, jpeg.shifted(base)) if len(base) <= _BITS_LARGEST else None


METHODS = {
    "bytes": _Way(_bytes, lambda base, data, size: with_sparse(as_array(base), data).tobytes()),
    "png": _Way(
        lambda base, take, limit, until: png.by_choices(png.taken_apart(base), png.taken_apart(take), limit, until),
        lambda base, data, size: png.with_choices(png.taken_apart(base), data, size, _NO_END),
    ),
    "jpeg": _Way(lambda base, take, limit, until: jpeg.difference(base, take), jpeg.with_difference),
    "streams": _Way(
        lambda base, take, limit, until: streams.by_choices(
            streams.taken_apart(base, until), streams.taken_apart(take, until), limit, until
        ),
        lambda base, data, size: streams.with_choices(streams.taken_apart(base, _NO_END), data, size, _NO_END),
    ),
    "patch": _Way(
        lambda base, take, limit, until: packed(take, base), lambda base, data, size: unpacked(data, size, base)
    ),
    "bits": _Way(_bits, lambda base, data, size: unpacked(data, size, jpeg.shifted(base))),
    "png-zlib": _Way(
        lambda base, take, limit, until: png.by_settings(png.taken_apart(base), png.taken_apart(take), limit),
        lambda base, data, size: png.with_settings(png.taken_apart(base), data, size),
        settings.zlib_here,
    ),
    "webp": _Way(settings.webp_difference, settings.webp_with, settings.webp_here),
    "flac": _Way(settings.flac_difference, settings.flac_with, settings.flac_here),
}
_INDEPENDENT = ("bytes", "png", "jpeg", "streams", "patch", "bits")
_BY_ENCODER = ("png-zlib", "webp", "flac")
