"""Per-frame measurements of a video: a table of columns, with its bytes.

One row per decoded frame, in the order of display. A value that is not known (no face was looked for, or
found) is NaN; a column that was not measured at all is absent.
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
    """``columns``: name -> one float per frame, all of the same length ``count``. Never mutate them."""

    count: int
    columns: Mapping[str, array[float]]

    def __post_init__(self) -> None:
        wrong = [name for name, values in self.columns.items() if len(values) != self.count or values.typecode != "d"]
        if wrong:
            raise ValueError(f"columns of another length than {self.count}, or not of doubles: {', '.join(wrong)}")

    def summary(self, column: str) -> tuple[float, float, float] | None:
        """Minimum, mean and maximum of the known values of a column; None where none is known."""
        known = [value for value in self.columns.get(column, ()) if value == value]
        return (min(known), sum(known) / len(known), max(known)) if known else None

    def to_bytes(self) -> bytes:
        """The table as bytes, the same for the same table on every machine: little-endian doubles."""
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
            raise ValueError(f"no table of frames ({error})") from None
        if at != len(data):
            raise ValueError("no table of frames (bytes are left over)")
        return cls(count, columns)
