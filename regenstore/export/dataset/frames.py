"""The per-frame CSV table of a sample, and the selection of faces to crop.

All measurements are floats, and empty if unknown: ``datasets`` infers types per file, and an integer or text column
that is empty in one file would make it fail.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

from regenstore.media.frame_table import FrameMetrics

BOXES = 4
"""Number of faces per frame that have columns; fixed, so that every table has the same columns."""
MEASURED = (
    "motion", "scene_score", "luma_avg", "luma_diff", "saturation", "blur", "blockiness", "entropy", "si", "ti",
    "black", "frozen", "face_count",
    *(f"face{number or ''}_{side}" for number in (0, *range(2, BOXES + 1)) for side in ("confidence", *"xywh")),
)  # fmt: skip
COLUMNS = (
    ("key", "string", "the sample"),
    ("split", "string", "the sample's split"),
    ("frame", "int", "frame number, from 0"),
    ("time_s", "float", "start of the frame, in seconds"),
    *((name, "float", "measured; docs/export.md says how") for name in MEASURED),
)
"""Columns of the tables: name, type and meaning."""
CROPS = 3
"""Largest number of face crops per sample."""
SURE = 0.9
"""Confidence from which a face is cropped."""


def csv(key: str, split: str, rate: Fraction | None, metrics: FrameMetrics) -> bytes:
    """The table of a sample."""
    lines = [",".join(name for name, *_ in COLUMNS)]
    columns = [metrics.columns.get(name) for name in MEASURED]
    times = metrics.columns.get("time")
    for frame in range(metrics.count):
        at = times[frame] if times is not None else float(frame / rate) if rate else None
        seconds = "" if at is None else repr(at)
        values = ("" if column is None or column[frame] != column[frame] else repr(column[frame]) for column in columns)
        lines.append(f"{key},{split},{frame},{seconds},{','.join(values)}")
    return ("\n".join(lines) + "\n").encode()


def face_picks(key: str, metrics: FrameMetrics | None) -> Iterator[dict[str, Any]]:
    """The most confident face of a few frames, spread over the clip, as entries of the column ``faces``."""
    if metrics is None or not {"face_confidence", "face_x", "face_y", "face_w", "face_h"} <= metrics.columns.keys():
        return
    confidence = metrics.columns["face_confidence"]
    boxes = [metrics.columns[f"face_{side}"] for side in "xywh"]
    step = max(1, -(-metrics.count // CROPS))
    for start in range(0, metrics.count, step):
        sure = [at for at in range(start, min(start + step, metrics.count)) if confidence[at] >= SURE]
        if not sure:
            continue
        frame = max(sure, key=lambda at: (confidence[at], -at))
        x, y, w, h = (column[frame] for column in boxes)
        if w > 0 and h > 0:
            yield {
                "path": f"crops/{key}-{frame:06d}-0.jpg", "frame": frame, "confidence": confidence[frame],
                "x": x, "y": y, "w": w, "h": h,
            }  # fmt: skip
