"""Per-frame measurements of a video as a table of columns, with a binary form.

One row per decoded frame, in display order. Unknown values (no face was looked for, or none found) are NaN; a column
that was not measured is absent.
"""

from __future__ import annotations

import json
import struct
from array import array
from collections.abc import Mapping
from dataclasses import dataclass

_LENGTH = struct.Struct("<I")


@dataclass(frozen=True)
class FrameMetrics:
    """A table. ``columns``: name -> one float per frame, each of length ``count``. Never mutate them."""

    count: int
    columns: Mapping[str, array[float]]

    def __post_init__(self) -> None:
        wrong = [name for name, values in self.columns.items() if len(values) != self.count or values.typecode != "d"]
        if wrong:
            raise ValueError(f"columns must hold {self.count} doubles each; these do not: {', '.join(wrong)}")

    def summary(self, column: str) -> tuple[float, float, float] | None:
        """Minimum, mean and maximum of a column's known values; None if it has none."""
        known = [value for value in self.columns.get(column, ()) if value == value]
        return (min(known), sum(known) / len(known), max(known)) if known else None

    def to_bytes(self) -> bytes:
        """Serialise the table; equal tables give equal bytes on every machine (little-endian doubles)."""
        head = json.dumps({"count": self.count, "columns": list(self.columns)}, ensure_ascii=True).encode()
        values = (struct.pack(f"<{self.count}d", *column) for column in self.columns.values())
        return b"".join((_LENGTH.pack(len(head)), head, *values))

    @classmethod
    def from_bytes(cls, data: bytes) -> FrameMetrics:
        """Inverse of :meth:`to_bytes`; raises ValueError for anything else."""
        try:
            (length,) = _LENGTH.unpack_from(data)
            head = json.loads(data[_LENGTH.size : _LENGTH.size + length])
            count, names = int(head["count"]), list(head["columns"])
            at, columns = _LENGTH.size + length, {}
            for name in names:
                columns[str(name)] = array("d", struct.unpack_from(f"<{count}d", data, at))
                at += 8 * count
        except (struct.error, KeyError, TypeError, ValueError, MemoryError) as error:
            raise ValueError(f"not a frame table ({error})") from None
        if at != len(data):
            raise ValueError("not a frame table (trailing bytes)")
        return cls(count, columns)
