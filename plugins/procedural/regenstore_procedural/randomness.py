"""Random streams and exact elementary functions: the same numbers on every machine.

Streams are seeded by a BLAKE3 hash of their names and depend on no process state. Functions that numpy computes with
processor-dependent code (sine, powers) are read from tables. Those were computed once with the C library and rounded to
single precision, where its last-bit differences vanish.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from blake3 import blake3
from numpy.typing import NDArray

Floats = NDArray[np.float32]

_TURN = 4096
_SINE = np.array([math.sin(2 * math.pi * i / _TURN) for i in range(_TURN + 1)], np.float32)


def stream(*names: object) -> np.random.Generator:
    """A random generator seeded by names, which are text or integers of any size."""
    text = "\x1f".join(str(name) for name in names)
    key = int.from_bytes(blake3(text.encode("utf-8", "surrogatepass")).digest()[:16], "little")
    return np.random.Generator(np.random.Philox(key=key))


def hashed(*names: object) -> float:
    """A number in [0, 1) derived from names."""
    text = "\x1f".join(str(name) for name in names)
    return int.from_bytes(blake3(text.encode("utf-8", "surrogatepass")).digest()[:6], "little") / 2**48


def sine(turns: Any) -> Floats:
    """sin(2 pi turns), from a table with linear interpolation."""
    place = np.asarray(turns, np.float64)
    place = (place - np.floor(place)) * _TURN
    index = place.astype(np.int32)
    part = (place - index).astype(np.float32)
    low = _SINE.take(index)
    return low + (_SINE.take(index + 1, mode="clip") - low) * part


def smooth(low: float, high: float, value: Any) -> Floats:
    """A smooth step: 0 below ``low``, 1 above ``high``."""
    t = np.clip((value - np.float32(low)) * np.float32(1.0 / (high - low)), 0, 1)
    step: Floats = t * t * (np.float32(3) - np.float32(2) * t)
    return step
