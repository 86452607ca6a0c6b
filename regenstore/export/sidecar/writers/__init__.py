"""Sidecar formats by name. Each module is imported on demand, and exports its writer as ``WRITER``."""

from __future__ import annotations

import difflib
import importlib
from typing import cast

from regenstore.errors import InvalidInput
from regenstore.export.sidecar.writer import SidecarWriter

WRITERS = {
    "xmp": "xmp",
    "frames-csv": "frames_csv",
    "nk": "nk",
    "mgjson": "mgjson",
    "jsx": "jsx",
    "resolve-csv": "resolve_csv",
    "fcpxml": "fcpxml",
    "xmeml": "xmeml",
    "otio": "otio",
    "ale": "ale",
    "ascmhl": "ascmhl",
    "text": "text",
    "batch-text": "batch_text",
}
"""Name in templates -> module in this package."""


def find(name: str) -> SidecarWriter:
    """The writer of a format; raises InvalidInput (``bad-template``), which suggests the nearest name."""
    if name not in WRITERS:
        near = difflib.get_close_matches(name, WRITERS, n=1)
        also = f"; did you mean '{near[0]}'?" if near else ""
        raise InvalidInput("bad-template", f"there is no sidecar format '{name}' (known: {', '.join(WRITERS)}){also}")
    module = importlib.import_module(f"{__name__}.{WRITERS[name]}")
    return cast(SidecarWriter, module.WRITER)
