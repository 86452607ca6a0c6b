"""Model files for tests."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from pathlib import Path


def safetensors(
    path: Path,
    tensors: Mapping[str, tuple[int, ...]],
    metadata: Mapping[str, str] | None = None,
    weights: bytes = b"weights",
) -> Path:
    """Write a file with a valid header; all tensors lie at the beginning of the same weights."""
    table: dict[str, object] = {} if metadata is None else {"__metadata__": dict(metadata)}
    table |= {
        name: {"dtype": "F16", "shape": list(shape), "data_offsets": [0, len(weights)]}
        for name, shape in tensors.items()
    }
    header = json.dumps(table).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(struct.pack("<Q", len(header)) + header + weights)
    return path


def gguf(path: Path, *pairs: tuple[str, object]) -> Path:
    """Write the header of a GGUF file, version 3, with texts, integers and arrays of texts."""

    def text(value: str) -> bytes:
        return struct.pack("<Q", len(value.encode())) + value.encode()

    data = b"GGUF" + struct.pack("<IQQ", 3, 0, len(pairs))
    for key, value in pairs:
        data += text(key)
        if isinstance(value, str):
            data += struct.pack("<I", 8) + text(value)
        elif isinstance(value, int):
            data += struct.pack("<II", 4, value)
        else:
            assert isinstance(value, list)
            data += struct.pack("<IIQ", 9, 8, len(value)) + b"".join(map(text, value))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path
