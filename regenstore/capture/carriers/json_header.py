"""JSON with embedded texts as members: the beginning of glTF binary and of safetensors, and ComfyUI's box in AVIF.

Structure: glTF 2.0, section 4 (``asset.extras``); the safetensors format (``__metadata__``).
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from regenstore.capture.bounded_json import parse
from regenstore.capture.carriers.bounded_file import BoundedFile, unsigned_le
from regenstore.capture.embedded import Embedded
from regenstore.objects.bounded import Unparsable


def gltf(file: BoundedFile) -> Iterator[Embedded]:
    """The extras of a model's ``asset``."""
    if file.look(16, 4) == b"JSON":
        yield from entries("gltf", file.piece(20, unsigned_le(file.look(12, 4))), "asset", "extras")


def safetensors(file: BoundedFile) -> Iterator[Embedded]:
    """The metadata of a file of tensors."""
    yield from entries("safetensors", file.piece(8, unsigned_le(file.look(0, 8))), "__metadata__")


def entries(carrier: str, data: bytes | None, *path: str) -> Iterator[Embedded]:
    """The members of the object at a path of keys: texts as they are, other values as JSON."""
    try:
        found = parse((data or b"").decode())
    except (Unparsable, UnicodeDecodeError):
        return
    for key in path:
        found = found.get(key) if isinstance(found, dict) else None
    for name, value in found.items() if isinstance(found, dict) else ():
        yield Embedded(carrier, name, value if isinstance(value, str) else json.dumps(value))
