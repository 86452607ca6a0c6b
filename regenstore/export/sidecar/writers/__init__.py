"""The sidecar formats by name. Each module is imported when it is asked for, and has its writer as ``WRITER``."""

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
"""Name in templates -> module in this folder."""


def find(name: str) -> SidecarWriter:
    """The writer of a format; raises InvalidInput (``bad-template``) with the nearest name."""
    if name not in WRITERS:
        near = difflib.get_close_matches(name, WRITERS, n=1)
        also = f"; did you mean '{near[0]}'?" if near else ""
        raise InvalidInput("bad-template", f"no sidecar format is called '{name}' (known: {', '.join(WRITERS)}){also}")
    module = importlib.import_module(f"{__name__}.{WRITERS[name]}")
    return cast(SidecarWriter, module.WRITER)
